/** Threads' priorities: those of the test's own process, so in a process of their own. */
import { spawnSync } from 'node:child_process';
import { constants } from 'node:os';
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import { packageRoot } from './load-interpreter.js';

const onLinux = process.platform === 'linux' ? test : test.skip;

onLinux('the other threads step back, the calling one does not', () => {
  const module = pathToFileURL(join(packageRoot(), 'dist/src/runtime/background-priority.js')).href;
  const script = `
    import { readdirSync } from 'node:fs';
    import { getPriority } from 'node:os';
    import { lowerOtherThreads } from '${module}';
    const before = getPriority();
    const count = lowerOtherThreads();
    const others = readdirSync('/proc/self/task').map(Number).filter((t) => t !== process.pid);
    console.log(JSON.stringify({ count, kept: getPriority() === before, others: others.map((t) => getPriority(t)) }));`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  const { count, kept, others } = JSON.parse(stdout) as { count: number; kept: boolean; others: number[] };
  expect(kept).toBe(true);
  expect(count).toBeGreaterThan(0);
  expect(others.filter((p) => p === constants.priority.PRIORITY_BELOW_NORMAL)).toHaveLength(count);
});

/** The bundle of the worker that translates, and what V8 has compiled of it. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { packageRoot } from '../src/runtime/load-interpreter.js';

const BUNDLE = join(packageRoot(), 'dist/translation-worker.js');

test('V8 takes what was compiled when the package was built', () => {
  // In a process of its own: V8 refuses what was compiled with other flags, and other tests set some.
  const script = `
    const { readFileSync } = require('node:fs');
    const [source, cachedData] = [readFileSync(${JSON.stringify(BUNDLE)}, 'latin1'), readFileSync(${JSON.stringify(`${BUNDLE}.cache`)})];
    console.log(new (require('node:vm').Script)(source, { cachedData }).cachedDataRejected);`;
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(stdout.trim()).toBe('false');
});

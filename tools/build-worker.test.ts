/** The bundle of the worker that translates, and what V8 has compiled of it. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageRoot } from '../src/runtime/load-interpreter.js';

const BUNDLE = join(packageRoot(), 'dist/translation-worker.js');
const FLAGS = pathToFileURL(join(packageRoot(), 'dist/src/runtime/v8-flags.js')).href;

// V8 refuses what was compiled under other flags: these are those of the command as it starts its worker.
test('V8 takes what was compiled when the package was built', () => {
  const script = `
    import { readFileSync } from 'node:fs';
    import { Script } from 'node:vm';
    import { compileAsEver, leaveAProcessor, leaveLoopsAlone } from ${JSON.stringify(FLAGS)};
    leaveLoopsAlone();
    leaveAProcessor(2);
    compileAsEver();
    const source = readFileSync(${JSON.stringify(BUNDLE)}, 'latin1');
    const cachedData = readFileSync(${JSON.stringify(`${BUNDLE}.cache`)});
    console.log(new Script(source, { cachedData }).cachedDataRejected);`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect(stdout.trim()).toBe('false');
});

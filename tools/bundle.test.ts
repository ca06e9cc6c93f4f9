/** The bundles, and what V8 has compiled of them. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { PROCESS_OPTIONS } from '../src/runtime/translation-process.js';
import { packageRoot } from '../src/runtime/load-interpreter.js';

const DIST = join(packageRoot(), 'dist');
const RUN_BUNDLE = pathToFileURL(join(DIST, 'src/runtime/run-bundle.cjs')).href;
const FLAGS = pathToFileURL(join(DIST, 'src/runtime/v8-flags.js')).href;

// V8 refuses what was compiled under other flags: the worker's are those of the command as it starts it, and of the
// process that it has.
test.each([
  ['lguest.js', '', []],
  ['translation-worker.js', 'leaveLoopsAlone(); leaveAProcessor(2); compileAsEver();', []],
  ['translation-worker.js', '', PROCESS_OPTIONS],
])('V8 takes what was compiled of %s when the package was built: "%s" %j', (name, prepare, options) => {
  const script = `
    import bundles from ${JSON.stringify(RUN_BUNDLE)};
    import { compileAsEver, leaveAProcessor, leaveLoopsAlone } from ${JSON.stringify(FLAGS)};
    ${prepare}
    console.log(bundles.scriptOf(${JSON.stringify(join(DIST, name))}).cachedDataRejected);`;
  const { stdout, stderr } = spawnSync(process.execPath, [...options, '--input-type=module', '-e', script], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  expect(stdout.trim()).toBe('false');
});

/** The bundle of the worker that translates, and what V8 has compiled of it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Script } from 'node:vm';
import { packageRoot } from '../src/runtime/load-interpreter.js';

const BUNDLE = join(packageRoot(), 'dist/translation-worker.js');

test('V8 takes what was compiled when the package was built', () => {
  const source = readFileSync(BUNDLE, 'latin1');
  const script = new Script(source, { filename: BUNDLE, cachedData: readFileSync(`${BUNDLE}.cache`) });
  expect(script.cachedDataRejected).toBe(false);
});

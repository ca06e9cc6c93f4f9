/**
 * Takes the installed Binaryen apart, because three quarters of the time to load it go into reading its Wasm out of a
 * string of 14 MB: dist/binaryen.wasm, and dist/binaryen.js that reads it. The compiled `backend-wasm/binaryen.js` is made
 * to import that one; without this step it imports the package, to the same effect but slowly.
 */
import { copyFileSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packageRoot } from '../src/runtime/load-interpreter.js';
import { installStripped, stripped, watchedWasm } from './stripped-binaryen.js';

try {
  const wasm = await watchedWasm();
  const entry = fileURLToPath(import.meta.resolve('binaryen'));
  const dist = join(packageRoot(), 'dist');
  await installStripped(dist, { wasm, source: stripped(readFileSync(entry, 'utf8')) });
  // Its terms want to be passed on with it.
  copyFileSync(join(dirname(entry), 'LICENSE'), join(dist, 'binaryen.LICENSE'));
  console.log(`binaryen: ${wasm.length} bytes`);
} catch (error) {
  const why = error instanceof Error ? error.message : String(error);
  process.stderr.write(`build-binaryen: the installed Binaryen cannot be taken apart: ${why}\n`);
  process.exitCode = 1;
}

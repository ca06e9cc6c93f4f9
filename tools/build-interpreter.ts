/** Generates the interpreter (dist/interpreter.wasm and its form table). */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildInterpreter } from '../src/runtime/build-interpreter.js';
import { formTableText } from '../src/runtime/form-table.js';
import { INTERPRETER_FORMS, INTERPRETER_WASM, packageRoot } from '../src/runtime/load-interpreter.js';

const dist = join(packageRoot(), 'dist');
mkdirSync(dist, { recursive: true });
const text = process.argv.includes('--text');
const image = buildInterpreter({ validate: true, text });
writeFileSync(join(dist, INTERPRETER_WASM), image.wasm);
writeFileSync(join(dist, INTERPRETER_FORMS), formTableText(image));
if (image.text !== undefined) writeFileSync(join(dist, 'interpreter.wat'), image.text);
console.log(
  `interpreter: ${image.forms.length} instruction forms, ${image.sequences.length} sequences, ${image.wasm.length} bytes`,
);

/** Generates the interpreter: dist/interpreter.wasm, its form table, and what V8 makes of it for machines of each size. */
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildInterpreter } from '../src/runtime/build-interpreter.js';
import { formTableText } from '../src/runtime/form-table.js';
import {
  INTERPRETER_FORMS,
  INTERPRETER_WASM,
  interpreterCodeFile,
  isInterpreterCode,
  packageRoot,
} from '../src/runtime/load-interpreter.js';
import { interpreterCode } from './interpreter-code.js';

const dist = join(packageRoot(), 'dist');
mkdirSync(dist, { recursive: true });
// V8 would take it for that of the new one.
for (const name of readdirSync(dist)) if (isInterpreterCode(name)) rmSync(join(dist, name));
const text = process.argv.includes('--text');
const image = buildInterpreter({ validate: true, text });
writeFileSync(join(dist, INTERPRETER_WASM), image.wasm);
writeFileSync(join(dist, INTERPRETER_FORMS), formTableText(image));
if (image.text !== undefined) writeFileSync(join(dist, 'interpreter.wat'), image.text);
let compiled = 0;
for (const [tlb, code] of interpreterCode(image.wasm)) {
  if (!code) continue;
  const path = join(dist, interpreterCodeFile(tlb));
  // Whole or not at all: V8 reads past the end of half a file.
  writeFileSync(`${path}.new`, code);
  renameSync(`${path}.new`, path);
  compiled += code.length;
}
console.log(
  `interpreter: ${image.forms.length} instruction forms, ${image.sequences.length} sequences, ${image.wasm.length} bytes, ${compiled} compiled`,
);

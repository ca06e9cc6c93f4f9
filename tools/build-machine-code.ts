/**
 * Has V8 optimise the interpreter for machines of each size, so that no launch waits for it: dist/interpreter-64.v8 and others.
 * In a process of its own, with the flags of one that does nothing else than run guests (see `leaveLoopsAlone`): it is code
 * of such flags or it is of no use.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DATA_TLBS } from '../src/backend-wasm/data-tlb.js';
import { IMPORTS } from '../src/backend-wasm/memory-layout.js';
import { relocate } from '../src/backend-wasm/relocate.js';
import {
  isMachineCodeFile,
  machineCodeFile,
  writeMachineCode,
} from '../src/runtime/interpreter-machine-code.js';
import { INTERPRETER_WASM, packageRoot } from '../src/runtime/load-interpreter.js';
import { machineCodeOf, optimizeNow } from '../src/runtime/machine-code.js';
import { leaveLoopsAlone } from '../src/runtime/v8-flags.js';

/** Nothing runs here. */
function notCalled(): never {
  throw new Error('the interpreter was to be compiled, not run');
}

/** The module's machine code with all functions optimised, undefined if this V8 does not give it. */
function optimized(wasm: Uint8Array<ArrayBuffer>): Uint8Array | undefined {
  const functions = Object.fromEntries(Object.keys(IMPORTS).map((name) => [name, notCalled]));
  const env = { ...functions, memory: new WebAssembly.Memory({ initial: 1 }) };
  const module = new WebAssembly.Module(wasm);
  const { exports } = new WebAssembly.Instance(module, { env });
  const exported = Object.values(exports).filter((value) => typeof value === 'function');
  optimizeNow(exported);
  return machineCodeOf(module, exported);
}

leaveLoopsAlone();
const dist = join(packageRoot(), 'dist');
// Of another interpreter, or another V8.
for (const name of readdirSync(dist)) if (isMachineCodeFile(name)) rmSync(join(dist, name));
const wasm = readFileSync(join(dist, INTERPRETER_WASM));
let bytes = 0;
for (const tlb of DATA_TLBS) {
  const relocated = relocate(wasm, tlb);
  const machineCode = optimized(relocated);
  if (!machineCode) continue;
  writeMachineCode(join(dist, machineCodeFile(tlb)), relocated, machineCode);
  bytes += machineCode.length;
}
console.log(`interpreter's machine code: ${bytes} bytes`);

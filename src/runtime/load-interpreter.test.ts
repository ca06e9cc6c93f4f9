import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { dataTlbFor } from '../backend-wasm/data-tlb.js';
import { relocate } from '../backend-wasm/relocate.js';
import { INTERPRETER_WASM, loadInterpreter, packageRoot } from './load-interpreter.js';

test('the interpreter as built has every placeholder, and none any more when it has been relocated', () => {
  const wasm = readFileSync(join(packageRoot(), 'dist', INTERPRETER_WASM));
  const out = relocate(wasm, dataTlbFor(2 ** 31));
  expect(WebAssembly.validate(out)).toBe(true);
  expect(() => relocate(out, dataTlbFor(1))).toThrow('nothing to relocate');
});

test('a module for each size of the TLB', () => {
  const { moduleFor } = loadInterpreter();
  const small = moduleFor(dataTlbFor(2 ** 27));
  expect(moduleFor(dataTlbFor(2 ** 27))).toBe(small);
  expect(moduleFor(dataTlbFor(2 ** 28))).not.toBe(small);
});

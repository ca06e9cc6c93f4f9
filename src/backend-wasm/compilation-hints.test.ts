import { setFlagsFromString } from 'node:v8';
import { expect, test } from '@jest/globals';
import { Emitter, Locals } from './binaryen.js';
import { withCompilationHint } from './compilation-hints.js';
import { withFunctionName } from './name-section.js';

/** A module whose function `double` doubles, with a name section as regions have one. */
function doubler(): Uint8Array {
  const e = new Emitter();
  const locals = new Locals(['i32']);
  const x = (): ReturnType<Emitter['getLocal']> => e.getLocal(0, 'i32');
  e.addFunction('double', ['i32'], 'i32', locals, e.add(x(), x()));
  e.addExport('double');
  return withFunctionName(e.finish({ validate: true }), 'double', 'guest:double');
}

// V8 keeps what it has compiled: what a module is compiled with first is what it is compiled with.
setFlagsFromString('--allow-natives-syntax');
setFlagsFromString('--experimental-wasm-compilation-hints');

type Double = (x: number) => number;

/** The function of a module compiled as it is. */
function instantiate(wasm: Uint8Array): Double {
  const module = new WebAssembly.Module(wasm as BufferSource);
  const env = { memory: new WebAssembly.Memory({ initial: 1 }) };
  return new WebAssembly.Instance(module, { env }).exports['double'] as Double;
}

test('a module with the hint is the same module', () => {
  const wasm = withCompilationHint(doubler());
  expect(WebAssembly.validate(wasm as BufferSource)).toBe(true);
  const module = new WebAssembly.Module(wasm as BufferSource);
  expect(WebAssembly.Module.customSections(module, 'compilationHints')).toHaveLength(1);
  expect(WebAssembly.Module.customSections(module, 'name')).toHaveLength(1);
  expect(instantiate(wasm)(21)).toBe(42);
});

test('V8 has optimised its function before it is called', () => {
  const isOptimized = new Function('f', 'return %IsTurboFanFunction(f)') as (f: Double) => boolean;
  expect(isOptimized(instantiate(doubler()))).toBe(false);
  expect(isOptimized(instantiate(withCompilationHint(doubler())))).toBe(true);
});

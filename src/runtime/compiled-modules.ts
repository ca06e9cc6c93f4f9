/**
 * What V8 has compiled of a module, as bytes, and back: a fiftieth of the time that it takes to compile it. V8 has this for
 * browsers' caches, and Node does not offer it; the functions of V8's own tests do. V8 looks whether the bytes are of its
 * version, flags and processor. It does not look whether they are its own: they are code, to be had from nobody else.
 */
import { withNatives } from './v8-flags.js';

interface Natives {
  readonly optimize: (exported: WebAssembly.ExportValue) => void;
  readonly isOptimized: (exported: WebAssembly.ExportValue) => boolean;
  readonly serialize: (module: WebAssembly.Module) => ArrayBuffer;
  readonly deserialize: (compiled: ArrayBuffer, wasm: Uint8Array) => WebAssembly.Module | undefined;
}

let known: Natives | undefined;

/** V8's functions, from their first use on; undefined where V8 is not known to have them. */
function natives(): Natives | undefined {
  return (known ??= withNatives(() => ({
    optimize: new Function('exported', '%WasmTierUpFunction(exported)') as Natives['optimize'],
    isOptimized: new Function('exported', 'return %IsTurboFanFunction(exported)') as Natives['isOptimized'],
    serialize: new Function('module', 'return %SerializeWasmModule(module)') as Natives['serialize'],
    deserialize: new Function(
      'compiled',
      'wasm',
      'return %DeserializeWasmModule(compiled, wasm)',
    ) as Natives['deserialize'],
  })));
}

/**
 * The machine code of a module; undefined if it cannot be had. `exported`: a function of the module's. V8 has to have optimised
 * it: where it did not, as for a debugger, it would find nothing worth keeping, and end the process for that.
 */
export function compiledCode(
  module: WebAssembly.Module,
  exported: WebAssembly.ExportValue,
): Uint8Array | undefined {
  const v8 = natives();
  return v8?.isOptimized(exported) ? new Uint8Array(v8.serialize(module)) : undefined;
}

/** The machine code of a module that exports these functions, all of them optimised; undefined if it cannot be had. */
export function optimizedCode(
  module: WebAssembly.Module,
  functions: readonly WebAssembly.ExportValue[],
): Uint8Array | undefined {
  const v8 = natives();
  for (const exported of functions) v8?.optimize(exported);
  return functions[0] && compiledCode(module, functions[0]);
}

/** The module of these bytes, with the code that V8 once made of it, if there is some and it is of use, or compiled. */
export function moduleOf(wasm: Uint8Array, compiled: Uint8Array | undefined): WebAssembly.Module {
  const made = compiled && natives()?.deserialize(bufferOf(compiled), wasm);
  return made ?? new WebAssembly.Module(wasm as BufferSource);
}

/** A buffer with these bytes and nothing else, as V8 wants it. */
function bufferOf(bytes: Uint8Array): ArrayBuffer {
  const { buffer } = bytes;
  const isAlone = buffer instanceof ArrayBuffer && buffer.byteLength === bytes.length;
  return isAlone ? buffer : new Uint8Array(bytes).buffer;
}

/**
 * The machine code that V8 has made of a module, as bytes, and back: a fiftieth of the time that it takes to compile it. V8 has
 * this for browsers' caches, and Node does not offer it; the functions of V8's own tests do. V8 looks whether the bytes are of
 * its version, flags and kind of processor. It does not look whether they are whole and of that very module: they are code,
 * to be had from nobody else.
 */
import { givenOptions } from './node-options.js';
import { withNatives } from './v8-flags.js';

interface Natives {
  readonly optimize: (exported: WebAssembly.ExportValue) => void;
  readonly isOptimized: (exported: WebAssembly.ExportValue) => boolean;
  readonly serialize: (module: WebAssembly.Module) => ArrayBuffer;
  readonly deserialize: (machineCode: ArrayBuffer, wasm: Uint8Array) => WebAssembly.Module | undefined;
}

/** With it code checks its accesses itself, and V8 does not ask which of the two kinds it is given. */
const WITHOUT_TRAP_HANDLER = 'disable-wasm-trap-handler';

/** V8's functions; null if they are not to be had. */
let known: Natives | null | undefined;
let made = 0;

function makeNatives(): Natives | null | undefined {
  if (givenOptions().has(WITHOUT_TRAP_HANDLER)) return null;
  // A text that V8 has seen before may be one that it has forgotten how to run.
  const call = (names: string, text: string): unknown => new Function(names, `return ${text} // ${made++}`);
  return withNatives(() => ({
    optimize: call('exported', '%WasmTierUpFunction(exported)') as Natives['optimize'],
    isOptimized: call('exported', '%IsTurboFanFunction(exported)') as Natives['isOptimized'],
    serialize: call('module', '%SerializeWasmModule(module)') as Natives['serialize'],
    deserialize: call('code, wasm', '%DeserializeWasmModule(code, wasm)') as Natives['deserialize'],
  }));
}

/**
 * What `use` makes of V8's functions, undefined if they are not to be had. V8 drops what it compiled of a function that nobody
 * called for some collections of garbage, and may not compile such names any more when it is called again: then all are made anew.
 */
function withV8<T>(use: (v8: Natives) => T): T | undefined {
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      if (known === undefined) known = makeNatives();
      return known ? use(known) : undefined;
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      known = undefined;
    }
  }
  return undefined;
}

/** Whether machine code can be had of modules at all. */
export function hasMachineCode(): boolean {
  return withV8(() => true) ?? false;
}

/**
 * The machine code of a module; undefined if it cannot be had. `exported`: functions of the module's. V8 has to have optimised
 * them: where it optimised none, as for a debugger, it would find nothing worth keeping, and end the process for that.
 */
export function machineCodeOf(
  module: WebAssembly.Module,
  exported: readonly WebAssembly.ExportValue[],
): Uint8Array | undefined {
  return withV8((v8) => {
    const isOptimized = exported.length > 0 && exported.every((one) => v8.isOptimized(one));
    return isOptimized ? new Uint8Array(v8.serialize(module)) : undefined;
  });
}

/** The same of a module that V8 has optimised as it compiled it, as compilation hints say. */
export function machineCodeOfOptimized(module: WebAssembly.Module): Uint8Array | undefined {
  return withV8((v8) => new Uint8Array(v8.serialize(module)));
}

/** Lets V8 optimise functions that a module exports. */
export function optimizeNow(exported: readonly WebAssembly.ExportValue[]): void {
  withV8((v8) => {
    for (const one of exported) v8.optimize(one);
  });
}

/** The module of these bytes with the machine code that V8 once made of it, undefined if that is of no use. */
export function fromMachineCode(
  wasm: Uint8Array,
  machineCode: Uint8Array | undefined,
): WebAssembly.Module | undefined {
  return machineCode && withV8((v8) => v8.deserialize(bufferOf(machineCode), wasm));
}

/** A buffer with these bytes and nothing else, as V8 wants it. */
function bufferOf(bytes: Uint8Array): ArrayBuffer {
  const { buffer } = bytes;
  const isAlone = buffer instanceof ArrayBuffer && buffer.byteLength === bytes.length;
  return isAlone ? buffer : new Uint8Array(bytes).buffer;
}

/**
 * Gives an exported function of a finished module a name: what stack traces and profilers call it. Binaryen's own debug
 * information would name everything else too, at ten times the bytes.
 */

import { HEADER_BYTES, leb, named, Reader, SECTION } from './wasm-bytes.js';

// Kind numbers of the WebAssembly binary format.
const FUNCTION_EXPORT = 0;
const FUNCTION_NAMES = 1;

/** Index of the function that a module exports under a name (ASCII). Throws if it does not. */
function exportedFunction(wasm: Uint8Array, name: string): number {
  const reader = new Reader(wasm, HEADER_BYTES);
  while (reader.at < wasm.length) {
    const section = reader.byte();
    const end = reader.u32() + reader.at;
    for (let left = section === SECTION.export ? reader.u32() : 0; left > 0; left--) {
      const found = reader.name();
      const kind = reader.byte();
      const index = reader.u32();
      if (kind === FUNCTION_EXPORT && found === name) return index;
    }
    reader.at = end;
  }
  throw new Error(`the module exports no function ${name}`);
}

/** The module with a name for the function that it exports as `exported`. It must not have a name section yet. */
export function withFunctionName(wasm: Uint8Array, exported: string, name: string): Uint8Array {
  const map = [1, ...leb(exportedFunction(wasm, exported)), ...named(name)];
  const body = [...named('name'), FUNCTION_NAMES, ...leb(map.length), ...map];
  const section = [SECTION.custom, ...leb(body.length), ...body];
  const out = new Uint8Array(wasm.length + section.length);
  out.set(wasm);
  out.set(section, wasm.length);
  return out;
}

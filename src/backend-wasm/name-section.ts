/**
 * Gives an exported function of a finished module a name: what stack traces and profilers call it. Binaryen's own debug
 * information would name everything else too, at ten times the bytes.
 */

// Section and kind numbers of the WebAssembly binary format.
const HEADER_BYTES = 8;
const CUSTOM_SECTION = 0;
const EXPORT_SECTION = 7;
const FUNCTION_EXPORT = 0;
const FUNCTION_NAMES = 1;

const encoder = new TextEncoder();

/** Reads unsigned LEB128 numbers and names. */
class Reader {
  constructor(
    private readonly bytes: Uint8Array,
    public at: number,
  ) {}
  byte(): number {
    return this.bytes[this.at++]!;
  }
  u32(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
  }
  name(): string {
    const length = this.u32();
    const from = this.at;
    this.at += length;
    return String.fromCharCode(...this.bytes.subarray(from, this.at));
  }
}

function leb(value: number): number[] {
  const out: number[] = [];
  for (; value >= 0x80; value >>>= 7) out.push((value & 0x7f) | 0x80);
  return [...out, value];
}

function named(text: string): number[] {
  const bytes = encoder.encode(text);
  return [...leb(bytes.length), ...bytes];
}

/** Index of the function that a module exports under a name (ASCII). Throws if it does not. */
function exportedFunction(wasm: Uint8Array, name: string): number {
  const reader = new Reader(wasm, HEADER_BYTES);
  while (reader.at < wasm.length) {
    const section = reader.byte();
    const end = reader.u32() + reader.at;
    for (let left = section === EXPORT_SECTION ? reader.u32() : 0; left > 0; left--) {
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
  const section = [CUSTOM_SECTION, ...leb(body.length), ...body];
  const out = new Uint8Array(wasm.length + section.length);
  out.set(wasm);
  out.set(section, wasm.length);
  return out;
}

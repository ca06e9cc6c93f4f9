/**
 * Tells V8 to optimise a module's function before it is first called, where the module is compiled: without that V8
 * compiles it for a first time at its first call, while the guest waits, and optimises it when it has run a while. The
 * section is an experiment of V8's (`--experimental-wasm-compilation-hints`); whoever does not know it ignores it.
 */
import { HEADER_BYTES, leb, named, Reader, SECTION } from './wasm-bytes.js';

const NAME = 'compilationHints';
/** Two bits each: when, the first tier, the last tier. */
const EAGER = 2;
const OPTIMIZED = 2;
const HINT = EAGER | (OPTIMIZED << 2) | (OPTIMIZED << 4);

/** The module, which defines one function, with the hint for it. */
export function withCompilationHint(wasm: Uint8Array): Uint8Array {
  const body = [...named(NAME), 1, HINT];
  const section = [SECTION.custom, ...leb(body.length), ...body];
  // V8 wants it in front of the code.
  const reader = new Reader(wasm, HEADER_BYTES);
  let at = HEADER_BYTES;
  while (at < wasm.length && reader.byte() !== SECTION.code) {
    const bytes = reader.u32();
    reader.at += bytes;
    at = reader.at;
  }
  const out = new Uint8Array(wasm.length + section.length);
  out.set(wasm.subarray(0, at));
  out.set(section, at);
  out.set(wasm.subarray(at), at + section.length);
  return out;
}

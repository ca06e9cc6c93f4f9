/** JavaScript functions in Wasm tables: a table takes only what a Wasm module exports. */

const I32 = 0x7f;
const NAME = [1, 0x66]; // "f"

function section(id: number, content: readonly number[]): number[] {
  return [id, content.length, ...content];
}

/**
 * A function for a table that calls `f` with `params` (0..50) i32 parameters and returns its i32 result. Costs tens of
 * nanoseconds a call: not for hot paths.
 */
export function tableFunction(params: number, f: (...args: number[]) => number): () => number {
  // A module that imports the function and exports it again.
  const bytes = Uint8Array.of(
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, params, ...new Array<number>(params).fill(I32), 1, I32]),
    ...section(2, [1, ...NAME, ...NAME, 0, 0]),
    ...section(7, [1, ...NAME, 0, 0]),
  );
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { f: { f } });
  return exports['f'] as () => number;
}

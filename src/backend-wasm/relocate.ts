/** Fits the interpreter's module, which is generated before there is a machine, to the data TLB of one. */
import { type DataTlb, PLACEHOLDERS } from './data-tlb.js';

/** A number as four bytes of seven bits each that go on, as a little-endian dword, and the byte behind them. */
interface Leb128 {
  readonly first: number;
  readonly last: number;
}
function leb128(value: number): Leb128 {
  let first = 0;
  for (let i = 0; i < 4; i++) first |= (((value >> (7 * i)) & 0x7f) | 0x80) << (8 * i);
  // Four bits and the sign.
  return { first, last: (value >> 28) & 0x7f };
}

/** The module with a machine's numbers instead of the placeholders. Throws `Error` if there are none of one kind. */
export function relocate(wasm: Uint8Array, tlb: DataTlb): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(wasm);
  const data = new DataView(out.buffer);
  const keys = ['indexMask', 'ramEnd', 'outside'] as const;
  const [mask, end, outside] = keys.map((key) => leb128(PLACEHOLDERS[key])) as [Leb128, Leb128, Leb128];
  const to = keys.map((key) => leb128(tlb[key]));
  const rare = mask.first >>> 24;
  const found = [0, 0, 0];
  for (let at = out.indexOf(rare, 3); at >= 0; at = out.indexOf(rare, at + 1)) {
    const first = data.getInt32(at - 3, true);
    // Thousands of them, at every start.
    const which = first === mask.first ? 0 : first === end.first ? 1 : first === outside.first ? 2 : -1;
    if (which < 0 || out[at + 1] !== mask.last) continue;
    data.setInt32(at - 3, to[which]!.first, true);
    out[at + 1] = to[which]!.last;
    found[which]!++;
  }
  if (found.includes(0)) throw new Error('nothing to relocate');
  return out;
}

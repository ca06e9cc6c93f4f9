/**
 * The data TLB: entries of 8 bytes {for loads, for stores}, each a distance from linear to guest-physical addresses. There
 * are no tags. The index takes one address bit more than there are to guest-physical addresses, so that a distance, added
 * to an address of another page that has the same index, leads out of RAM; that of a page without entry does so
 * for all of them. One comparison of the sum with the end of RAM tells hit from miss.
 */
import { PAGE } from '../frontend-x86/limits.js';

export const DATA_ENTRY_BYTES = 8;
/** Where the distance is in an entry. */
export const FOR_LOADS = 0;
export const FOR_STORES = 4;

/** Bytes of RAM, as a power of 2, for which a TLB can be made. What lies beyond, as device pages may, has no entries. */
const LEAST_RAM_BITS = 25;
const MOST_RAM_BITS = 31;
const PAGE_BITS = 12;
const ENTRY_BITS = 3;
/** Bytes of a TLB for the largest guest. */
export const MOST_DATA_BYTES = DATA_ENTRY_BYTES << (MOST_RAM_BITS + 1 - PAGE_BITS);

/** What generated code has to know of the TLB, as signed 32-bit numbers. */
export interface DataTlb {
  /** Bits of `address >>> INDEX_SHIFT` that are the place of its entry in the TLB, in bytes. */
  readonly indexMask: number;
  /** First guest-physical address that no entry leads to, a power of 2. */
  readonly ramEnd: number;
  /** Bits of a guest-physical address, those in its page too, of which the former are not 0 if it is outside. */
  readonly outside: number;
}

export const INDEX_SHIFT = PAGE_BITS - ENTRY_BITS;

/** The TLB of a machine with so many bytes of RAM. */
export function dataTlbFor(ramBytes: number): DataTlb {
  const needed = Math.ceil(Math.log2(ramBytes));
  const bits = Math.min(Math.max(needed, LEAST_RAM_BITS), MOST_RAM_BITS);
  const ramEnd = 2 ** bits;
  return {
    indexMask: ((2 * ramEnd) / PAGE - 1) << ENTRY_BITS,
    ramEnd: ramEnd | 0,
    outside: -ramEnd | (PAGE - 1),
  };
}

/** Entries of a TLB. */
export function entriesOf({ indexMask }: DataTlb): number {
  return (indexMask >>> ENTRY_BITS) + 1;
}

/** The entry of no page. */
export function noEntry({ ramEnd }: DataTlb, index: number): number {
  return (ramEnd - (index << PAGE_BITS)) | 0;
}

/** Guest-physical address of the page that an entry with this distance is of, NO_PAGE if of none. */
export function physicalOf({ ramEnd }: DataTlb, index: number, distance: number): number {
  const sum = (index << PAGE_BITS) + distance;
  return sum & ramEnd ? NO_PAGE : sum & (ramEnd - 1);
}
export const NO_PAGE = -1;

/**
 * Stand for the numbers of a `DataTlb` in the interpreter's module, which is generated before any machine exists; see
 * `relocate`. Nothing may be concluded from their bits. In Wasm's form of numbers (LEB128) all of them have the longest,
 * with the same byte next to last, one that is rare elsewhere.
 */
export const PLACEHOLDERS: DataTlb = { indexMask: 0x5e7ffff8, ramEnd: 0x5e61e995, outside: 0x5e69e2d7 };

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

/** The module with a machine's numbers instead of the placeholders. Throws `Error` if there are none. */
export function relocate(wasm: Uint8Array, tlb: DataTlb): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(wasm);
  const data = new DataView(out.buffer);
  const keys = ['indexMask', 'ramEnd', 'outside'] as const;
  const [mask, end, outside] = keys.map((key) => leb128(PLACEHOLDERS[key])) as [Leb128, Leb128, Leb128];
  const to = keys.map((key) => leb128(tlb[key]));
  const rare = mask.first >>> 24;
  let found = 0;
  for (let at = out.indexOf(rare, 3); at >= 0; at = out.indexOf(rare, at + 1)) {
    const first = data.getInt32(at - 3, true);
    // Thousands of them, at every start.
    const which = first === mask.first ? 0 : first === end.first ? 1 : first === outside.first ? 2 : -1;
    if (which < 0 || out[at + 1] !== mask.last) continue;
    data.setInt32(at - 3, to[which]!.first, true);
    out[at + 1] = to[which]!.last;
    found++;
  }
  if (found === 0) throw new Error('nothing to relocate');
  return out;
}

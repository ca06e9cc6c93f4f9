/**
 * The data TLB: entries of 8 bytes {for loads, for stores}, each a distance from linear to guest-physical addresses. There
 * are no tags. The index takes one address bit more than RAM needs, so that a distance, added to an address of another
 * page that has the same index, leads out of RAM; that of a page without entry does so for all of them. One comparison of the sum with the end of RAM tells hit from miss.
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
  /** Bits of a guest-physical address that are 0 in all that entries lead to; and those that are the place in its page. */
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

/** Those of all machines. */
export const DATA_TLBS: readonly DataTlb[] = Array.from(
  { length: MOST_RAM_BITS + 1 - LEAST_RAM_BITS },
  (_, more) => dataTlbFor(2 ** (LEAST_RAM_BITS + more)),
);

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

/**
 * A region's data in control memory: its entry map, a small hash table from places to entries, and behind it a dword
 * for each of its pages, the address of the page's code map. What is in it belongs to one machine; the region's code
 * does not.
 */
import type { Emitter, Expr } from './binaryen.js';
import * as L from './memory-layout.js';
import { DELTA, EIP, ENTRY, FUEL, MAP, placeOfEip, ROW, TLB } from './region-locals.js';
import { PAGE } from '../frontend-x86/limits.js';

const HASH_FACTOR = 0x9e3779b1 | 0;
const MAX_ENTRY_MAP_BITS = 10;

export interface EntryMap {
  /** 2^bits rows, and one more. */
  readonly bits: number;
  readonly rows: readonly L.EntryRow[];
}

/** Where an entry map has a place, in rows: the same in generated code. */
function hashOf(place: number, bits: number): number {
  return (Math.imul(place, HASH_FACTOR) >>> (32 - bits)) >>> 0;
}

/**
 * The entry map of the entries at these places: each stands in its row or the one behind. An entry for which there is
 * no room even in the largest table is left out.
 */
export function entryMapOf(places: readonly number[]): EntryMap {
  for (let bits = Math.max(2, Math.ceil(Math.log2(2 * places.length))); ; bits++) {
    const rows = new Array<L.EntryRow>((1 << bits) + 1).fill(undefined);
    let full = false;
    places.forEach((place, entry) => {
      const row = hashOf(place, bits);
      const free = rows[row] === undefined ? row : row + 1;
      if (rows[free] === undefined) rows[free] = [place, entry];
      else full = true;
    });
    if (!full || bits >= MAX_ENTRY_MAP_BITS) return { bits, rows };
  }
}

/** Offset in a region's data of what belongs to its page number `index`. */
export function pageDataOffset({ rows }: EntryMap, index: number): number {
  return rows.length * L.ENTRY_MAP_ROW_BYTES + 4 * index;
}

/** Address of the execution TLB's entry for a linear address, less TLB_DATA_BYTES. */
export function executionEntry(e: Emitter, linear: Expr): Expr {
  const index = e.and(e.shru(linear, e.i32(9)), e.i32((L.TLB_EXECUTION_ENTRIES - 1) << 3));
  return e.add(e.getLocal(TLB, 'i32'), index);
}

/** The bytes from the region's first page to its entry's page, of the parameter that has more in it. */
export function deltaBytes(e: Emitter): Expr {
  return e.and(e.getLocal(DELTA, 'i32'), e.i32(-PAGE));
}

/**
 * A computed place (in EIP): goes to `dispatch` with the number of this region's entry there, if there is one, if its
 * page is still the one that was translated, and if `need` instructions may be executed; else to `leave`.
 * @param onePage the region has no other page than the one that the jump is in: that one is still there
 */
export function indirectJump(
  e: Emitter,
  { bits }: EntryMap,
  need: number,
  onePage: boolean,
  count: (cause: L.RegionExitCause) => Expr,
): Expr[] {
  const get = (local: number): Expr => e.getLocal(local, 'i32');
  const place = (): Expr => get(ENTRY);
  const hash = e.shru(e.pure('i32.mul', [place(), e.i32(HASH_FACTOR)]), e.i32(32 - bits));
  const page = (): Expr => e.and(get(EIP), e.i32(-PAGE));
  const leave = (cause: L.RegionExitCause): Expr => e.block(null, [count(cause), e.br('leave')]);
  const samePage = [
    e.setLocal(ENTRY, executionEntry(e, get(EIP))),
    e.if(
      e.pure('i32.or', [
        e.ne(e.load(32, get(ENTRY), L.TLB_DATA_BYTES), page()),
        e.ne(e.load(32, get(ENTRY), L.TLB_DATA_BYTES + 4), e.load(32, get(ROW), 8)),
      ]),
      leave('other page'),
    ),
  ];
  return [
    e.setLocal(ENTRY, placeOfEip(e)),
    e.setLocal(ROW, e.add(get(MAP), e.shl(hash, e.i32(4)))),
    e.if(e.ne(e.load(32, get(ROW)), place()), e.setLocal(ROW, e.add(get(ROW), e.i32(L.ENTRY_MAP_ROW_BYTES)))),
    e.if(e.ne(e.load(32, get(ROW)), place()), leave('no entry')),
    ...(onePage ? [] : samePage),
    e.if(e.ltU(get(FUEL), e.i32(need)), leave('fuel')),
    e.setLocal(ENTRY, e.load(32, get(ROW), 4)),
    e.br('dispatch'),
  ];
}

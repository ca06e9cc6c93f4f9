/** Entries without tags: a distance leads into RAM from one page only. */
import * as fc from 'fast-check';
import { PAGE } from '../frontend-x86/limits.js';
import {
  dataTlbFor,
  DATA_ENTRY_BYTES,
  entriesOf,
  INDEX_SHIFT,
  NO_PAGE,
  noEntry,
  physicalOf,
} from './data-tlb.js';

const MIB = 2 ** 20;
const aTlb = fc
  .oneof(fc.integer({ min: 1, max: 2048 }), fc.constantFrom(1, 32, 33, 128, 129, 1024, 2047, 2048))
  .map((mebibytes) => dataTlbFor(mebibytes * MIB));
const anAddress = fc.integer({ min: 0, max: 0xffffffff });
const aSpan = fc.integer({ min: 1, max: 256 });

type Tlb = ReturnType<typeof dataTlbFor>;

function indexOf(tlb: Tlb, address: number): number {
  return ((address >>> INDEX_SHIFT) & tlb.indexMask) / DATA_ENTRY_BYTES;
}
/** The two checks that generated code makes. */
function hits(tlb: Tlb, address: number, distance: number, span: number): readonly [boolean, boolean] {
  const sum = (address + distance) >>> 0;
  return [sum < tlb.ramEnd >>> 0, (sum & tlb.outside) >>> 0 <= PAGE - span];
}
/** Any address with the index of this one. */
function meeting(tlb: Tlb, address: number, other: number): number {
  const period = entriesOf(tlb) * PAGE;
  return ((address & (period - 1)) | (other & -period)) >>> 0;
}

test('an entry leads from its page into RAM, and from any other that meets it there out of it', () => {
  fc.assert(
    fc.property(aTlb, anAddress, anAddress, fc.nat(), aSpan, (tlb, address, other, at, span) => {
      const page = (address & -PAGE) >>> 0;
      const physical = (at % ((tlb.ramEnd >>> 0) / PAGE)) * PAGE;
      const distance = (physical - page) | 0;
      const stays = (address & (PAGE - 1)) <= PAGE - span;
      expect(hits(tlb, address, distance, span)).toEqual([true, stays]);
      expect(physicalOf(tlb, indexOf(tlb, address), distance)).toBe(physical);
      const met = meeting(tlb, address, other);
      const isSame = (met & -PAGE) >>> 0 === page;
      expect(indexOf(tlb, met)).toBe(indexOf(tlb, address));
      expect(hits(tlb, met, distance, span)).toEqual([isSame, isSame && stays]);
    }),
  );
});

test('no entry leads out of RAM from everywhere', () => {
  fc.assert(
    fc.property(aTlb, anAddress, anAddress, aSpan, (tlb, address, other, span) => {
      const index = indexOf(tlb, address);
      const distance = noEntry(tlb, index);
      expect(hits(tlb, meeting(tlb, address, other), distance, span)).toEqual([false, false]);
      expect(physicalOf(tlb, index, distance)).toBe(NO_PAGE);
    }),
  );
});

test('sizes: of the largest guest every page has an entry of its own, and small ones do not have few', () => {
  expect(entriesOf(dataTlbFor(2048 * MIB))).toBe(2 ** 20);
  expect(entriesOf(dataTlbFor(128 * MIB))).toBe(2 ** 16);
  expect(entriesOf(dataTlbFor(PAGE))).toBe(2 ** 14);
});

/** A region of an earlier run is found where all of its code is, and nowhere else. */
import * as fc from 'fast-check';
import { PAGE } from '../frontend-x86/limits.js';
import { outlineOf, startKey, type StoredOutline, StoredRegions, toStore } from './stored-regions.js';

/** (module (func (export "f"))) */
const MODULE = new WebAssembly.Module(
  Uint8Array.of(
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0],
    ...[7, 5, 1, 1, 0x66, 0, 0, 10, 4, 1, 2, 0, 0x0b],
  ),
);
const MADE = { module: MODULE, region: new WebAssembly.Instance(MODULE).exports['f']! };
const LINE = 64;
/** A line with code: page delta and number. */
const aLine = fc.tuple(fc.integer({ min: -3, max: 3 }), fc.nat(PAGE / LINE - 1));
const someLines = fc.uniqueArray(aLine, { minLength: 1, maxLength: 12, selector: String });
/** Where in which of them it is entered. */
const someEntries = fc.uniqueArray(fc.tuple(fc.nat(11), fc.nat(LINE - 1)), {
  minLength: 1,
  maxLength: 6,
  selector: String,
});
const someBytes = fc.nat().map((seed) => {
  let state = seed;
  return Uint8Array.from({ length: 7 * PAGE }, () => (state = Math.imul(state, 1664525) + 1013904223) >>> 24);
});

type Lines = readonly (readonly [delta: number, line: number])[];
type Entries = readonly (readonly [line: number, offset: number])[];

function regionsOf(...outlines: StoredOutline[]): StoredRegions {
  const regions = new StoredRegions();
  for (const outline of outlines) regions.add([outline]);
  return regions;
}

/** Pages with these bytes, and a region of these lines, the first of which it is told by. */
function example(lines: Lines, entries: Entries, bytes: Uint8Array) {
  const pages = new Map<number, Uint8Array>();
  const bits = new Map<number, [number, number]>();
  for (const [delta, line] of lines) {
    pages.set(delta, bytes.slice((delta + 3) * PAGE, (delta + 4) * PAGE));
    const of = bits.get(delta) ?? [0, 0];
    of[line >> 5]! |= 1 << (line & 31);
    bits.set(delta, of);
  }
  const places = entries.map(([i, offset]) => {
    const [delta, line] = lines[i % lines.length]!;
    return delta * PAGE + line * LINE + offset;
  });
  const translation = {
    wasm: new Uint8Array(),
    entries: places.map((place) => ({ place, need: 1 })),
    map: [],
    pages: [...bits.keys()],
    instructions: 1,
    blocks: 1,
    lines: bits,
  };
  const origin = { leaders: places, entries: places, missing: [], start: places[0]!, name: 'guest:00001000' };
  const stored = toStore(origin, { translation, ...MADE }, (delta) => pages.get(delta)!);
  return { pages, places, regions: regionsOf(outlineOf(stored, 5)), stored };
}

/** What is found at a place of these pages. */
function findAt(regions: StoredRegions, pages: ReadonlyMap<number, Uint8Array>, place: number) {
  const delta = Math.floor(place / PAGE);
  return regions.find(
    place - delta * PAGE,
    (distance) => pages.get(delta + distance),
    (page) => page,
  );
}

test('at each of its entries, with the pages of its code', () => {
  fc.assert(
    fc.property(someLines, someEntries, someBytes, (lines, entries, bytes) => {
      const { pages, places, regions, stored } = example(lines, entries, bytes);
      for (const place of places) {
        const found = findAt(regions, pages, place);
        expect(found).toMatchObject({ delta: Math.floor(place / PAGE), region: { number: 5 } });
        for (const [delta, page] of found!.pages) expect(page).toBe(pages.get(delta));
        expect([...found!.pages.keys()].sort()).toEqual([...stored.code.keys()].sort());
      }
      const [first] = outlineOf(stored, 5).entries;
      expect(startKey({ ...stored, lines: stored.translation.lines })).toBe(first!.key);
    }),
  );
});

test('not with a byte of its code changed, but with any other', () => {
  fc.assert(
    fc.property(
      someLines,
      someEntries,
      someBytes,
      aLine,
      fc.nat(LINE - 1),
      (lines, entries, bytes, [delta, line], offset) => {
        const { pages, places, regions } = example(lines, entries, bytes);
        const page = pages.get(delta);
        if (page) page[line * LINE + offset]! ^= 0x10;
        const isCode = lines.some(([d, l]) => d === delta && l === line);
        for (const place of places) expect(findAt(regions, pages, place) === undefined).toBe(isCode);
      },
    ),
    { examples: [[[[0, 1]], [[0, 3]], new Uint8Array(7 * PAGE), [0, 1], 3]] },
  );
});

test('not with one of its pages unknown', () => {
  fc.assert(
    fc.property(someLines, someEntries, someBytes, fc.nat(11), (lines, entries, bytes, which) => {
      const { pages, places, regions } = example(lines, entries, bytes);
      pages.delete(lines[which % lines.length]![0]);
      for (const place of places) expect(findAt(regions, pages, place)).toBeUndefined();
    }),
  );
});

test('of two at an entry the first, or the one that is there', () => {
  const lines: Lines = [
    [0, 1],
    [1, 2],
  ];
  const bytes = Uint8Array.from({ length: 7 * PAGE }, (_, i) => i * 31);
  const both = example(lines, [[0, 0]], bytes);
  const one = example(lines.slice(0, 1), [[0, 0]], bytes);
  const regions = regionsOf(outlineOf(both.stored, 1), outlineOf(one.stored, 2));
  expect(findAt(regions, both.pages, LINE)?.region.number).toBe(1);
  expect(findAt(regions, one.pages, LINE)?.region.number).toBe(2);
});

test('of any number with the same entry a few are looked at', () => {
  const bytes = new Uint8Array(7 * PAGE);
  const regions = Array.from({ length: 20 }, (_, i) => {
    bytes[3 * PAGE + LINE] = i;
    return example(
      [
        [0, 0],
        [0, 1],
      ],
      [[0, 0]],
      bytes,
    );
  });
  const all = regionsOf(...regions.map(({ stored }, i) => outlineOf(stored, i)));
  expect(all.size).toBe(20);
  expect(findAt(all, regions[3]!.pages, 0)?.region.number).toBe(3);
  expect(findAt(all, regions[19]!.pages, 0)).toBeUndefined();
});

test('what has no code is not kept in the outline', () => {
  const { stored } = example([[0, 0]], [[0, 0]], new Uint8Array(7 * PAGE));
  const origin = {
    leaders: [0, PAGE],
    entries: [0, PAGE],
    missing: [0, -1],
    start: 0,
    name: 'guest:x@00001000',
  };
  const { outline } = toStore(
    origin,
    { translation: stored.translation, ...MADE },
    () => new Uint8Array(PAGE),
  );
  expect(outline).toEqual({ leaders: [0], entries: [0], missing: [0] });
});

/** The worker's stores: what is taken out is compiled, and goes with nothing else. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dataTlbFor } from '../backend-wasm/data-tlb.js';
import { OpenStores } from './open-stores.js';
import { storedRegion } from './testing/stored-region.js';
import { type StoredRegion, writeStore } from './translation-store.js';
import { NATIVES_ARE_KNOWN } from './v8-flags.js';

const TLB = dataTlbFor(1 << 20);
/** An empty module. */
const WASM = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'lguest-open-'))));
afterEach(() => rmSync(folder, { recursive: true }));

const region = (start: number, wasm = WASM, unusedRuns = 0): StoredRegion =>
  storedRegion(start, wasm, unusedRuns);

/** A store of these regions in a file of this name, and its path. */
function stored(stores: OpenStores, regions: readonly StoredRegion[], name = 'store'): string {
  const path = join(folder, name);
  writeStore(path, stores.open(path, TLB)!.version, regions);
  return path;
}

test('what is read has bytes of its own', () => {
  const stores = new OpenStores('build');
  const { regions, problem } = stores.open(stored(stores, [region(1), region(2)]), TLB)!;
  expect(problem).toBeUndefined();
  expect(regions.map(({ start }) => start)).toEqual([1, 2]);
  for (const { number, code } of regions) {
    const { translation, module } = stores.get(number)!;
    expect(module).toBeInstanceOf(WebAssembly.Module);
    expect(translation.wasm).toEqual(WASM);
    expect(translation.wasm.buffer.byteLength).toBe(WASM.length);
    for (const bytes of code.values()) expect(bytes.buffer.byteLength).toBe(64);
  }
});

test('a module is compiled once', () => {
  const stores = new OpenStores('build');
  const [first] = stores.open(stored(stores, [region(1)]), TLB)!.regions;
  expect(stores.get(first!.number)!.module).toBe(stores.get(first!.number)!.module);
});

test('a module without machine code is compiled, and then there is some to keep', () => {
  const stores = new OpenStores('build');
  const [first] = stores.open(stored(stores, [region(1)]), TLB)!.regions;
  expect(stores.get(first!.number)!.compiledAnew).toBe(NATIVES_ARE_KNOWN);
});

test('of other builds, and for other TLBs, there is nothing', () => {
  const path = stored(new OpenStores('build'), [region(1)]);
  const nothing = { regions: [], problem: expect.stringMatching(/another build/) };
  expect(new OpenStores('other build').open(path, TLB)).toMatchObject(nothing);
  expect(new OpenStores('build').open(path, dataTlbFor(2 ** 30))).toMatchObject(nothing);
  expect(new OpenStores('build').open(path, TLB)!.regions).toHaveLength(1);
});

test('without a build there is no store', () => {
  expect(new OpenStores(undefined).open(join(folder, 'store'), TLB)).toBeUndefined();
});

test('a store that is read again has new numbers, and the old ones mean nothing', () => {
  const stores = new OpenStores('build');
  const path = stored(stores, [region(1)]);
  const [before] = stores.open(path, TLB)!.regions;
  const [after] = stores.open(path, TLB)!.regions;
  expect(after!.number).not.toBe(before!.number);
  expect(stores.get(before!.number)).toBeUndefined();
  expect(stores.get(after!.number)).toBeDefined();
});

test('few are open at a time', () => {
  const stores = new OpenStores('build');
  const numbers = Array.from({ length: 6 }, (_, i) => {
    const path = stored(stores, [region(1)], `store${i}`);
    return stores.open(path, TLB)!.regions[0]!.number;
  });
  expect(numbers.map((number) => stores.get(number) !== undefined)).toEqual([
    false,
    false,
    true,
    true,
    true,
    true,
  ]);
});

test('what the last run had is compiled ahead, and nothing else', () => {
  const stores = new OpenStores('build');
  stores.open(stored(stores, [region(1), region(2, WASM, 1), region(3)]), TLB);
  expect([1, 2, 3, 4].map(() => stores.compileNext())).toEqual([true, true, false, false]);
});

test('what does not compile is told of when it is asked for', () => {
  const stores = new OpenStores('build');
  const [bad] = stores.open(stored(stores, [region(1, Uint8Array.of(1, 2, 3))]), TLB)!.regions;
  expect(() => stores.compileNext()).toThrow(WebAssembly.CompileError);
  expect(() => stores.get(bad!.number)).toThrow(WebAssembly.CompileError);
});

test('contents that make no sense are a problem', () => {
  const stores = new OpenStores('build');
  const path = stored(stores, [{ ...region(1), code: new Map() }]);
  expect(stores.open(path, TLB)).toMatchObject({ regions: [], problem: expect.any(String) });
});

test('so is a file that others may write', () => {
  const path = join(folder, 'store');
  writeFileSync(path, '');
  chmodSync(path, 0o666);
  expect(new OpenStores('build').open(path, TLB)).toMatchObject({ problem: expect.stringMatching(/others/) });
});

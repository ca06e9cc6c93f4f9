/** Files of translations: what is read is what was written, or nothing. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { storedRegion } from './testing/stored-region.js';
import {
  type KnownBlocks,
  makeDirectory,
  mergeStores,
  readStore,
  STORE_LIMITS,
  storeName,
  type StoredRegion,
  writeStore,
} from './translation-store.js';

const VERSION = 'one';
let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lguest-store-'));
  path = join(folder, 'below', storeName(['a guest']));
});
afterEach(() => rmSync(folder, { recursive: true }));

const region = (start: number, wasmBytes = 100, unusedRuns = 0): StoredRegion =>
  storedRegion(start, new Uint8Array(wasmBytes).fill(7), unusedRuns);

/** Start and age of each. */
const told = (regions: readonly StoredRegion[]): number[][] => regions.map((r) => [r.start, r.unusedRuns]);

test('comes back as it was, readable and writable by its owner alone', () => {
  const regions = [region(1), region(2, 5000)];
  writeStore(path, VERSION, regions);
  expect(readStore(path, VERSION)).toMatchObject({ regions });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder, 'below')).mode & 0o777).toBe(0o700);
  expect(readdirSync(join(folder, 'below'))).toHaveLength(1);
});

test('without a file there is nothing, and nothing wrong', () => {
  expect(readStore(path, VERSION)).toEqual({ regions: [] });
});

test('of another build or V8 nothing is read', () => {
  writeStore(path, VERSION, [region(1)]);
  expect(readStore(path, 'two')).toEqual({ regions: [], problem: expect.stringMatching(/another build/) });
});

test('a file with any byte changed, or cut off anywhere, is nothing', () => {
  writeStore(path, VERSION, [region(1), region(2)]);
  const whole = readFileSync(path);
  const nothing = { regions: [], problem: expect.stringMatching(/damaged/) };
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
      const changed = Buffer.from(whole);
      changed[at]! ^= by;
      writeFileSync(path, changed);
      expect(readStore(path, VERSION)).toEqual(nothing);
      writeFileSync(path, whole.subarray(0, at));
      expect(readStore(path, VERSION)).toEqual(nothing);
    }),
  );
});

test('what others may write, and what is no file, is nothing', () => {
  writeStore(path, VERSION, [region(1)]);
  for (const mode of [0o620, 0o602]) {
    chmodSync(path, mode);
    expect(readStore(path, VERSION)).toEqual({ regions: [], problem: expect.stringMatching(/others/) });
  }
  expect(readStore(folder, VERSION)).toEqual({
    regions: [],
    problem: expect.stringMatching(/no file|EISDIR/),
  });
  const below = join(path, 'x');
  expect(readStore(below, VERSION).regions).toEqual([]);
});

test('a link, and what nobody writes to, is nothing', () => {
  writeStore(path, VERSION, [region(1)]);
  const link = join(folder, 'link');
  symlinkSync(path, link);
  expect(readStore(link, VERSION)).toEqual({ regions: [], problem: expect.stringMatching(/ELOOP/) });
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  expect(readStore(pipe, VERSION)).toEqual({ regions: [], problem: expect.stringMatching(/no file/) });
});

test('a directory is made with the one that it is in, and may be there', () => {
  makeDirectory(join(folder, 'a', 'b'));
  makeDirectory(join(folder, 'a', 'b'));
  expect(() => makeDirectory(join(folder, 'c', 'd', 'e'))).toThrow(/ENOENT/);
  expect(readdirSync(folder)).toEqual(['a']);
});

test('what cannot be written leaves nothing behind', () => {
  const file = join(folder, 'file');
  writeFileSync(file, '');
  expect(() => writeStore(join(file, 'x'), VERSION, [])).toThrow();
  const directory = join(folder, 'directory', 'x');
  writeStore(join(directory, 'inside'), VERSION, []);
  expect(() => writeStore(directory, VERSION, [])).toThrow();
  expect(readdirSync(join(folder, 'directory'))).toEqual(['x']);
});

test('other guests have other files', () => {
  const names = [['a'], ['b'], ['a', ''], ['', 'a'], ['ab'], ['a', 'b']].map(storeName);
  expect(new Set(names).size).toBe(names.length);
});

describe('what is kept', () => {
  const blocks = (taken: number[] = [], used: number[] = []): KnownBlocks => ({
    keyOf: ({ start }) => start,
    taken: new Set(taken),
    used: new Set(used),
  });

  test('is what lives, and what lived before, a run older', () => {
    const before = [region(2), region(3, 100, 2), region(4)];
    expect(told(mergeStores([region(1)], before, blocks([1, 4])))).toEqual([
      [1, 0],
      [2, 1],
      [3, 3],
    ]);
  });

  test('has the machine code that was, if the Wasm is the same and V8 now gives none', () => {
    const machineCode = Uint8Array.of(1);
    const before = [1, 2, 3].map((start) => ({ ...region(start), machineCode }));
    const newer = { ...region(3), machineCode: Uint8Array.of(2) };
    const merged = mergeStores([region(1), region(2, 99), newer], before, blocks([1, 2, 3]));
    expect(merged.map((r) => r.machineCode)).toEqual([machineCode, undefined, newer.machineCode]);
  });

  test('is not what was in no use for many runs', () => {
    const before = [region(1, 100, STORE_LIMITS.runs), region(2, 100, STORE_LIMITS.runs - 1)];
    expect(told(mergeStores([], before, blocks()))).toEqual([[2, STORE_LIMITS.runs]]);
    expect(told(mergeStores([], before, blocks([], [1])))).toEqual([
      [1, 0],
      [2, STORE_LIMITS.runs],
    ]);
  });

  test('is within bounds, and the oldest go first', () => {
    const many = Array.from({ length: STORE_LIMITS.regions }, (_, i) => region(i));
    expect(mergeStores(many, [region(5000)], blocks())).toEqual(many);
    const large = STORE_LIMITS.regionBytes / 2 - 1000;
    const merged = mergeStores([region(1, large)], [region(2, large, 3), region(3, large, 1)], blocks());
    expect(told(merged)).toEqual([
      [1, 0],
      [3, 2],
    ]);
  });
});

test('a directory keeps the files that were written last, and what else is in it', () => {
  const directory = join(folder, 'below');
  const names = Array.from({ length: STORE_LIMITS.files + 3 }, (_, i) => storeName([String(i)]));
  names.forEach((name, i) => {
    writeStore(join(directory, name), VERSION, []);
    utimesSync(join(directory, name), 1000 + i, 1000 + i);
  });
  writeFileSync(join(directory, 'notes'), '');
  const unfinished = ['a', 'b'].map((digit) => `${names[0]!}.${digit.repeat(16)}`);
  for (const name of unfinished) writeFileSync(join(directory, name), '');
  utimesSync(join(directory, unfinished[0]!), 1000, 1000);
  writeStore(join(directory, names[0]!), VERSION, []);
  const there = [names[0]!, unfinished[1]!, ...names.slice(-(STORE_LIMITS.files - 1))];
  expect(readdirSync(directory).sort()).toEqual([...there, 'notes'].sort());
  expect(existsSync(join(directory, names[1]!))).toBe(false);
});

/**
 * A file of translations for later runs: each with the code that it was made from, so that whoever has the same code in
 * memory can use it. What the file says is believed, so it counts only if it is the user's own, whole, and of the same
 * build under the same V8; in any other case it is as if there were none.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { deserialize, serialize } from 'node:v8';
import type { RegionOutline } from '../frontend-x86/discover.js';
import type { Translation } from './translator.js';
import { UNFINISHED, writeWhole } from './whole-file.js';

/** Bounds, of a file and of a directory of such files. */
export const STORE_LIMITS = {
  regions: 1000,
  /** Of Wasm, its machine code, code and tables, as `bytesOf` reckons them. */
  regionBytes: 24 * 1024 * 1024,
  fileBytes: 48 * 1024 * 1024,
  /** Ended runs that had no use for a region, after which it is left out. */
  runs: 8,
  files: 16,
  directoryBytes: 128 * 1024 * 1024,
  /** A file that was not finished in this time never will be. */
  unfinishedMilliseconds: 3_600_000,
} as const;

/** A region as it was at the end of a run. */
export interface StoredRegion {
  /** Without what had no code. */
  readonly outline: RegionOutline;
  /** As in `RegionOrigin`. */
  readonly start: number;
  readonly name: string;
  /** Its code, by page delta: the bytes of `translation.lines`, one line after the other. */
  readonly code: ReadonlyMap<number, Uint8Array>;
  readonly translation: Translation;
  /** See `machine-code.ts`. */
  readonly machineCode?: Uint8Array | undefined;
  /** Ended runs since it was last of use, or lived at the end. */
  readonly unusedRuns: number;
}

interface Contents {
  readonly version: string;
  readonly regions: readonly StoredRegion[];
}

/** What was read; `problem` if there is a file that does not count. */
export interface ReadStore {
  readonly regions: readonly StoredRegion[];
  readonly problem?: string;
}

const PREFIX = 'translations-';
const NAME = new RegExp(`^${PREFIX}[0-9a-f]+$`);
/** What is being written. */
const UNFINISHED_NAME = new RegExp(`^${PREFIX}[0-9a-f]+${UNFINISHED}$`);
const DIGEST_BYTES = 32;
/** Others may not write it. */
const FOREIGN_WRITE = 0o022;

/** Name of the file for a guest that is told by `parts`. */
export function storeName(parts: readonly (string | Uint8Array)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(String(part.length)).update(':').update(part);
  return PREFIX + hash.digest('hex').slice(0, 32);
}

function digest(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/** Reads what was written for the same `version`. Throws nothing. */
export function readStore(path: string, version: string): ReadStore {
  const none = (problem: string): ReadStore => ({ regions: [], problem });
  let fd: number | undefined;
  try {
    // Opening a FIFO would wait for its other end.
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const stat = fstatSync(fd);
    if (!stat.isFile() || stat.size > STORE_LIMITS.fileBytes) return none('it is no file of translations');
    const isForeign = process.getuid !== undefined && stat.uid !== process.getuid();
    if (isForeign || (stat.mode & FOREIGN_WRITE) !== 0) return none('others own it, or may write it');
    const file = readFileSync(fd);
    const body = file.subarray(DIGEST_BYTES);
    if (file.length < DIGEST_BYTES || !digest(body).equals(file.subarray(0, DIGEST_BYTES)))
      return none('it is damaged');
    const contents = deserialize(body) as Contents;
    return contents.version === version ? contents : none('it is of another build, or another V8');
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    return isMissing ? { regions: [] } : none((error as Error).message);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/** About what a region takes in a file. */
function bytesOf({ outline, code, translation, machineCode }: StoredRegion): number {
  const { leaders, entries, missing = [] } = outline;
  const numbers = leaders.length + 4 * entries.length + missing.length + 4 * translation.map.length;
  const lines = [...code.values()].reduce((sum, { length }) => sum + length, 0);
  return translation.wasm.length + (machineCode?.length ?? 0) + lines + 8 * numbers;
}

/** Blocks that regions are told by, or entered at, as numbers. */
export interface KnownBlocks {
  readonly keyOf: (region: StoredRegion) => number;
  /** Entries of what lives: regions that are told by one of them have given way. */
  readonly taken: ReadonlySet<number>;
  /** Those of regions that were of use in this run. */
  readonly used: ReadonlySet<number>;
}

/** The region with the machine code that it had before, if it is the same one and now has none, as beside a debugger. */
function withMachineCode(region: StoredRegion, before: StoredRegion | undefined): StoredRegion {
  if (region.machineCode || before === undefined) return region;
  const isSame = Buffer.compare(region.translation.wasm, before.translation.wasm) === 0;
  return isSame ? { ...region, machineCode: before.machineCode } : region;
}

/** What to write: `live` first, then what was there, as far as there is room. */
export function mergeStores(
  live: readonly StoredRegion[],
  before: readonly StoredRegion[],
  { keyOf, taken, used }: KnownBlocks,
): StoredRegion[] {
  const known = new Map(before.map((region) => [keyOf(region), region]));
  const now = live.map((region) => withMachineCode(region, known.get(keyOf(region))));
  const old = before
    .filter((region) => !taken.has(keyOf(region)))
    .map((region) => ({ ...region, unusedRuns: used.has(keyOf(region)) ? 0 : region.unusedRuns + 1 }))
    .filter(({ unusedRuns }) => unusedRuns <= STORE_LIMITS.runs)
    .sort((a, b) => a.unusedRuns - b.unusedRuns);
  let room: number = STORE_LIMITS.regionBytes;
  return [...now, ...old].slice(0, STORE_LIMITS.regions).filter((region) => (room -= bytesOf(region)) >= 0);
}

/** Makes a directory, and the one that it is in, for the user alone. (What makes all above them never ends in /proc.) */
export function makeDirectory(path: string): void {
  const parent = dirname(path);
  for (const directory of existsSync(parent) ? [path] : [parent, path])
    try {
      mkdirSync(directory, { mode: 0o700 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
}

/** Writes the file, all of it or nothing, and removes the oldest of others where there are too many. Throws `Error`. */
export function writeStore(path: string, version: string, regions: readonly StoredRegion[]): void {
  const directory = dirname(path);
  makeDirectory(directory);
  const body = serialize({ version, regions } satisfies Contents);
  writeWhole(path, Buffer.concat([digest(body), body]), 0o600);
  prune(directory, basename(path));
}

/** Removes what was never finished, and the oldest files of translations, but not `newest`, until the rest are within bounds. */
function prune(directory: string, newest: string): void {
  const named = (form: RegExp): { path: string; bytes: number; modified: number }[] =>
    readdirSync(directory)
      .filter((name) => form.test(name) && name !== newest)
      .map((name) => join(directory, name))
      .map((path) => {
        const stat = statSync(path, { throwIfNoEntry: false });
        return { path, bytes: stat?.size ?? 0, modified: stat?.mtimeMs ?? 0 };
      });
  for (const { path, modified } of named(UNFINISHED_NAME))
    if (Date.now() - modified > STORE_LIMITS.unfinishedMilliseconds) rmSync(path, { force: true });
  let bytes = statSync(join(directory, newest)).size;
  let files = 1;
  for (const file of named(NAME).sort((a, b) => b.modified - a.modified)) {
    bytes += file.bytes;
    files++;
    if (files > STORE_LIMITS.files || bytes > STORE_LIMITS.directoryBytes) rmSync(file.path, { force: true });
  }
}

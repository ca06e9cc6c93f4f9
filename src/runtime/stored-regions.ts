/** Regions of earlier runs, found by their code: where a block takes a step one of them may be entered. */
import { pageOf, type RegionOutline } from '../frontend-x86/discover.js';
import { PAGE } from '../frontend-x86/limits.js';
import { bytesOfLines, hasLines, lineAmong, lineAt } from './code-lines.js';
import { machineCodeOf } from './machine-code.js';
import type { Made } from './translation-reuse.js';
import type { StoredRegion } from './translation-store.js';
import type { RegionOrigin, Translation } from './translator.js';

/** A place where a region can be entered: others may have the same key. */
export interface StoredEntry {
  /** What `keyOf` makes of the block's line and offset. */
  readonly key: number;
  /** Its page. */
  readonly delta: number;
}

/** A stored region without its Wasm, as those know it that look for code. */
export interface StoredOutline extends Pick<StoredRegion, 'outline' | 'start' | 'name' | 'code'> {
  /** What the worker calls its translation. */
  readonly number: number;
  readonly lines: Translation['lines'];
  readonly entries: readonly StoredEntry[];
}

/** Regions with the same key that are looked at: a guest may have made any number of them. */
const MOST_OF_A_KEY = 8;

/** A line of code (FNV-1a, 32 bits) and the offset of a block in its page, as a number. */
function keyOf(line: Uint8Array, offset: number): number {
  let hash = 0x811c9dc5;
  for (const byte of line) hash = Math.imul(hash ^ byte, 0x01000193);
  return (hash >>> 0) * PAGE + offset;
}

/** The key of a place of a region, which has code there. */
function keyAt(lines: Translation['lines'], code: StoredRegion['code'], place: number): number {
  const delta = pageOf(place);
  const offset = place & (PAGE - 1);
  return keyOf(lineAmong(code.get(delta)!, lines.get(delta)!, offset), offset);
}

/** The key of the block that a region is told by. */
export function startKey({ start, code, lines }: Pick<StoredOutline, 'start' | 'code' | 'lines'>): number {
  return keyAt(lines, code, start);
}

/** What those know of a stored region that look for code. */
export function outlineOf(region: StoredRegion, number: number): StoredOutline {
  const { outline, start, name, code, translation } = region;
  const { lines } = translation;
  const entries = translation.entries.map(({ place }) => ({
    key: keyAt(lines, code, place),
    delta: pageOf(place),
  }));
  return { number, outline, start, name, code, lines, entries };
}

/** What was made of an installed region: its translation, module, and the function that the module exports. */
export interface MadeRegion extends Made {
  readonly region: WebAssembly.ExportValue;
}

/** What to store of a region. `bytesOf`: the page with a delta. */
export function toStore(
  origin: RegionOutline & Pick<RegionOrigin, 'start' | 'name'>,
  { translation, module, region }: MadeRegion,
  bytesOf: (delta: number) => Uint8Array,
): StoredRegion {
  const { lines } = translation;
  const hasCode = (place: number): boolean => lines.has(pageOf(place));
  return {
    outline: {
      leaders: origin.leaders.filter(hasCode),
      entries: origin.entries.filter(hasCode),
      missing: (origin.missing ?? []).filter(hasCode),
    },
    start: origin.start,
    name: origin.name,
    code: new Map([...lines].map(([delta, bits]) => [delta, bytesOfLines(bytesOf(delta), bits)])),
    translation,
    machineCode: machineCodeOf(module, [region]),
    unusedRuns: 0,
  };
}

/** A stored region where a block of it is in memory. */
export interface StoredMatch<Page> {
  readonly region: StoredOutline;
  /** By delta. */
  readonly pages: ReadonlyMap<number, Page>;
  /** Delta of the block's page. */
  readonly delta: number;
}

export class StoredRegions {
  private readonly entries = new Map<number, { region: StoredOutline; delta: number }[]>();

  size = 0;

  /** Of two with the same entry the first is preferred. */
  add(regions: readonly StoredOutline[]): void {
    this.size += regions.length;
    for (const region of regions) {
      for (const { key, delta } of region.entries) {
        const others = this.entries.get(key);
        if (others === undefined) this.entries.set(key, [{ region, delta }]);
        else if (others.length < MOST_OF_A_KEY) others.push({ region, delta });
      }
    }
  }

  /** Whether a region may be entered at `offset` of a page with these bytes: `find` has a closer look. */
  mayEnter(page: Uint8Array, offset: number): boolean {
    return this.entries.has(keyOf(lineAt(page, offset), offset));
  }

  /**
   * The region that can be entered at `offset` of a page, and all whose code is in memory. `pageAt`: the page so many pages
   * behind that one, if it is known; `bytesOf`: its 4096 bytes.
   */
  find<Page>(
    offset: number,
    pageAt: (distance: number) => Page | undefined,
    bytesOf: (page: Page) => Uint8Array,
  ): StoredMatch<Page> | undefined {
    const page = pageAt(0);
    if (page === undefined) return undefined;
    for (const { region, delta } of this.entries.get(keyOf(lineAt(bytesOf(page), offset), offset)) ?? []) {
      const pages = pagesOf(region, (other) => pageAt(other - delta), bytesOf);
      if (pages) return { region, pages, delta };
    }
    return undefined;
  }
}

/** The pages that have a region's code now, by delta; undefined if they have not. */
function pagesOf<Page>(
  { lines, code }: StoredOutline,
  pageAt: (delta: number) => Page | undefined,
  bytesOf: (page: Page) => Uint8Array,
): Map<number, Page> | undefined {
  const found = new Map<number, Page>();
  for (const [delta, bits] of lines) {
    const page = pageAt(delta);
    if (page === undefined || !hasLines(bytesOf(page), bits, code.get(delta)!)) return undefined;
    found.set(delta, page);
  }
  return found;
}

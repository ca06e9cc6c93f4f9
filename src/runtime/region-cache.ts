/** The installed regions of a machine: entries, table slots, and what happens when their page changes. */
import { LRUCache } from 'lru-cache';
import * as L from '../backend-wasm/memory-layout.js';
import { pageOf } from '../frontend-x86/discover.js';
import type { CodeCache } from './code-cache.js';
import { sameLines } from './code-lines.js';
import type { CodePageView } from './code-page.js';
import type { MachineMemory } from './machine-memory.js';
import { Ranges } from './ranges.js';
import { RegionTraffic } from './region-traffic.js';
import type { MadeRegion } from './stored-regions.js';
import type { RegionOrigin, Translation, TranslationRequest } from './translator.js';

export interface RegionLimits {
  /** Live regions: at most MAX_REGIONS. */
  readonly regions: number;
  /** Wasm bytes of live regions. */
  readonly codeBytes: number;
  /** Places where they can be entered: at most MAX_REGION_ENTRIES. */
  readonly entries: number;
  /** Bytes of their data: at most those of the entry maps' part of control memory. */
  readonly dataBytes: number;
}

/** Bounds, in one place. */
export const REGION_LIMITS: RegionLimits = {
  regions: 3000,
  codeBytes: 48 * 1024 * 1024,
  entries: L.MAX_REGION_ENTRIES,
  dataBytes: L.ENTRY_MAPS_END - L.ENTRY_MAPS,
};

type ByteRange = readonly [from: number, to: number];

/** An installed region. */
export interface Region {
  readonly origin: RegionOrigin;
  /** Undefined unless somebody wants to look inside. */
  readonly traffic: RegionTraffic | undefined;
  readonly slot: number;
  /** Its rows of the entry table, and its entry map: byte ranges of control memory. */
  readonly rows: ByteRange;
  readonly map: ByteRange;
  readonly bytes: number;
  /** Guest instructions in it. */
  readonly instructions: number;
  /** Undefined unless it is to be kept. */
  readonly made: MadeRegion | undefined;
  /** By entry number; `place` as in `RegionOutline`. */
  readonly entries: readonly {
    readonly page: CodePageView;
    readonly offset: number;
    readonly place: number;
  }[];
  /** All that it was made from, by page delta. */
  readonly pagesByDelta: ReadonlyMap<number, CodePageView>;
  readonly pages: readonly CodePageView[];
  readonly drop: () => void;
}

/** A table index that no region has, and an entry's number that none has. */
const NO_REGION = -1;
const NO_ENTRY = -1;
/** Room for the record of an entry. */
const ENTRY_RECORD_BYTES = 16;

/** A copy of the pages, to translate from. */
function snapshot(
  memory: MachineMemory,
  pages: ReadonlyMap<number, CodePageView>,
): TranslationRequest['pages'] {
  return new Map([...pages].map(([delta, { pfn }]) => [delta, memory.view(pfn * 4096, 4096).slice()]));
}

/** What to ask a translator for. */
export function requestFor(
  memory: MachineMemory,
  { leaders, entries, missing, name, optimized }: RegionOrigin,
  pages: ReadonlyMap<number, CodePageView>,
  stored?: number,
): TranslationRequest {
  const { dataTlb } = memory;
  return {
    leaders,
    entries,
    ...(missing && { missing }),
    ...(stored !== undefined && { stored }),
    name,
    optimized,
    dataTlb,
    pages: snapshot(memory, pages),
  };
}

/** Whether bytes that a translation was made from are not what they were when it was asked for. */
export function hasChanged(
  memory: MachineMemory,
  pages: ReadonlyMap<number, CodePageView>,
  request: TranslationRequest,
  { lines }: Translation,
): boolean {
  return [...lines].some(([delta, bits]) => {
    const now = memory.view(pages.get(delta)!.pfn * 4096, 4096);
    return !sameLines(now, request.pages.get(delta)!, bits);
  });
}

export class RegionCache {
  private readonly live: LRUCache<number, Region>;
  private readonly freeSlots: number[] = [];
  private nextSlot = 0;
  private readonly entryNumbers: Ranges;
  private readonly entryMaps: Ranges;
  readonly counts = { installed: 0, dropped: 0, bytes: 0, instructions: 0 };

  constructor(
    private readonly memory: MachineMemory,
    private readonly code: CodeCache,
    private readonly table: WebAssembly.Table,
    /** What regions import: memory, JavaScript functions, IR functions of the interpreter. */
    private readonly environment: Readonly<Record<string, WebAssembly.ImportValue>>,
    /** Counts how each region is entered and left, which costs time. */
    private readonly watched: boolean,
    /** What was made of regions stays with them, to be stored. */
    private readonly keeping: boolean,
    private readonly limits = REGION_LIMITS,
  ) {
    this.entryNumbers = new Ranges(0, limits.entries);
    this.entryMaps = new Ranges(L.ENTRY_MAPS, L.ENTRY_MAPS + limits.dataBytes);
    this.live = new LRUCache<number, Region>({
      max: limits.regions,
      maxSize: limits.codeBytes,
      sizeCalculation: (r) => r.bytes,
      dispose: (region) => this.uninstall(region),
    });
  }

  /** Installs a translation of pages as they are now, by page delta. False if there is no room for it. */
  install(
    pages: ReadonlyMap<number, CodePageView>,
    translation: Translation,
    origin: RegionOrigin,
    module = new WebAssembly.Module(translation.wasm as BufferSource),
  ): boolean {
    const { entries } = translation;
    const mapBytes = L.regionDataBytes(translation.map.length, translation.pages.length);
    const { limits } = this;
    if (translation.wasm.length > limits.codeBytes) return false;
    if (entries.length > limits.entries || mapBytes > limits.dataBytes) return false;
    if (!this.code.hasRoom(entries.length * ENTRY_RECORD_BYTES)) return false;
    this.makeRoom(translation.wasm.length);
    const first = this.take(this.entryNumbers, entries.length);
    const map = this.take(this.entryMaps, mapBytes);
    translation.map.forEach((row, i) => {
      const at = (map + i * L.ENTRY_MAP_ROW_BYTES) >> 2;
      this.memory.i32[at] = row ? row[0] : L.EMPTY_PLACE;
      // A place that a guest jumps to may be the empty one: no entry is there.
      this.memory.i32[at + 1] = row ? row[1] : NO_ENTRY;
      this.memory.i32[at + 2] = row ? pages.get(pageOf(row[0]))!.map : 0;
    });
    const behind = (map + translation.map.length * L.ENTRY_MAP_ROW_BYTES) >> 2;
    translation.pages.forEach((delta, i) => (this.memory.i32[behind + i] = pages.get(delta)!.map));
    const env: Record<string, WebAssembly.ImportValue> = {};
    for (const { name } of WebAssembly.Module.imports(module)) env[name] = this.environment[name]!;
    const { region } = new WebAssembly.Instance(module, { env }).exports;
    const slot = this.freeSlots.pop() ?? this.nextSlot++;
    const traffic = this.watched ? new RegionTraffic(this.memory) : undefined;
    this.table.set(slot, traffic ? traffic.watch(region as () => number) : (region as () => number));
    const placed = entries.map(({ place }) => ({
      page: pages.get(pageOf(place))!,
      offset: place & 0xfff,
      place,
    }));
    const rows = L.REGION_ENTRY_TABLE + first * L.REGION_ENTRY_BYTES;
    const installed: Region = {
      rows: [rows, rows + entries.length * L.REGION_ENTRY_BYTES],
      map: [map, map + mapBytes],
      origin,
      traffic,
      pagesByDelta: pages,
      slot,
      bytes: translation.wasm.length,
      instructions: translation.instructions,
      made: this.keeping ? { translation, module, region } : undefined,
      entries: placed,
      pages: [...translation.lines.keys()].map((delta) => pages.get(delta)!),
      drop: () => {
        if (this.live.peek(slot) === installed) this.live.delete(slot);
      },
    };
    entries.forEach(({ place, need }, i) => {
      const { page, offset } = placed[i]!;
      const at = (rows + i * L.REGION_ENTRY_BYTES) >> 2;
      this.memory.i32.set([slot, i, map, (pageOf(place) * 4096) | need], at);
      this.code.enterRegionAt(page, offset, first + i, slot);
    });
    for (const [delta, lines] of translation.lines) this.code.markLines(pages.get(delta)!, lines, slot);
    for (const page of installed.pages) page.onDrop.add(installed.drop);
    this.live.set(slot, installed);
    this.counts.installed++;
    this.counts.bytes += translation.wasm.length;
    this.counts.instructions += translation.instructions;
    return true;
  }

  /** Makes room for a region of so many bytes. */
  private makeRoom(bytes: number): void {
    const { regions, codeBytes } = this.limits;
    while (this.live.size >= regions || this.live.calculatedSize + bytes > codeBytes) this.evict();
  }

  /** Takes a range, for which other regions may have to go. */
  private take(ranges: Ranges, length: number): number {
    for (;;) {
      const first = ranges.take(length);
      if (first !== undefined) return first;
      this.evict();
    }
  }

  /**
   * Drops the region that was not used for longest, to a turn of the cache's precision: those that were entered since
   * they were last looked at get another turn.
   */
  private evict(): void {
    const { u8 } = this.memory;
    for (let looks = this.live.size; looks > 0; looks--) {
      const [{ slot } = { slot: NO_REGION }] = this.live.rvalues();
      if (u8[L.REGION_USED + slot] === 0) break;
      u8[L.REGION_USED + slot] = 0;
      this.live.get(slot);
    }
    if (this.live.pop() === undefined) throw new Error('a region is larger than all regions may be');
  }

  private uninstall(region: Region): void {
    this.counts.dropped++;
    for (const page of region.pages) {
      page.onDrop.delete(region.drop);
      this.code.unmarkLines(page, region.slot);
    }
    const gone = new Set<number>();
    for (const { page, offset } of region.entries) this.code.leaveRegionAt(page, offset, region.slot, gone);
    for (const page of new Set(region.entries.map((entry) => entry.page))) this.code.unlink(page, gone);
    // What still named it would trap, or find no entry.
    this.fill(region.rows, NO_REGION);
    this.fill(region.map, L.EMPTY_PLACE);
    const [rows] = region.rows;
    this.entryNumbers.give((rows - L.REGION_ENTRY_TABLE) / L.REGION_ENTRY_BYTES, region.entries.length);
    const [map, mapEnd] = region.map;
    this.entryMaps.give(map, mapEnd - map);
    this.memory.u8[L.REGION_USED + region.slot] = 0;
    this.table.set(region.slot, null);
    this.freeSlots.push(region.slot);
  }

  private fill([from, to]: ByteRange, value: number): void {
    this.memory.i32.fill(value, from >> 2, to >> 2);
  }

  /** What a region would be translated from now: the same, unless its pages are being written. */
  requestOf({ origin, pagesByDelta }: Region): TranslationRequest {
    return requestFor(this.memory, origin, pagesByDelta);
  }

  /** The region that an entry number belongs to. */
  ofEntry(entry: number): Region | undefined {
    return this.live.peek(this.memory.i32[(L.REGION_ENTRY_TABLE + entry * L.REGION_ENTRY_BYTES) >> 2]!);
  }

  /** All regions, the last installed first, or used where there was not room for all. */
  regions(): Iterable<Region> {
    return this.live.values();
  }

  /** Wasm bytes of the live regions. */
  get bytes(): number {
    return this.live.calculatedSize;
  }

  get size(): number {
    return this.live.size;
  }
}

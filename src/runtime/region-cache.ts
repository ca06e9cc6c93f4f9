/** The installed regions of a machine: entries, table slots, and what happens when their page changes. */
import { LRUCache } from 'lru-cache';
import * as L from '../backend-wasm/memory-layout.js';
import type { CodeCache, CodePageView } from './code-cache.js';
import type { MachineMemory } from './machine-memory.js';
import type { Translation } from './translator.js';

/** Bounds, in one place. */
export const REGION_LIMITS = {
  /** Live regions. */
  regions: 3000,
  /** Wasm bytes of live regions. */
  codeBytes: 48 * 1024 * 1024,
} as const;

interface Region {
  readonly slot: number;
  readonly bytes: number;
  readonly page: CodePageView;
  readonly drop: () => void;
}

export class RegionCache {
  private readonly live: LRUCache<number, Region>;
  private readonly freeSlots: number[] = [];
  private nextSlot = 0;
  private nextEntry = 0;
  readonly counts = { installed: 0, dropped: 0, bytes: 0, instructions: 0 };

  constructor(
    private readonly memory: MachineMemory,
    private readonly code: CodeCache,
    private readonly table: WebAssembly.Table,
    /** What regions import: memory, JavaScript functions, IR functions of the interpreter. */
    private readonly environment: Readonly<Record<string, WebAssembly.ImportValue>>,
  ) {
    this.live = new LRUCache<number, Region>({
      max: REGION_LIMITS.regions,
      maxSize: REGION_LIMITS.codeBytes,
      sizeCalculation: (r) => r.bytes,
      dispose: (region) => this.uninstall(region),
    });
  }

  /** Installs a translation of the page as it is now. False if there is no room for its entries. */
  install(page: CodePageView, translation: Translation): boolean {
    if (this.nextEntry + translation.entries.length > L.MAX_REGION_ENTRIES) {
      // Entry numbers are not reused piecemeal: start over.
      this.code.flush();
      this.nextEntry = 0;
      return false;
    }
    const module = new WebAssembly.Module(translation.wasm as BufferSource);
    const env: Record<string, WebAssembly.ImportValue> = {};
    for (const { name } of WebAssembly.Module.imports(module)) env[name] = this.environment[name]!;
    const { region } = new WebAssembly.Instance(module, { env }).exports;
    const slot = this.freeSlots.pop() ?? this.nextSlot++;
    this.table.set(slot, region as () => number);
    const first = this.nextEntry;
    this.nextEntry += translation.entries.length;
    translation.entries.forEach(({ offset, instructions }, i) => {
      const at = (L.REGION_ENTRY_TABLE + (first + i) * L.REGION_ENTRY_BYTES) >> 2;
      this.memory.i32.set([slot, i, first, page.map], at);
      this.code.enterRegionAt(page, offset, first + i, instructions);
    });
    this.code.markLines(page, translation.lines);
    const installed: Region = {
      slot,
      bytes: translation.wasm.length,
      page,
      drop: () => void this.live.delete(slot),
    };
    page.onDrop.add(installed.drop);
    this.live.set(slot, installed);
    this.counts.installed++;
    this.counts.bytes += translation.wasm.length;
    this.counts.instructions += translation.instructions;
    return true;
  }

  private uninstall(region: Region): void {
    this.counts.dropped++;
    if (region.page.onDrop.delete(region.drop)) this.code.drop(region.page);
    this.table.set(region.slot, null);
    this.freeSlots.push(region.slot);
  }

  get size(): number {
    return this.live.size;
  }
}

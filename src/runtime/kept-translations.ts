/** What an engine has of earlier runs of its guest, and leaves to later ones. */
import type { DataTlb } from '../backend-wasm/data-tlb.js';
import type { TranslationService } from './background.js';
import type { BlockVisitor, CodeCache } from './code-cache.js';
import type { CodePageView } from './code-page.js';
import { machineCodeOf } from './machine-code.js';
import type { Region } from './region-cache.js';
import {
  outlineOf,
  startKey,
  type StoredMatch,
  type StoredOutline,
  StoredRegions,
  toStore,
} from './stored-regions.js';
import { mergeStores, readStore, type StoredRegion, writeStore } from './translation-store.js';
import { isSymbolic } from './translator-bug.js';

/** A region of an earlier run where it is in memory. */
export type KnownRegion = StoredMatch<CodePageView>;

/** Blocks to look at between two runs: a fraction of a millisecond. */
const BLOCKS_AT_A_TIME = 300;

export class KeptTranslations {
  private regions: StoredRegions | undefined;
  private version: string | undefined;
  private problem: string | undefined;
  private isOpen = false;
  /** Nobody knows yet what earlier runs had, but soon. */
  isOpening = false;
  /** All regions are known, and `hasten` has something to do. */
  hasBlocksToVisit = false;
  /** Pages that it has not visited. */
  private pages: CodePageView[] | undefined;
  /** Regions that were asked for and have not come. */
  private readonly underWay = new Set<number>();
  /** Modules of regions whose store had no machine code of them, or none for this V8. */
  private readonly compiledAnew = new WeakSet<WebAssembly.Module>();
  /** Regions that were of use. */
  private readonly used = new Set<StoredOutline>();

  constructor(
    private readonly path: string,
    private readonly dataTlb: DataTlb,
    private readonly background: TranslationService,
  ) {}

  /** Lets the translator read the store, once. */
  open(): void {
    if (this.isOpen) return;
    this.isOpen = true;
    this.isOpening = this.background.openStore !== undefined;
    this.background.openStore?.(this.path, this.dataTlb, (store, isLast) => {
      if (isLast) this.isOpening = false;
      if (store === undefined) return;
      const { version, regions, problem } = store;
      this.version = version;
      this.problem = problem;
      this.regions ??= new StoredRegions();
      this.regions.add(regions);
      if (isLast && this.regions.size > 0) this.hasBlocksToVisit = true;
    });
  }

  /**
   * Lets the blocks where regions may be entered be looked at soon: some of those that there are at each call until all are
   * done, and all that are decoded from the first call on.
   */
  hasten(code: CodeCache, bytesOf: (page: CodePageView) => Uint8Array): void {
    const visit: BlockVisitor = (page, offset, record) => {
      if (this.regions!.mayEnter(bytesOf(page), offset)) code.heat.startEarly(record, page);
    };
    code.onBlock ??= visit;
    this.pages ??= code.pagesNow();
    for (let visited = 0; visited < BLOCKS_AT_A_TIME && this.pages.length > 0;)
      visited += code.visitBlocks(this.pages.pop()!, visit);
    this.hasBlocksToVisit = this.pages.length > 0;
  }

  /** How many regions are known, and how many of them were of use; undefined until the store was read. */
  get counts(): { readonly known: number; readonly used: number } | undefined {
    return this.regions && { known: this.regions.size, used: this.used.size };
  }

  /** The region that can be entered at `offset` of a page; see `StoredRegions.find`. */
  find(
    offset: number,
    pageAt: (distance: number) => CodePageView | undefined,
    bytesOf: (page: CodePageView) => Uint8Array,
  ): KnownRegion | undefined {
    return this.regions?.find(offset, pageAt, bytesOf);
  }

  isUnderWay({ region }: KnownRegion): boolean {
    return this.underWay.has(region.number);
  }

  /** The region is asked for. */
  asked({ region }: KnownRegion): void {
    this.underWay.add(region.number);
  }

  /** It has come, or will not. `compiledAnew`: its module, if it is as `KeptMade` says. */
  came({ region }: KnownRegion, compiledAnew: WebAssembly.Module | undefined): void {
    this.underWay.delete(region.number);
    if (compiledAnew) this.compiledAnew.add(compiledAnew);
  }

  /** It was installed. */
  wasOfUse({ region }: KnownRegion): void {
    this.used.add(region);
  }

  /**
   * Writes the regions, the last installed first, and those of earlier runs that none of them has taken the place of: other
   * runs may have written meanwhile. If there is nothing new all stays as it is. For once: then there is no store any more.
   * Returns what there is to tell.
   */
  save(live: readonly Region[], bytesOf: (page: CodePageView) => Uint8Array): string[] {
    const { path, version, problem } = this;
    if (version === undefined) return [];
    this.version = undefined;
    const told = problem === undefined ? [] : [`translations in ${path} were not used: ${problem}`];
    try {
      if (!live.some((region) => isNew(region) || this.hasNewMachineCode(region))) return told;
      const merged = this.merged(live, readStore(path, version).regions, bytesOf);
      writeStore(path, version, merged);
      told.push(`${merged.length} translations are kept in ${path}`);
    } catch (error) {
      told.push(`translations cannot be kept in ${path}: ${(error as Error).message}`);
    }
    return told;
  }

  /** Whether a region has machine code that its store had not. */
  private hasNewMachineCode({ made }: Region): boolean {
    return (
      made !== undefined &&
      this.compiledAnew.has(made.module) &&
      machineCodeOf(made.module, [made.region]) !== undefined
    );
  }

  private merged(
    live: readonly Region[],
    before: readonly StoredRegion[],
    bytesOf: (page: CodePageView) => Uint8Array,
  ): StoredRegion[] {
    const regions = live.flatMap(({ origin, made, pagesByDelta }) =>
      made ? [toStore(origin, made, (delta) => bytesOf(pagesByDelta.get(delta)!))] : [],
    );
    return mergeStores(regions, before, {
      keyOf: (region) => startKey({ ...region, lines: region.translation.lines }),
      taken: new Set(regions.map(outlineOf).flatMap(({ entries }) => entries.map(({ key }) => key))),
      used: new Set([...this.used].map(startKey)),
    });
  }
}

/** Whether a region is not as an earlier run had it. */
function isNew({ origin: { heat, merged, missedAt } }: Region): boolean {
  return heat !== 'known' || merged !== undefined || missedAt !== undefined;
}

/**
 * Whether a region that was made under one name may go by it where it would have another: the same place of the kernel, or
 * one without symbols, whose name is an address that it had once.
 */
export function mayKeepName(name: string, here: string): boolean {
  return name === here || !(isSymbolic(name) || isSymbolic(here));
}

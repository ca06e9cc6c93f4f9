/**
 * What gets code from the interpreter into regions: decides which blocks are worth it, asks for translations, and
 * installs them when they come. The engine reports what is hot, and samples of what regions do; see `heating.ts` and
 * `region-remaking.ts` for what becomes of these.
 */
import { PAGE } from '../frontend-x86/limits.js';
import { pageOf } from '../frontend-x86/discover.js';
import * as L from '../backend-wasm/memory-layout.js';
import { HANDLER } from '../backend-wasm/record.js';
import { SHARED_TRANSLATOR, type TranslationService } from './background.js';
import type { CodeCache } from './code-cache.js';
import type { CodePageView } from './code-page.js';
import { CODE_BASE } from './cpu.js';
import type { Engine } from './engine.js';
import { Heating, heatThresholds, type HeatThreshold, isRecent } from './heating.js';
import { hostMilliseconds } from './host-time.js';
import { KeptTranslations, type KnownRegion, mayKeepName } from './kept-translations.js';
import type { MachineMemory } from './machine-memory.js';
import type { GuestMmu } from './mmu.js';
import { PunctualTranslator } from './punctual-translator.js';
import { Refusals } from './refusals.js';
import { hasChanged, type RegionCache, requestFor } from './region-cache.js';
import { lastAskedFor } from './region-merging.js';
import { outlineRegion } from './region-outline.js';
import { RegionRemaking } from './region-remaking.js';
import { RestlessPages } from './restless-pages.js';
import { beginOfTranslation, HEAT, keepsTranslations, type TierOptions, type Tiers } from './tiers.js';
import { errorFacts, regionName, TranslatorBug } from './translator-bug.js';
import type { RegionOrigin, Translation } from './translator.js';
import { type CodeBlock, WaitingBlocks } from './waiting-blocks.js';

/** What this needs of its engine. */
export interface TieredEngine extends Engine {
  readonly memory: MachineMemory;
  readonly mmu: GuestMmu;
  readonly code: CodeCache;
  readonly regions: RegionCache;
}

/** A block to be translated, and why. */
type ChosenBlock = CodeBlock &
  Pick<RegionOrigin, 'heat' | 'executed'> & {
    /** The region that an earlier run had there. */
    readonly known?: KnownRegion | undefined;
  };

/** What to ask the translator for, and who wants to know. */
interface Asked {
  readonly origin: RegionOrigin;
  readonly pages: ReadonlyMap<number, CodePageView>;
  /** The region of an earlier run that it is. */
  readonly known?: KnownRegion | undefined;
  /** When the answer is there, whatever it is. */
  readonly done: () => void;
  /** Before it is installed. */
  readonly replacing?: () => void;
}

/** How far a block is on its way to a translation. */
export interface BlockProgress {
  /** Its instructions that the interpreter has executed so far. */
  readonly executed: number;
  readonly isUnderTranslation: boolean;
  readonly thresholds: { readonly hot: HeatThreshold; readonly warm?: HeatThreshold };
}

/** The way up of an engine's code. Refusals are public for reports. */
export class TierUp {
  readonly refusals = new Refusals();
  private readonly memory: MachineMemory;
  private readonly mmu: GuestMmu;
  private readonly code: CodeCache;
  private readonly regions: RegionCache;
  private readonly background: TranslationService;
  private readonly heat: number;
  private translations = 0;
  private translationMilliseconds = 0;
  private workerMilliseconds = 0;
  private reuses = 0;
  /** Undefined where what comes to its heat is translated, come what may. */
  private readonly heating: Heating | undefined;
  /** Nothing is asked for before so many instructions, and no worker started before so many. */
  readonly firstRequest: number;
  private readonly workerStart: number;
  readonly remaking: RegionRemaking;
  private readonly kept: KeptTranslations | undefined;
  private readonly waiting = new WaitingBlocks();
  private readonly restless: RestlessPages;
  /** First records of the blocks that are being translated, and in how many regions each. */
  private underTranslation = new Map<number, number>();

  constructor(
    private readonly engine: TieredEngine,
    private readonly tiers: Tiers,
    options: TierOptions,
  ) {
    ({ memory: this.memory, mmu: this.mmu, code: this.code, regions: this.regions } = engine);
    this.heat = options.heat ?? HEAT[tiers];
    this.code.heat.threshold = this.heat;
    this.restless = new RestlessPages(this.code);
    // Where runs have to be the same again nobody's time counts.
    const begin = beginOfTranslation(options.bootInstructions);
    this.firstRequest = options.punctual || tiers !== 'auto' ? 0 : begin.firstRequest;
    this.workerStart = options.punctual ? 0 : begin.workerStart;
    if (tiers === 'auto' && options.heat === undefined) this.heating = new Heating();
    const translator = options.translator ?? SHARED_TRANSLATOR;
    this.background = options.punctual
      ? new PunctualTranslator(translator, () => engine.instructions)
      : translator;
    this.remaking = new RegionRemaking(engine, tiers, this.background, (origin, pages, done, replacing) =>
      this.request({ origin, pages, done, replacing }),
    );
    // Where runs have to be the same again nothing counts that was before.
    if (keepsTranslations(tiers, options))
      this.kept = new KeptTranslations(options.store!, this.memory.dataTlb, this.background);
    this.code.onFlush = () => {
      this.code.heat.forgetAll();
      this.heating?.forgetAll();
      this.waiting.clear();
      this.remaking.forgetAll();
      // Who has asked keeps the old one.
      this.underTranslation = new Map();
    };
  }

  /** Between runs: takes what is finished, and starts the worker when it may be needed soon. */
  poll(): void {
    if (this.tiers === 'auto' && this.engine.instructions >= this.workerStart) {
      this.background.prepare();
      this.kept?.open();
    }
    this.background.poll();
    if (this.heating) this.restless.poll(this.engine.instructions);
    if (this.kept?.hasBlocksToVisit && this.engine.instructions >= this.firstRequest)
      this.kept.hasten(this.code, (page) => this.bytesOf(page));
  }

  /**
   * Import `hot` (see `backend-wasm/memory-layout.ts`): translates the region around the block of a record, or of another
   * one. `now`: guest instructions so far.
   */
  hot(record: number, now: number): void {
    const { memory } = this;
    if (record >= L.SCRATCH_RECORDS) return;
    // A guest that boots without translations does not pay for looks at what its boot executes.
    if (this.heating && now < this.workerStart) return this.code.heat.startUnseen(record);
    if (memory.i32[L.FLAT_MODE >> 2] === 0) return this.refusals.note('segments are not flat');
    const handler = memory.data.getUint16(record, true);
    if (handler === HANDLER.cross) return this.refusals.note('instruction straddles pages');
    if (handler === HANDLER.resume || handler === HANDLER.region) return;
    const linear = (memory.i32[L.PAGE_BASE >> 2]! + this.engine.cpu.get(CODE_BASE)) >>> 0;
    const page = this.pageAt(linear);
    if (page === undefined) return this.refusals.note('page is not mapped for execution');
    const { heat } = this.code;
    const before = heat.takeEarly(record);
    const chosen = this.choose({ record, linear, page }, now, before !== undefined);
    // What is not asked for now goes on being counted.
    if (chosen?.record !== record) {
      if (before === undefined) heat.start(record, page);
      else heat.goOn(record, before);
      if (before !== undefined && this.background.full) heat.startEarly(record, page);
    }
    if (chosen) this.ask(chosen, now);
  }

  /** The page of code at a linear address of the running address space, if its code map is known. */
  private pageAt(linear: number): CodePageView | undefined {
    const map = this.mmu.codeMapOf(linear);
    return map === undefined ? undefined : this.code.pageOfMap(map);
  }

  /** Asks for the region around a block, or the one that is known. */
  private ask(block: ChosenBlock, now: number): void {
    const from = hostMilliseconds();
    const { record, heat, executed, known } = block;
    const { name, start, outline, pages } = known
      ? { ...known.region, pages: known.pages }
      : this.outlineAround(block, now);
    const linear = (block.linear - (known?.delta ?? 0) * PAGE) >>> 0;
    const origin: RegionOrigin = {
      ...outline,
      name,
      // With `jit` everything is translated, and little of it runs for long.
      optimized: this.tiers === 'auto',
      linear,
      start,
      heat,
      executed,
      instructions: now,
    };
    this.translations++;
    this.translationMilliseconds += hostMilliseconds() - from;
    this.translate(record, block.page, { origin, pages, known });
    if (this.tiers === 'jit') this.background.finish();
  }

  private outlineAround(
    block: CodeBlock,
    now: number,
  ): ReturnType<typeof outlineRegion> & Pick<RegionOrigin, 'name'> {
    const found = outlineRegion(block, this.code, {
      tiers: this.tiers,
      warm: this.heat >> 3,
      bytesOf: (page) => this.bytesOf(page),
      pageAt: (address) => this.pageAt(address),
      wasWarm: (record) => this.heating?.has(record) ?? false,
      isRecent: (record) => this.isRecent(record, now),
    });
    return { ...found, name: this.nameOf(block.linear + found.start) };
  }

  /** What a region is called whose first block is at a linear address. */
  private nameOf(linear: number): string {
    const eip = (linear - this.engine.cpu.get(CODE_BASE)) >>> 0;
    return regionName(eip, this.engine.symbolOf?.(eip));
  }

  private bytesOf({ pfn }: CodePageView): Uint8Array {
    return this.memory.view(pfn * PAGE, PAGE);
  }

  /** What is to be translated now that a block took another step: nothing, that block, or one that has waited. */
  private choose(block: CodeBlock, now: number, isEarly: boolean): ChosenBlock | undefined {
    const { record, page } = block;
    const { background, heating } = this;
    const step = this.code.heat.of(page);
    if (this.tiers === 'interp') return undefined;
    if (this.tiers === 'auto' && (background.full || this.underTranslation.has(record))) return undefined;
    if (heating === undefined) return { ...block, heat: 'hot', executed: step - this.code.heat.left(record) };
    // An early look is no step.
    const heat = isEarly ? 'cold' : heating.note(record, now, step);
    const known = now < this.firstRequest ? undefined : this.knownAt(block);
    if (known) return this.kept!.isUnderWay(known) ? undefined : this.chosen(block, 'known', known);
    if (isEarly) return undefined;
    if (heat === 'cold') {
      this.waiting.delete(record);
      return undefined;
    }
    this.waiting.add(block);
    if (now < this.firstRequest || this.kept?.isOpening || (heat === 'warm' && !background.idle))
      return undefined;
    const chosen = heat === 'hot' ? block : this.hottestWaiting(heating, now);
    if (chosen === undefined) return undefined;
    // It may have begun to wait before it was known.
    const before = chosen === block ? undefined : this.knownAt(chosen);
    return this.chosen(chosen, before ? 'known' : heat, before);
  }

  /** The block is asked for: its next steps are its first. */
  private chosen(block: CodeBlock, heat: RegionOrigin['heat'], known?: KnownRegion): ChosenBlock {
    const { record } = block;
    const executed = this.heating!.executedOf(record);
    this.heating!.forget(record);
    this.waiting.delete(record);
    return { ...block, heat, executed, known };
  }

  /** The region that an earlier run had at a block, if all of its code is here, and none of it on pages that change often. */
  private knownAt({ record, linear, page }: CodeBlock): KnownRegion | undefined {
    const pageAt = (distance: number): CodePageView | undefined => {
      if (distance === 0) return page;
      const other = this.pageAt((linear + distance * PAGE) >>> 0);
      return other && this.code.heat.isRestless(other) ? undefined : other;
    };
    const known = this.kept?.find(this.code.offsetOf(record), pageAt, (other) => this.bytesOf(other));
    if (known === undefined) return undefined;
    const { region, delta } = known;
    return mayKeepName(region.name, this.nameOf(linear - delta * PAGE + region.start)) ? known : undefined;
  }

  private hottestWaiting(heating: Heating, now: number): CodeBlock | undefined {
    return this.waiting.hottest(
      (record) => heating.rateOf(record, now),
      ({ record, linear, page }) => {
        const handler = this.memory.data.getUint16(record, true);
        if (handler === HANDLER.resume || handler === HANDLER.region) return 'gone';
        // Other address spaces may have something else there, or it was not executed in this one of late.
        return this.pageAt(linear) === page ? 'here' : 'elsewhere';
      },
    );
  }

  /** Whether a block took a step, or was asked for, not long ago; undefined if it is not known to have done either. */
  private isRecent(record: number, now: number): boolean | undefined {
    if (this.heating === undefined) return undefined;
    const known = this.heating.isRecent(record, now);
    const entry = this.code.regionEntryOf(record);
    if (entry === undefined || known) return known;
    const region = this.regions.ofEntry(entry);
    return region !== undefined && isRecent(lastAskedFor(region.origin), now);
  }

  /** See `Engine`. */
  keep(): readonly string[] {
    return this.kept?.save([...this.regions.regions()], (page) => this.bytesOf(page)) ?? [];
  }

  /** How far the block with this first record is, if a step takes so many instructions; for reports. */
  progressOf(record: number, step: number): BlockProgress {
    const { heating } = this;
    return {
      executed: (heating?.executedOf(record) ?? 0) + step - this.code.heat.left(record),
      isUnderTranslation: this.underTranslation.has(record),
      thresholds: heating ? heatThresholds(step) : { hot: { instructions: step, within: Infinity } },
    };
  }

  /** Asks for the region of a block of a page that became hot. */
  private translate(record: number, page: CodePageView, asked: Omit<Asked, 'done'>): void {
    const { underTranslation } = this;
    const { origin, pages } = asked;
    const records = new Set([
      record,
      ...origin.leaders.map((p) => this.code.heat.recordAt(pages.get(pageOf(p))!, p & 0xfff)),
    ]);
    // No block is there yet.
    records.delete(0);
    for (const r of records) {
      underTranslation.set(r, (underTranslation.get(r) ?? 0) + 1);
      this.heating?.include(r, origin.instructions);
    }
    const offset = this.code.offsetOf(record);
    const done = (): void => {
      for (const r of records) {
        const others = underTranslation.get(r)! - 1;
        if (others > 0) underTranslation.set(r, others);
        else underTranslation.delete(r);
      }
      // If it comes to nothing the block is to be hot once more, unless it went with its page. With `jit`, where that is
      // its next entry, it stays with the interpreter.
      const isThere =
        this.code.pageOfMap(page.map) === page && this.code.heat.recordAt(page, offset) === record;
      if (isThere && this.tiers === 'auto') this.code.heat.start(record, page);
    };
    this.request({ ...asked, done });
  }

  /** Asks for a translation, and installs it when it comes, unless what it was made from has changed. */
  private request({ origin, pages, known, done, replacing }: Asked): void {
    const request = requestFor(this.memory, origin, pages, known?.region.number);
    if (known) this.kept!.asked(known);
    // A page that is written meanwhile makes the result worthless.
    let stale = false;
    const dropped = (): void => void (stale = true);
    this.background.request(request, ({ translation, nothing, module, spent, error, ...reply }) => {
      done();
      if (known) this.kept!.came(known, reply.compiledAnew ? module : undefined);
      this.workerMilliseconds += spent;
      if (reply.reused) this.reuses++;
      for (const page of pages.values()) page.onDrop.delete(dropped);
      if (error) throw new TranslatorBug('translating', error, [{ origin, request }], this.engine);
      const physical = pages.get(0)!.pfn * 4096 + origin.start;
      if (stale || (translation && hasChanged(this.memory, pages, request, translation)))
        this.refusals.note('page was written meanwhile', physical);
      else if (!translation) this.refusals.note(nothing!, physical);
      else {
        replacing?.();
        if (!this.install(pages, translation, origin, module)) this.refusals.note('no room for it', physical);
        else if (known) this.kept!.wasOfUse(known);
      }
    });
    for (const page of pages.values()) page.onDrop.add(dropped);
  }

  private install(
    pages: ReadonlyMap<number, CodePageView>,
    translation: Translation,
    origin: RegionOrigin,
    module: WebAssembly.Module | undefined,
  ): boolean {
    try {
      return this.regions.install(pages, translation, origin, module);
    } catch (error) {
      const request = requestFor(this.memory, origin, pages);
      throw new TranslatorBug('installing', errorFacts(error), [{ origin, request }], this.engine);
    }
  }

  private get instructionsInRegions(): number {
    const low = this.memory.i32[L.REGION_INSTRUCTIONS >> 2]! >>> 0;
    return low + this.memory.i32[(L.REGION_INSTRUCTIONS >> 2) + 1]! * 2 ** 32;
  }

  /** Counters for `--stats`. */
  counters(): Record<string, number> {
    const { counts } = this.regions;
    const kept = this.kept?.counts;
    const { i32 } = this.memory;
    const counters: Record<string, number> = {
      'translations asked for': this.translations,
      'translation ms': Math.round(this.translationMilliseconds),
      'translation ms in the worker': Math.round(this.workerMilliseconds),
      ...this.refusals.counters(),
      'regions installed': counts.installed,
      'region instructions': counts.instructions,
      'region bytes': counts.bytes,
      'regions dropped': counts.dropped,
      'regions live': this.regions.size,
      'region bytes live': this.regions.bytes,
      'translations made before': this.reuses,
      ...(kept && { 'kept translations read': kept.known, 'kept translations used': kept.used }),
      'regions merged': this.remaking.merges,
      'instructions in regions': this.instructionsInRegions,
      'regions entered': i32[L.REGION_ENTRIES >> 2]! >>> 0,
      'transitions from region to region': i32[L.TRANSITIONS >> 2]! >>> 0,
    };
    L.REGION_EXIT_CAUSES.forEach((cause, i) => {
      const count = i32[(L.REGION_EXITS >> 2) + i]! >>> 0;
      if (count > 0) counters[`region exits: ${cause}`] = count;
    });
    return counters;
  }
}

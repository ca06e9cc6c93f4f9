/** The engine that runs predecoded records in the generated Wasm interpreter. */
import * as S from '../frontend-x86/cpu-state.js';
import { LEAVE } from '../frontend-x86/leave.js';
import { outline, pageOf } from '../frontend-x86/discover.js';
import type { InterpreterForm, InterpreterSequence } from '../backend-wasm/interpreter.js';
import * as L from '../backend-wasm/memory-layout.js';
import { HANDLER, RECORD_OFFSET } from '../backend-wasm/record.js';
import { SHARED_TRANSLATOR, type TranslationService } from './background.js';
import { CODE_BASE, CodeCache, type CodePageView } from './code-cache.js';
import { sameLines } from './code-lines.js';
import { CpuState } from './cpu.js';
import { BadPageTable, type Engine, ROUGH_BUDGET, SERVED, type SymbolOf } from './engine.js';
import { Heating, STEP } from './heating.js';
import { MachineMemory } from './machine-memory.js';
import { GuestMmu } from './mmu.js';
import { segmentsAreFlat } from './mode.js';
import { PunctualTranslator } from './punctual-translator.js';
import { type Region, RegionCache, type RegionLimits, requestFor } from './region-cache.js';
import { merge, PairSamples } from './region-merging.js';
import { Refusals } from './refusals.js';
import { errorFacts, regionName, regionsOnStack, TranslatorBug } from './translator-bug.js';
import type { RegionOrigin, Translation, TranslationRequest } from './translator.js';

const VECTOR_GENERAL_PROTECTION = 13;
const VECTOR_PAGE_FAULT = 14;
const DEFAULT_SIZE_32 = 0x4000;

/** The interpreter as built with the package. */
export interface InterpreterModule {
  readonly module: WebAssembly.Module;
  readonly forms: readonly InterpreterForm[];
  readonly sequences: readonly InterpreterSequence[];
}

/** Which tiers run: `interp` the interpreter alone; `jit` every block as a region from its first run; `auto` hot ones. */
export type Tiers = 'interp' | 'jit' | 'auto';

/** Entries of a block before it is looked at, and with all but `auto` (see `heating.ts`) translated. */
const HEAT: Readonly<Record<Tiers, number>> = { interp: 0x7fffffff, jit: 1, auto: STEP };
/**
 * Guest instructions before `auto` starts its worker, and before it asks it for anything. By the first a boot is over, which
 * anything else that runs would delay: V8 is still compiling the interpreter and the Host. By the second the worker has
 * been loaded, or nearly.
 */
const WORKER_START = 100_000_000;
const FIRST_REQUEST = 120_000_000;
/** Instructions of a region that are told to call for what they miss. */
const MOST_MISSING = 64;
/**
 * Code lookups in JavaScript before a run ends early, about half a millisecond of them: a guest that changes its code
 * all the time is a thousand times slower than what its owner takes for its speed.
 */
const MOST_RESOLVES = 256;
/**
 * About how many guest instructions a region holds at the most; larger functions get slower code from V8. With `jit`
 * every block that no region enters makes a new one, so what they have in common is translated again and again.
 */
const REGION_INSTRUCTIONS: Readonly<Record<Tiers, number>> = { interp: 0, jit: 60, auto: 300 };

/** Guest pages that a region may span. */
const REGION_PAGES = 16;

/** How an engine with tiers goes about it. */
export interface TierOptions {
  /** Name of the place at an eip, if it has one: for profilers and reports. */
  readonly symbolOf?: SymbolOf;
  /** Counts how each region is entered and left, which costs time. Default false. */
  readonly watchRegions?: boolean;
  /** Entries of a block before it is translated: 1 .. 2^31 - 1. Default by `Tiers`. */
  readonly heat?: number;
  /** Installs translations at repeatable instruction counts; see `PunctualTranslator`. Default false. */
  readonly punctual?: boolean;
  /** Default `REGION_LIMITS`. */
  readonly limits?: RegionLimits;
  /** Who translates; by default the worker that all machines of the process share. */
  readonly translator?: TranslationService;
}

export class InterpreterEngine implements Engine {
  readonly cpu: CpuState;
  readonly memory: MachineMemory;
  readonly mmu: GuestMmu;
  readonly code: CodeCache;
  instructions = 0;
  clock: (instructions: number) => bigint = BigInt;
  cpuid: Engine['cpuid'] = () => [0, 0, 0, 0];
  serve: Engine['serve'] = () => SERVED.no;
  roughBudgets = false;
  private readonly runWasm: () => number;
  readonly regions: RegionCache;
  private readonly tiers: Tiers;
  readonly symbolOf: SymbolOf | undefined;
  private translations = 0;
  private translationMilliseconds = 0;
  private workerMilliseconds = 0;
  /** Undefined where what comes to its heat is translated, come what may. */
  private readonly heating: Heating | undefined;
  /** Nothing is translated before so many instructions, and no worker started before so many. */
  private readonly firstRequest: number;
  private readonly workerStart: number;
  private readonly transitions = new PairSamples();
  /** By region's table slot and place in it. */
  private readonly misses = new PairSamples();
  /** Regions that are being translated anew, alone or with others. */
  private readonly remaking = new Set<Region>();
  private merges = 0;
  private reuses = 0;
  /** First records of the blocks that are being translated, each for the region that asked first. */
  private readonly underTranslation = new Set<number>();
  readonly refusals = new Refusals();
  private readonly heat: number;
  private readonly background: TranslationService;
  private attention = false;
  /** Code lookups in JavaScript in the run in progress. */
  private resolves = 0;
  /** Instruction count at the end of the budget of the run in progress. */
  private budgetEnd = 0;

  constructor(
    options: TierOptions & {
      ramBytes: number;
      devicePages: number;
      interpreter: InterpreterModule;
      tiers?: Tiers;
    },
  ) {
    this.symbolOf = options.symbolOf;
    this.tiers = options.tiers ?? 'interp';
    this.heat = options.heat ?? HEAT[this.tiers];
    // Where runs have to be the same again nobody's time counts.
    this.firstRequest = options.punctual ? 0 : FIRST_REQUEST;
    this.workerStart = options.punctual ? 0 : WORKER_START;
    if (this.tiers === 'auto' && options.heat === undefined) this.heating = new Heating();
    const translator = options.translator ?? SHARED_TRANSLATOR;
    this.background = options.punctual
      ? new PunctualTranslator(translator, () => this.instructions)
      : translator;
    this.memory = new MachineMemory(options.ramBytes, options.devicePages);
    this.cpu = new CpuState(this.memory.data);
    this.mmu = new GuestMmu(this.memory, this.cpu);
    this.code = new CodeCache(
      this.memory,
      this.mmu,
      options.interpreter.forms,
      options.interpreter.sequences,
    );
    this.code.heatThreshold = this.heat;
    const env = {
      memory: this.memory.wasm,
      resolve: () => this.resolve(),
      code_written: (address: number, length: number) => this.code.written(address >>> 0, length),
      clock: (left: number) => this.clock(this.budgetEnd - left),
      hot: (record: number) => this.hot(record),
      transition: (from: number, to: number) => this.transition(from, to),
      missed: (entry: number) => this.missed(entry),
      segments_not_flat: () => this.setFlat(false),
      serve: () => (this.serveInside() ? 1 : 0),
    };
    const { exports } = new WebAssembly.Instance(options.interpreter.module, { env });
    this.runWasm = exports['run'] as () => number;
    const table = exports[L.REGION_TABLE] as WebAssembly.Table;
    this.regions = new RegionCache(
      this.memory,
      this.code,
      table,
      { ...exports, ...env },
      options.watchRegions ?? false,
      options.limits,
    );
    this.cpu.set(S.DIRECTION, 1);
    this.segmentsChanged();
  }

  private slot(at: number): number {
    return this.memory.i32[at >> 2]!;
  }
  private setSlot(at: number, value: number): void {
    this.memory.i32[at >> 2] = value;
  }

  private setFlat(flat: boolean): void {
    if (this.slot(L.FLAT_MODE) === (flat ? 1 : 0)) return;
    this.setSlot(L.FLAT_MODE, flat ? 1 : 0);
    this.code.flush();
  }

  segmentsChanged(): void {
    this.cpu.forgetLoadedSegments();
    this.mmu.selectTlb();
    // Records for any segments also serve flat ones: going back to flat records waits for segments set from outside.
    if (!segmentsAreFlat(this.cpu)) this.setFlat(false);
    else if (this.slot(L.FLAT_MODE) === 0) this.setFlat(true);
  }

  requestAttention(): void {
    this.attention = true;
  }

  run(budget: number): number {
    if (this.attention) {
      this.attention = false;
      return LEAVE.attention;
    }
    if (this.tiers === 'auto' && this.instructions >= this.workerStart) this.background.prepare();
    this.background.poll();
    this.mmu.selectTlb();
    this.resolves = 0;
    this.budgetEnd = this.instructions + budget;
    this.setSlot(L.FUEL, budget);
    for (;;) {
      this.setSlot(S.EXIT_REASON, LEAVE.none);
      const offset = (this.cpu.eip + this.cpu.get(CODE_BASE)) & 0xfff;
      this.setSlot(L.PAGE_BASE, this.cpu.eip - offset);
      this.memory.i32[L.START_RECORD >> 2] = HANDLER.resume | (offset << 16);
      this.memory.i32[(L.START_RECORD >> 2) + 1] = 0;
      let reason: number;
      try {
        reason = this.runWasm();
      } catch (error) {
        throw this.asBug(error);
      }
      this.instructions = this.budgetEnd - this.slot(L.FUEL);
      if (reason !== LEAVE.cpuid) return reason;
      this.serveCpuid();
      if (this.slot(L.FUEL) === 0) return LEAVE.budget;
    }
  }

  /** Import `serve`. */
  private serveInside(): boolean {
    const reason = this.slot(S.EXIT_REASON);
    if (reason === LEAVE.budget || reason === LEAVE.cpuid) return false;
    this.instructions = this.budgetEnd - this.slot(L.FUEL);
    const served = this.serve(reason);
    if (served === SERVED.no) return false;
    this.setSlot(L.FUEL, this.budgetEnd - this.instructions);
    if (served === SERVED.end || this.attention || this.slot(L.FLAT_MODE) === 0) {
      this.setSlot(S.EXIT_REASON, LEAVE.budget);
      return false;
    }
    this.setSlot(S.EXIT_REASON, LEAVE.none);
    this.mmu.selectTlb();
    return true;
  }

  private serveCpuid(): void {
    const { cpu } = this;
    const [eax, ebx, ecx, edx] = this.cpuid(cpu.get(S.EAX), cpu.get(S.ECX));
    cpu.set(S.EAX, eax);
    cpu.set(S.EBX, ebx);
    cpu.set(S.ECX, ecx);
    cpu.set(S.EDX, edx);
    cpu.eip = cpu.get(S.EXIT_NEXT);
    this.setSlot(L.FUEL, this.slot(L.FUEL) - 1);
    this.instructions++;
  }

  private exit(reason: number, detail: number, error: number): 0 {
    this.setSlot(S.EXIT_REASON, reason);
    this.setSlot(S.EXIT_DETAIL, detail);
    this.setSlot(S.EXIT_ERROR, error);
    return 0;
  }
  private fetchFault(address: number): 0 {
    this.setSlot(S.FAULT_ADDRESS, address);
    return this.exit(LEAVE.fault, VECTOR_PAGE_FAULT, this.mmu.errorCode);
  }

  /** Import `resolve` (see `backend-wasm/memory-layout.ts`). */
  private resolve(): number {
    const { cpu, code } = this;
    const fuel = this.slot(L.FUEL);
    const plain = this.slot(L.PLAIN_WANTED) !== 0;
    this.setSlot(L.PLAIN_WANTED, 0);
    if (fuel === 0 || ++this.resolves > MOST_RESOLVES) return this.exit(LEAVE.budget, 0, 0);
    // The instruction before set TF: the owner steps from here on.
    if (cpu.get(S.FLAGS_SYSTEM) & S.F_TF && this.instructions + fuel !== this.budgetEnd) {
      return this.exit(LEAVE.budget, 0, 0);
    }
    const eip = cpu.eip;
    const linear = (eip + cpu.get(CODE_BASE)) >>> 0;
    const user = cpu.get(S.CPL) === 3;
    const flat = this.slot(L.FLAT_MODE) === 1;
    if (!flat) {
      const limit = cpu.get(S.SEGMENT_LIMIT + 4 * S.CS);
      const attr = cpu.get(S.SEGMENT_ATTR + 4 * S.CS);
      if (eip > limit || !(attr & DEFAULT_SIZE_32))
        return this.exit(LEAVE.fault, VECTOR_GENERAL_PROTECTION, 0);
    }
    try {
      const physical = this.mmu.translate(linear, false, user);
      if (physical < 0) return this.fetchFault(linear);
      this.setSlot(L.PAGE_BASE, eip - (linear & 0xfff));
      const record = code.block(physical, linear, flat, user);
      if (typeof record !== 'number') return this.fetchFault(record.address);
      if (code.needOf(record) <= fuel && !(plain && code.isRegion(record))) {
        // What a region cannot do, for once, need not become a region of its own.
        if (plain) code.warmLess(record);
        return record;
      }
      let short = code.isRegion(record) ? code.plain(record, physical, linear, flat, user) : undefined;
      if (short === undefined || (typeof short === 'number' && code.needOf(short) > fuel)) {
        if (this.roughBudgets && fuel < ROUGH_BUDGET && this.instructions + fuel !== this.budgetEnd)
          return this.exit(LEAVE.budget, 0, 0);
        short = code.scratch(physical, linear, flat, user, fuel);
      }
      if (typeof short !== 'number') return this.fetchFault(short.address);
      return short;
    } catch (error) {
      if (error instanceof BadPageTable) return this.exit(LEAVE.badPageTable, error.address, error.entry);
      throw error;
    }
  }

  /** Import `hot`: translates the region around the block of a record. */
  private hot(record: number): void {
    const { memory } = this;
    if (record >= L.SCRATCH_RECORDS) return;
    if (this.slot(L.FLAT_MODE) === 0) return this.refusals.note('segments are not flat');
    const handler = memory.data.getUint16(record, true);
    if (handler === HANDLER.cross) return this.refusals.note('instruction straddles pages');
    if (handler === HANDLER.resume || handler === HANDLER.region) return;
    const linear = (this.slot(L.PAGE_BASE) + this.cpu.get(CODE_BASE)) >>> 0;
    const view = (delta: number): CodePageView | undefined => {
      const map = this.mmu.codeMapOf((linear + delta * 4096) >>> 0);
      return map === undefined ? undefined : this.code.pageOfMap(map);
    };
    const first = view(0);
    if (first === undefined) return this.refusals.note('page is not mapped for execution');
    if (!this.isWorthIt(record)) {
      this.code.reheat(record, first);
      return;
    }
    const from = performance.now();
    const known = new Map([[0, first]]);
    const warm = this.heat >> 3;
    const wasWarm = (block: number): boolean => this.heating?.has(block) ?? false;
    /** Whether code is worth including; its page then belongs to the region. */
    const include = (delta: number, page: CodePageView, offset: number): boolean => {
      if (page !== first && this.code.isRestless(page)) return false;
      if (this.tiers !== 'jit' && !this.code.isWarm(page, offset, warm, wasWarm)) return false;
      if (!known.has(delta) && known.size >= REGION_PAGES) return false;
      known.set(delta, page);
      return true;
    };
    const start = memory.data.getUint16(record + RECORD_OFFSET, true);
    const found = outline({
      start,
      page: (delta) => {
        const page = known.get(delta) ?? view(delta);
        return (
          page && {
            bytes: memory.view(page.pfn * 4096, 4096),
            wanted: (offset) => include(delta, page, offset),
          }
        );
      },
      warm: this.code.warmBlocks(first, warm, wasWarm),
      maxInstructions: REGION_INSTRUCTIONS[this.tiers],
    });
    const eip = this.slot(L.PAGE_BASE) + start;
    const origin: RegionOrigin = {
      ...found,
      name: regionName(eip, this.symbolOf?.(eip >>> 0)),
      // With `jit` everything is translated, and little of it runs for long.
      optimized: this.tiers === 'auto',
      linear,
      start,
      heat: this.code.heatOf(first),
      instructions: this.instructions,
    };
    this.translations++;
    this.translationMilliseconds += performance.now() - from;
    this.translate(record, origin, known);
    if (this.tiers === 'jit') this.background.finish();
  }

  /** Whether a block that has come to its heat is to be translated now. */
  private isWorthIt(record: number): boolean {
    const { background, heating } = this;
    if (this.tiers === 'jit') return true;
    if (background.full || this.underTranslation.has(record)) return false;
    if (heating === undefined) return true;
    const heat = heating.note(record, this.instructions);
    if (this.instructions < this.firstRequest || heat === 'cold') return false;
    if (heat === 'warm' && !background.idle) return false;
    heating.forget(record);
    return true;
  }

  /** Import `transition`: one of many transitions from region to region. */
  private transition(from: number, to: number): void {
    if (this.tiers !== 'auto' || this.background.full) return;
    const a = this.regions.ofEntry(from);
    const b = this.regions.ofEntry(to);
    if (a === undefined || b === undefined || a === b || this.remaking.has(a) || this.remaking.has(b)) return;
    // Between kernel and user code there are no jumps.
    const { kernelAddress } = this.mmu;
    if (a.origin.linear >= kernelAddress !== b.origin.linear >= kernelAddress) return;
    if (!this.transitions.note(Math.min(a.slot, b.slot), Math.max(a.slot, b.slot), this.instructions)) return;
    const merger = merge(a, b);
    if (merger === undefined) return;
    this.merges++;
    this.remaking.add(a);
    this.remaking.add(b);
    const done = (): void => {
      this.remaking.delete(a);
      this.remaking.delete(b);
    };
    this.request(merger.origin, merger.pages, done, () => {
      a.drop();
      b.drop();
    });
  }

  /**
   * Import `missed`: one of many misses of a region. An instruction that misses often, as one does whose data lie beside
   * code or across pages, is told to call for them: that is slower than a hit, and much faster than to leave.
   */
  private missed(entry: number): void {
    if (this.tiers !== 'auto' || this.background.full) return;
    const region = this.regions.ofEntry(entry);
    if (region === undefined || this.remaking.has(region)) return;
    const { origin } = region;
    const { eip } = this.cpu;
    // Other address spaces may have the region's pages elsewhere.
    const map = this.mmu.codeMapOf(eip);
    const [delta] = [...region.pagesByDelta].find(([, page]) => page.map === map) ?? [];
    if (delta === undefined) return;
    const place = delta * 4096 + (eip & 0xfff);
    const known = origin.missing ?? [];
    if (known.includes(place) || known.length >= MOST_MISSING) return;
    if (!this.misses.note(region.slot, place & 0xffff, this.instructions)) return;
    this.remaking.add(region);
    const missing = [...known, place];
    const done = (): void => void this.remaking.delete(region);
    this.request({ ...origin, missing }, region.pagesByDelta, done, () => region.drop());
  }

  private translate(record: number, origin: RegionOrigin, pages: ReadonlyMap<number, CodePageView>): void {
    const records = [
      record,
      ...origin.leaders.map((p) => this.code.recordAt(pages.get(pageOf(p))!, p & 0xfff)),
    ];
    for (const r of records) this.underTranslation.add(r);
    this.request(origin, pages, () => {
      for (const r of records) this.underTranslation.delete(r);
    });
  }

  /**
   * Asks for a translation, and installs it when it comes, unless what it was made from has changed.
   * @param done when the answer is there, whatever it is
   * @param replacing before it is installed
   */
  private request(
    origin: RegionOrigin,
    pages: ReadonlyMap<number, CodePageView>,
    done: () => void,
    replacing?: () => void,
  ): void {
    const request = requestFor(this.memory, origin, pages);
    // A page that is written meanwhile makes the result worthless.
    let stale = false;
    const dropped = (): void => void (stale = true);
    this.background.request(request, ({ translation, module, spent, reused, error }) => {
      done();
      this.workerMilliseconds += spent;
      if (reused) this.reuses++;
      for (const page of pages.values()) page.onDrop.delete(dropped);
      if (error) throw new TranslatorBug('translating', error, [{ origin, request }], this);
      const physical = pages.get(0)!.pfn * 4096 + origin.start;
      if (stale || (translation && this.hasChanged(pages, request, translation)))
        this.refusals.note('page was written meanwhile', physical);
      else if (!translation) this.refusals.note('no decodable instruction', physical);
      else {
        replacing?.();
        if (!this.install(pages, translation, origin, module))
          this.refusals.note('no room for records', physical);
      }
    });
    for (const page of pages.values()) page.onDrop.add(dropped);
  }

  /** Whether bytes that a translation was made from are not what they were when it was asked for. */
  private hasChanged(
    pages: ReadonlyMap<number, CodePageView>,
    request: TranslationRequest,
    { lines }: Translation,
  ): boolean {
    for (const [delta, bits] of lines) {
      const now = this.memory.view(pages.get(delta)!.pfn * 4096, 4096);
      if (!sameLines(now, request.pages.get(delta)!, bits)) return true;
    }
    return false;
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
      throw new TranslatorBug('installing', errorFacts(error), [{ origin, request }], this);
    }
  }

  /** What to throw for an error that came out of generated code. */
  private asBug(error: unknown): unknown {
    if (!(error instanceof WebAssembly.RuntimeError)) return error;
    const all = [...this.regions.regions()];
    const suspects = regionsOnStack(error.stack).flatMap((name) => all.filter((r) => r.origin.name === name));
    return new TranslatorBug(
      'running',
      errorFacts(error),
      suspects.map((region) => ({ origin: region.origin, request: this.regions.requestOf(region) })),
      this,
    );
  }

  directTraps(): { systemCalls: number; pageFaults: number } {
    return { systemCalls: this.slot(L.DIRECT_INTS) >>> 0, pageFaults: this.slot(L.DIRECT_FAULTS) >>> 0 };
  }

  counters(): Record<string, number> {
    return {
      'TLB misses': this.slot(L.TLB_MISSES) >>> 0,
      'code lookups': this.slot(L.CODE_LOOKUPS) >>> 0,
      'stores to code pages': this.slot(L.CODE_PAGE_STORES) >>> 0,
      'blocks decoded': this.code.counts.blocks,
      'instructions decoded': this.code.counts.instructions,
      'code invalidations': this.code.counts.invalidations,
      'code flushes': this.code.counts.flushes,
      ...(this.tiers !== 'interp' && this.translatorCounters()),
    };
  }

  private translatorCounters(): Record<string, number> {
    const { counts } = this.regions;
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
      'regions merged': this.merges,
      'regions entered': this.slot(L.REGION_ENTRIES) >>> 0,
      'transitions from region to region': this.slot(L.TRANSITIONS) >>> 0,
    };
    L.REGION_EXIT_CAUSES.forEach((cause, i) => {
      const count = this.slot(L.REGION_EXITS + 4 * i) >>> 0;
      if (count > 0) counters[`region exits: ${cause}`] = count;
    });
    return counters;
  }
}

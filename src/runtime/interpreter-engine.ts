/**
 * The engine that runs predecoded records in the generated Wasm interpreter, and regions through it: runs and why they
 * end, code lookups, what is served inside a run. `tier-up.ts` gets code into regions.
 */
import * as S from '../frontend-x86/cpu-state.js';
import { LEAVE } from '../frontend-x86/leave.js';
import type { DataTlb } from '../backend-wasm/data-tlb.js';
import * as L from '../backend-wasm/memory-layout.js';
import { HANDLER } from '../backend-wasm/record.js';
import { CodeCache } from './code-cache.js';
import { CODE_BASE, CpuState } from './cpu.js';
import type { FormTable } from './form-table.js';
import { BadPageTable, type Engine, ROUGH_BUDGET, SERVED, type SymbolOf } from './engine.js';
import { MachineMemory } from './machine-memory.js';
import { GuestMmu } from './mmu.js';
import type { TlbDrops } from './tlb.js';
import { segmentsAreFlat } from './flat-segments.js';
import { RegionCache } from './region-cache.js';
import { TierUp, type TieredEngine } from './tier-up.js';
import { keepsTranslations, type TierOptions, type Tiers } from './tiers.js';
import { errorFacts, regionsOnStack, TranslatorBug } from './translator-bug.js';
import { VECTOR } from '../frontend-x86/vectors.js';

const DEFAULT_SIZE_32 = 0x4000;

/** The interpreter as built with the package. */
export interface InterpreterModule extends FormTable {
  /** Its module for machines with such TLBs. */
  moduleFor(dataTlb: DataTlb): WebAssembly.Module;
}

/**
 * Code lookups in JavaScript before a run ends early, about half a millisecond of them: a guest that changes its code
 * all the time is a thousand times slower than what its owner takes for its speed.
 */
const MOST_RESOLVES = 256;

export class InterpreterEngine implements TieredEngine {
  readonly cpu: CpuState;
  readonly memory: MachineMemory;
  readonly mmu: GuestMmu;
  readonly code: CodeCache;
  instructions = 0;
  clock: (instructions: number) => bigint = BigInt;
  cpuid: Engine['cpuid'] = () => [0, 0, 0, 0];
  serve: Engine['serve'] = () => SERVED.no;
  private readonly runWasm: () => number;
  readonly regions: RegionCache;
  private readonly tiers: Tiers;
  readonly symbolOf: SymbolOf | undefined;
  readonly tierUp: TierUp;
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
    this.memory = new MachineMemory(options.ramBytes, options.devicePages);
    this.cpu = new CpuState(this.memory.data);
    this.mmu = new GuestMmu(this.memory, this.cpu);
    this.code = new CodeCache(this.memory, this.mmu, options.interpreter);
    const env = {
      memory: this.memory.wasm,
      resolve: () => this.resolve(),
      code_written: (address: number, length: number) => this.code.written(address >>> 0, length),
      clock: (left: number) => this.clock(this.budgetEnd - left),
      hot: (record: number, left: number) => this.tierUp.hot(record, this.budgetEnd - left),
      transition: (from: number, to: number) => this.tierUp.remaking.transition(from, to),
      missed: (entry: number) => this.tierUp.remaking.missed(entry),
      segments_not_flat: () => this.setFlat(false),
      serve: () => (this.serveInside() ? 1 : 0),
    };
    const { exports } = new WebAssembly.Instance(options.interpreter.moduleFor(this.memory.dataTlb), { env });
    (exports[L.MAKE_EMPTY_TLB] as () => void)();
    this.mmu.prepareTlbs({
      range: exports[L.DROP_TLB_RANGE] as TlbDrops['range'],
      userRanges: exports[L.DROP_TLB_USER_RANGES] as TlbDrops['userRanges'],
    });
    this.runWasm = exports['run'] as () => number;
    const table = exports[L.REGION_TABLE] as WebAssembly.Table;
    this.regions = new RegionCache(
      this.memory,
      this.code,
      table,
      { ...exports, ...env },
      options.watchRegions ?? false,
      keepsTranslations(this.tiers, options),
      options.limits,
    );
    this.tierUp = new TierUp(this, this.tiers, options);
    this.cpu.set(S.DIRECTION, 1);
    this.segmentsChanged();
  }

  get roughBudgets(): boolean {
    return this.slot(L.ROUGH_BUDGETS) !== 0;
  }
  set roughBudgets(are: boolean) {
    this.setSlot(L.ROUGH_BUDGETS, are ? 1 : 0);
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
    this.tierUp.poll();
    this.mmu.selectTlb();
    this.resolves = 0;
    this.budgetEnd = this.instructions + budget;
    this.setSlot(L.FUEL, budget);
    this.setSlot(L.DROPS_LEFT, L.MOST_DROPS);
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
    return this.exit(LEAVE.fault, VECTOR.PF, this.mmu.errorCode);
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
      if (eip > limit || !(attr & DEFAULT_SIZE_32)) return this.exit(LEAVE.fault, VECTOR.GP, 0);
    }
    try {
      const physical = this.mmu.translate(linear, false, user);
      if (physical < 0) return this.fetchFault(linear);
      this.setSlot(L.PAGE_BASE, eip - (linear & 0xfff));
      const record = code.block(physical, linear, flat, user);
      if (typeof record !== 'number') return this.fetchFault(record.address);
      if (code.needOf(record) <= fuel && !(plain && code.isRegion(record))) {
        // What a region cannot do, for once, need not become a region of its own.
        if (plain) code.heat.warmLess(record);
        return record;
      }
      // Not what a region leaves to the interpreter for once: that is about the instruction, not about the budget.
      if (!plain && this.mayEndHere(fuel)) return this.exit(LEAVE.budget, 0, 0);
      let short = code.isRegion(record) ? code.plain(record, physical, linear, flat, user) : undefined;
      if (short === undefined || (typeof short === 'number' && code.needOf(short) > fuel)) {
        if (this.mayEndHere(fuel)) return this.exit(LEAVE.budget, 0, 0);
        short = code.scratch(physical, linear, flat, user, fuel);
      }
      if (typeof short !== 'number') return this.fetchFault(short.address);
      return short;
    } catch (error) {
      if (error instanceof BadPageTable) return this.exit(LEAVE.badPageTable, error.address, error.entry);
      throw error;
    }
  }

  /** Whether the run may end with so much of its budget left (`Engine.roughBudgets`). */
  private mayEndHere(fuel: number): boolean {
    return this.roughBudgets && fuel < ROUGH_BUDGET && this.instructions + fuel !== this.budgetEnd;
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

  keep(): readonly string[] {
    return this.tierUp.keep();
  }

  directTraps(): { systemCalls: number; pageFaults: number } {
    return { systemCalls: this.slot(L.DIRECT_INTS) >>> 0, pageFaults: this.slot(L.DIRECT_FAULTS) >>> 0 };
  }

  counters(): Record<string, number> {
    return {
      'TLB misses': this.slot(L.TLB_MISSES) >>> 0,
      'code lookups': this.slot(L.CODE_LOOKUPS) >>> 0,
      'stores to code pages': this.slot(L.CODE_PAGE_STORES) >>> 0,
      'blocks decoded': this.code.decoded.blocks,
      'instructions decoded': this.code.decoded.instructions,
      'code invalidations': this.code.counts.invalidations,
      'code flushes': this.code.counts.flushes,
      ...(this.tiers !== 'interp' && this.tierUp.counters()),
    };
  }
}

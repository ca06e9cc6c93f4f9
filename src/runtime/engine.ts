/** What the Host drives: a synchronous CPU. */
import { REGION_NEED_MASK } from '../backend-wasm/memory-layout.js';
import type { GuestMemory } from './guest-memory.js';
import type { CpuState } from './cpu.js';

/** The name of the place at an eip; undefined if it has none. */
export type SymbolOf = (eip: number) => string | undefined;

/** A page walk's outcome: a guest-physical address (>= 0), or -1 with the page fault's error code in `errorCode`. */
export interface Mmu {
  /** Highest guest-physical page the guest may map + 1 (RAM and handed out device pages). */
  pfnLimit: number;
  /** First address of the kernel part, shared by all address spaces (lguest_data.kernel_address). */
  kernelAddress: number;
  /** Virtual = physical, everything present and writable: before the first NEW_PGTABLE. */
  setLinear(): void;
  /** Switches to the address space of the top level table at `root` (guest-physical). TLBs of others are kept. */
  setPageTable(root: number, pae: boolean): void;
  /** Guest-physical root of the current address space, -1 in linear mode. */
  readonly root: number;
  readonly pae: boolean;
  /** Forgets all translations of every address space. */
  flushAll(): void;
  /** Forgets the translations below `kernelAddress` of the current address space. */
  flushUser(): void;
  /** Forgets one page of the address space `root`; of all address spaces if it is at or above `kernelAddress`. */
  flushPage(root: number, address: number): void;
  /** Forgets whatever top level entry `index` of `root` maps. */
  flushTopLevel(root: number, index: number): void;
  /**
   * Walks the guest's tables as the CPU would, sets accessed and dirty bits, fills no TLB.
   * `user`: CPL 3 rules. Returns the guest-physical address or -1 (then `errorCode` is the #PF error code).
   * Throws `BadPageTable` for an entry that kills the guest.
   */
  translate(address: number, write: boolean, user: boolean): number;
  readonly errorCode: number;
}

/** A page table entry no lguest guest may have: kills the guest. */
export class BadPageTable extends Error {
  /** `address`: linear address that was looked up; `entry`: low half of the entry, or what stands for it. */
  constructor(
    message: string,
    readonly address: number,
    readonly entry: number,
  ) {
    super(message);
  }
}

/** What the death of a guest by a page table entry says. `linear`: it has no page tables yet. */
export function describeBadPageTable(address: number, entry: number, linear: boolean): string {
  const hex = (n: number): string => `0x${(n >>> 0).toString(16)}`;
  return linear
    ? `address ${hex(address)} is beyond guest memory`
    : `bad page table entry ${hex(entry)} for address ${hex(address)}`;
}

/** See `Engine.roughBudgets`: more than any block or region wants to be affordable. */
export const ROUGH_BUDGET = REGION_NEED_MASK + 1;

/** How the owner answers an engine that asks it to serve something inside a run. */
export const SERVED = {
  /** It was not: the run ends as it would have. */
  no: 0,
  /** It was, and the run goes on. */
  goOn: 1,
  /** It was, and the run ends, as if its budget were used up. */
  end: 2,
} as const;
export type Served = (typeof SERVED)[keyof typeof SERVED];

export interface Engine {
  readonly cpu: CpuState;
  readonly memory: GuestMemory;
  readonly mmu: Mmu;
  /** Guest instructions executed since power-on. Exact after every `run`. */
  instructions: number;
  /**
   * Runs at most `budget` (1 .. 2^30) guest instructions from the CPU state on and returns why it stopped, a value of
   * LEAVE (`frontend-x86/leave.ts`). `LEAVE.budget` may come early, but not before the first instruction. `cpuid` and
   * instructions that straddle pages are served inside.
   */
  run(budget: number): number;
  /**
   * A run may end less than `ROUGH_BUDGET` instructions before its budget is used up, but not before the first instruction,
   * rather than go to any expense for an exact count; set by the Host. Default false.
   */
  roughBudgets: boolean;
  /**
   * Asked before a run ends for `reason`, with the state as it is then; set by the Host, `SERVED.no` until then. An engine
   * may as well never ask.
   */
  serve: (reason: number) => Served;
  /** Makes a run in progress return `LEAVE.attention` soon (from a device or signal). */
  requestAttention(): void;
  /** Time-stamp counter as a function of the exact instruction count; set by the Host's clock. */
  clock: (instructions: number) => bigint;
  /** Fills eax, ebx, ecx, edx for (leaf eax, subleaf ecx); set by the Host. */
  cpuid: (leaf: number, subleaf: number) => readonly [number, number, number, number];
  /** The name of the place at an eip, if the engine was given symbols. */
  readonly symbolOf?: SymbolOf | undefined;
  /** Traps that the engine delivered by itself (`DIRECT_TRAPS` of the state). */
  directTraps(): { readonly systemCalls: number; readonly pageFaults: number };
  /** At the end of a run: keeps what later runs can use, where there is a place for it. Returns what there is to tell. */
  keep?(): readonly string[];
  /** Counters for `--stats`, by name; those whose names end in ` live` tell a state that ends with the engine. */
  counters(): Record<string, number>;
  /** The CPU's selectors or GDT changed from outside: recompute what depends on them. */
  segmentsChanged(): void;
}

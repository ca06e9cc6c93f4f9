/** The tiers of an engine: which there are, when code goes from one to the next, and how a user may choose. */
import type { TranslationService } from './background.js';
import type { SymbolOf } from './engine.js';
import { STEP } from './heating.js';
import type { RegionLimits } from './region-cache.js';

/** Which tiers run: `interp` the interpreter alone; `jit` every block as a region from its first run; `auto` hot ones. */
export type Tiers = 'interp' | 'jit' | 'auto';

/** Instructions that a block executes before it is looked at: with `auto` a step (see `heating.ts`), else it is translated then. */
export const HEAT: Readonly<Record<Tiers, number>> = { interp: 0x7fffffff, jit: 1, auto: STEP };
/** Guest instructions in which a kernel boots that the host has unpacked, and that unpacks nothing. */
export const BOOT_INSTRUCTIONS = 24_000_000;
/**
 * A guest that takes more than this to boot gains by translations while it does: it starts the worker when others do. One
 * that takes less has booted before the first comes.
 */
const LONGEST_BOOT = 150_000_000;
/**
 * Guest instructions after its boot before `auto` starts its worker, and before it asks it for anything. What runs beside a
 * boot delays it: V8 is still compiling the Host, if not the interpreter. By the second the worker has been loaded, or nearly.
 */
const WORKER_START = 6_000_000;
const FIRST_REQUEST = 36_000_000;

/** When `auto` begins, in guest instructions since power-on. `boot`: about how many the guest takes to boot. */
export function beginOfTranslation(boot = BOOT_INSTRUCTIONS): { workerStart: number; firstRequest: number } {
  const from = boot > LONGEST_BOOT ? BOOT_INSTRUCTIONS : boot;
  return { workerStart: from + WORKER_START, firstRequest: from + FIRST_REQUEST };
}

/** Most instructions of a region that are told to call for what they miss. */
export const MOST_MISSING = 64;
/**
 * About how many guest instructions a region holds at the most; larger functions get slower code from V8. With `jit`
 * every block that no region enters makes a new one, so what they have in common is translated again and again.
 */
export const REGION_INSTRUCTIONS: Readonly<Record<Tiers, number>> = { interp: 0, jit: 60, auto: 300 };

/** Guest pages that a region may span. */
export const REGION_PAGES = 16;

/** How an engine with tiers goes about it. */
export interface TierOptions {
  /** Name of the place at an eip, if it has one: for profilers and reports. */
  readonly symbolOf?: SymbolOf;
  /** Counts how each region is entered and left, which costs time. Default false. */
  readonly watchRegions?: boolean;
  /** Instructions that a block executes before it is translated, however long that takes: 1 .. 2^31 - 1. Default as `Tiers` and `HEAT` say. */
  readonly heat?: number;
  /** About how many instructions the guest takes to boot; see `beginOfTranslation`. Default `BOOT_INSTRUCTIONS`. */
  readonly bootInstructions?: number | undefined;
  /** Installs translations at repeatable instruction counts; see `PunctualTranslator`. Default false. */
  readonly punctual?: boolean;
  /**
   * File of translations of earlier runs of the same guest (see `translation-store.ts`), which `Engine.keep` writes; with
   * `auto`, and not `punctual`. Default none.
   */
  readonly store?: string | undefined;
  /** Default `REGION_LIMITS`. */
  readonly limits?: RegionLimits;
  /** Who translates; by default the worker that all machines of the process share. */
  readonly translator?: TranslationService;
}

/** Whether translations of earlier runs are used, and kept: not where runs have to be the same again. */
export function keepsTranslations(tiers: Tiers, { heat, punctual = false, store }: TierOptions): boolean {
  return tiers === 'auto' && heat === undefined && !punctual && store !== undefined;
}

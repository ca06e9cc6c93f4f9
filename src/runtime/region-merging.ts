/**
 * Regions that often hand over to each other become one: calls, returns and computed jumps between them are then jumps
 * inside a function. Which do is found by sampling.
 */
import type { CodePageView } from './code-page.js';
import type { Region } from './region-cache.js';
import { MOST_MISSING } from './tiers.js';
import type { RegionOrigin } from './translator.js';
import { PAGE } from '../frontend-x86/limits.js';

/** Samples of the same pair that are enough. */
const ENOUGH_SAMPLES = 3;
/** They have to come within so many guest instructions. */
const SOON = 30_000_000;
/** Most guest instructions in a merged region: V8 compiles larger functions slowly, and not well. */
const MOST_INSTRUCTIONS = 900;
/** Most guest pages in one. */
const MOST_PAGES = 24;
/** Pairs that are remembered; then counting starts afresh. */
const MOST_PAIRS = 4096;

/** What to translate instead of two regions. */
export interface Merger {
  readonly origin: RegionOrigin;
  readonly pages: ReadonlyMap<number, CodePageView>;
}

/** Counts samples of pairs of numbers below 2^16. */
export class PairSamples {
  private readonly counts = new Map<number, number>();
  private since = 0;

  /**
   * Notes a sample of a pair after so many instructions; true if it was seen often enough.
   */
  note(a: number, b: number, instructions: number): boolean {
    if (instructions - this.since > SOON || this.counts.size >= MOST_PAIRS) {
      this.counts.clear();
      this.since = instructions;
    }
    const key = a * 0x10000 + b;
    const count = (this.counts.get(key) ?? 0) + 1;
    this.counts.set(key, count);
    if (count < ENOUGH_SAMPLES) return false;
    this.counts.delete(key);
    return true;
  }

  /** The numbers mean others from here on. */
  forgetAll(): void {
    this.counts.clear();
    this.since = -Infinity;
  }
}

/** Both regions as one, seen from the first, after `instructions` of the guest; undefined if it would be too large, or their pages contradict. */
export function merge(a: Region, b: Region, instructions: number): Merger | undefined {
  if (a.instructions + b.instructions > MOST_INSTRUCTIONS) return undefined;
  const shift = (b.origin.linear - a.origin.linear) | 0;
  const pages = new Map(a.pagesByDelta);
  for (const [delta, page] of b.pagesByDelta) {
    const here = delta + shift / PAGE;
    if ((pages.get(here) ?? page) !== page) return undefined;
    pages.set(here, page);
  }
  if (pages.size > MOST_PAGES) return undefined;
  const both = (mine: readonly number[], other: readonly number[]): number[] => [
    ...new Set([...mine, ...other.map((place) => place + shift)]),
  ];
  const leaders = both(a.origin.leaders, b.origin.leaders).sort((x, y) => x - y);
  const entries = both(a.origin.entries, b.origin.entries);
  const missing = both(a.origin.missing ?? [], b.origin.missing ?? []).slice(0, MOST_MISSING);
  const merged = [
    ...(a.origin.merged ?? []),
    { start: b.origin.start + shift, instructions },
    ...(b.origin.merged ?? []).map((part) => ({ ...part, start: part.start + shift })),
  ];
  const missedAt = Math.max(a.origin.missedAt ?? 0, b.origin.missedAt ?? 0);
  return {
    origin: { ...a.origin, leaders, entries, missing, merged, ...(missedAt > 0 && { missedAt }) },
    pages,
  };
}

/** Instruction count when a region was last asked for, alone, with others or anew. */
export function lastAskedFor({ instructions, merged = [], missedAt = 0 }: RegionOrigin): number {
  return Math.max(instructions, missedAt, ...merged.map((part) => part.instructions));
}

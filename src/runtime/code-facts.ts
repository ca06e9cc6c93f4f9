/** What an engine knows of the code at an address: its regions, its decoded block, and why it is not translated. */
import { decode } from '../frontend-x86/decode.js';
import { liftRegion } from '../frontend-x86/lift-region.js';
import * as S from '../frontend-x86/cpu-state.js';
import type { InterpreterEngine } from './interpreter-engine.js';
import type { BlockProgress } from './tier-up.js';
import type { RefusalCause } from './refusals.js';
import type { Region } from './region-cache.js';
import type { TranslationRequest } from './translator.js';
import { MAX_INSTRUCTION, PAGE } from '../frontend-x86/limits.js';

export interface RegionFacts {
  readonly region: Region;
  /** What it is made from. */
  readonly request: TranslationRequest;
}

/** A predecoded block. */
export interface BlockFacts {
  /** Linear address of its first instruction. */
  readonly start: number;
  readonly instructions: number;
  readonly progress: BlockProgress;
  readonly refused: RefusalCause | undefined;
}

export interface CodeFacts {
  /** Guest-physical address; undefined if it is not mapped now. */
  readonly physical: number | undefined;
  readonly regions: readonly RegionFacts[];
  readonly blocks: readonly BlockFacts[];
  /** Whether anything of the page was ever decoded. */
  readonly isDecoded: boolean;
  /** Instructions of the guest before which nothing is translated, if it has not executed as many. */
  readonly firstRequest: number | undefined;
  /** How often the page's code was dropped because it was written, or all code was. */
  readonly drops: number;
}

/** Looks around linear address `linear`. Sets the accessed bits of its page tables, as an access does. */
export function codeFacts(engine: InterpreterEngine, linear: number): CodeFacts {
  const translated = engine.mmu.translate(linear, false, engine.cpu.get(S.CPL) === 3);
  const physical = translated < 0 ? undefined : translated;
  const regions: RegionFacts[] = [];
  for (const region of engine.regions.regions()) {
    const request = engine.regions.requestOf(region);
    if (holds(region, request, linear, physical)) regions.push({ region, request });
  }
  const page = physical === undefined ? undefined : engine.code.describePage(physical >>> 12);
  const offset = linear % PAGE;
  const blocks = (page?.blocks ?? [])
    // The records that stand for a region's entry do not count.
    .filter((b) => b.countdown <= page!.heat + 1)
    .filter((b) => offset >= b.offset && offset < endOf(engine, physical!, b.offset, b.instructions))
    .map(({ offset: start, instructions, record }) => ({
      start: (linear - offset + start) >>> 0,
      instructions,
      progress: engine.tierUp.progressOf(record, page!.heat),
      refused: engine.tierUp.refusals.at((physical! & -PAGE) + start),
    }));
  const { firstRequest } = engine.tierUp;
  return {
    physical,
    regions,
    blocks,
    isDecoded: page !== undefined,
    firstRequest: engine.instructions < firstRequest ? firstRequest : undefined,
    drops: page?.drops ?? 0,
  };
}

/** Whether the address is in a block of the region: as the region sees it, or through another mapping. */
function holds(region: Region, request: TranslationRequest, linear: number, physical?: number): boolean {
  const { blocks } = liftRegion(request, (delta) => request.pages.get(delta));
  return blocks.some(({ start, end }) => {
    if ((linear - region.origin.linear - start) >>> 0 < end - start) return true;
    const page = region.pagesByDelta.get(Math.floor(start / PAGE));
    if (page === undefined || physical === undefined) return false;
    return (physical - page.pfn * PAGE - (start & (PAGE - 1))) >>> 0 < end - start;
  });
}

/** Page offset behind `count` instructions. */
function endOf(engine: InterpreterEngine, physical: number, offset: number, count: number): number {
  const page = engine.memory.view(physical & -PAGE, PAGE);
  let at = offset;
  for (let i = 0; i < count && at < PAGE; i++) {
    const insn = decode(page, at, Math.min(MAX_INSTRUCTION, PAGE - at), true);
    if (insn === 'more') return PAGE;
    at += insn.length;
  }
  return at;
}

/** Which code a region is made from: what the interpreter knows of the blocks decides what discovery takes in. */
import { type Interest, outline, type RegionOutline } from '../frontend-x86/discover.js';
import { PAGE } from '../frontend-x86/limits.js';
import type { CodeCache } from './code-cache.js';
import type { CodePageView } from './code-page.js';
import { REGION_INSTRUCTIONS, REGION_PAGES, type Tiers } from './tiers.js';
import type { CodeBlock } from './waiting-blocks.js';

/** What is known of code, and what to make of it. Blocks are told by their first records. */
export interface CodeKnowledge {
  readonly tiers: Tiers;
  /** So many instructions executed of a block make it worth including. */
  readonly warm: number;
  /** The 4096 bytes of a page. */
  readonly bytesOf: (page: CodePageView) => Uint8Array;
  /** The page of code at a linear address, if there is one. */
  readonly pageAt: (linear: number) => CodePageView | undefined;
  /** Whether a block was warm and counts anew, or not at all because it is part of a region. */
  readonly wasWarm: (record: number) => boolean;
  /** Whether a block is known to have run of late, or not to have; undefined if nothing is known of it. */
  readonly isRecent: (record: number) => boolean | undefined;
}

/** Finds what belongs into the region around a block. `start` is the block's offset in its page, `pages` are by their distance. */
export function outlineRegion(
  { record, linear, page: first }: CodeBlock,
  code: CodeCache,
  known: CodeKnowledge,
): { start: number; outline: RegionOutline; pages: ReadonlyMap<number, CodePageView> } {
  const { heat } = code;
  const { tiers, warm } = known;
  const pages = new Map([[0, first]]);
  const claim = (delta: number, page: CodePageView): boolean => {
    if (!pages.has(delta) && pages.size >= REGION_PAGES) return false;
    pages.set(delta, page);
    return true;
  };
  const interest = (page: CodePageView, offset: number): Interest => {
    if (page !== first && heat.isRestless(page)) return 'none';
    if (tiers !== 'jit' && !heat.isWarm(page, offset, warm, known.wasWarm)) return 'none';
    // What has a region can wait.
    return tiers === 'auto' && code.isRegion(heat.recordAt(page, offset)) ? 'later' : 'now';
  };
  const start = code.offsetOf(record);
  const found = outline({
    start,
    page: (delta) => {
      const page = pages.get(delta) ?? known.pageAt((linear + delta * PAGE) >>> 0);
      return (
        page && {
          bytes: known.bytesOf(page),
          interest: (offset) => interest(page, offset),
          startsBlock: (offset) => heat.recordAt(page, offset) !== 0,
          claim: () => claim(delta, page),
        }
      );
    },
    // Of what direct jumps do not lead to not what is known to be of old: a page has code of many programs and times.
    warm: heat.warmBlocks(first, warm, known.isRecent),
    maxInstructions: REGION_INSTRUCTIONS[tiers],
  });
  return { start, outline: found, pages };
}

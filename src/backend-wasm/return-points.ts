/**
 * Where a region's returns may go inside it: behind the calls of the function that they belong to. A return that compares
 * its target with those, in its own page, need not look it up.
 */
import { OPS } from '../ir/ops.js';
import type { RegionBlock } from './region-target.js';
import { pageOf } from '../frontend-x86/discover.js';

/** More places than this are looked up. */
const MOST_PLACES = 3;
/** What `jump` has as its kind for returns. */
export const RETURN = 2;

function isReturn({ ir }: RegionBlock): boolean {
  const last = ir.ops.at(-1);
  return last !== undefined && OPS[last.name].effect === 'end' && last.name === 'jump' && last.imm === RETURN;
}

/**
 * By number of a block that ends in a return: the places behind the calls of its function, if they are few.
 * `successors`: by block, the blocks that it goes to.
 */
export function returnPoints(
  blocks: readonly RegionBlock[],
  successors: readonly (readonly number[])[],
): ReadonlyMap<number, readonly number[]> {
  const numberAt = new Map(blocks.map((b, i) => [b.start, i]));
  /** By number of a function's first block: the blocks behind its calls. */
  const callers = new Map<number, number[]>();
  /** Ways inside a function: those behind its calls instead of those into them. */
  const inside = blocks.map(({ calls, end }, i) => {
    if (calls === undefined) return successors[i]!;
    const callee = numberAt.get(calls);
    const behind = numberAt.get(end);
    if (behind === undefined) return [];
    if (callee !== undefined) callers.set(callee, [...(callers.get(callee) ?? []), behind]);
    return [behind];
  });
  const points = new Map<number, Set<number>>();
  for (const [callee, behind] of callers) {
    const seen = new Set([callee]);
    // A set goes on to what is added while it is gone through.
    for (const block of seen) for (const next of inside[block]!) seen.add(next);
    for (const block of seen) {
      if (!isReturn(blocks[block]!)) continue;
      const known = points.get(block) ?? new Set();
      for (const b of behind) known.add(b);
      points.set(block, known);
    }
  }
  const found = new Map<number, readonly number[]>();
  for (const [block, behind] of points) {
    const page = pageOf(blocks[block]!.start);
    const places = [...behind].map((b) => blocks[b]!.start).filter((p) => pageOf(p) === page);
    if (places.length > 0 && places.length <= MOST_PLACES) found.set(block, places);
  }
  return found;
}

/** From an outline of code to IR: its blocks, decoded and lifted. */
import { Builder } from '../ir/builder.js';
import type { Block } from '../ir/ir.js';
import { optimize } from '../ir/passes/optimize.js';
import { endsBlock } from './block-ends.js';
import { decodeIn, directTarget, pageOf, type RegionOutline } from './discover.js';
import { lift } from './lift/lift.js';
import { MAX_BLOCK } from './limits.js';

/** A basic block: the bytes [start, end), lifted as a whole. */
export interface LiftedBlock {
  readonly start: number;
  readonly end: number;
  readonly instructions: number;
  readonly ir: Block;
  /** The place that it calls, if it ends in a direct call. */
  readonly calls?: number;
}

export interface LiftedRegion {
  readonly blocks: LiftedBlock[];
  /** Blocks (by number) where control arrives from elsewhere: the start, call targets and return points, loop heads. */
  readonly entries: number[];
}

/** Decodes and lifts the blocks of an outline. `bytes`: the 4096 bytes of the page with a delta; `passes`: over each block. */
export function liftRegion(
  region: RegionOutline,
  bytes: (delta: number) => Uint8Array | undefined,
  passes: (block: Block) => Block = optimize,
): LiftedRegion {
  const leaders = new Set(region.leaders);
  const blocks: LiftedBlock[] = [];
  const numbers = new Map<number, number>();
  for (const leader of region.leaders) {
    const block = liftBlock(leader, leaders, bytes, passes);
    if (block) {
      numbers.set(leader, blocks.length);
      blocks.push(block);
    }
  }
  const entries = region.entries.map((e) => numbers.get(e)).filter((n) => n !== undefined);
  return { blocks, entries };
}

function liftBlock(
  start: number,
  leaders: ReadonlySet<number>,
  bytes: (delta: number) => Uint8Array | undefined,
  passes: (block: Block) => Block,
): LiftedBlock | undefined {
  const delta = pageOf(start);
  const page = bytes(delta);
  if (!page) return undefined;
  const b = new Builder();
  let place = start;
  let instructions = 0;
  let calls: number | undefined;
  while (pageOf(place) === delta && instructions < MAX_BLOCK) {
    const insn = decodeIn(page, place);
    if (insn === undefined) break;
    b.mark(place - start, insn.length);
    lift(b, insn);
    instructions++;
    if (insn.op === 'call') calls = directTarget(insn, place);
    place += insn.length;
    if (endsBlock(insn) || leaders.has(place)) break;
  }
  if (instructions === 0) return undefined;
  return { start, end: place, instructions, ir: passes(b.block()), ...(calls !== undefined && { calls }) };
}

/** Which instructions of a page belong together: basic blocks, split at leaders, reachable from a hot place. */
import { optimize } from '../ir/passes/optimize.js';
import { Builder } from '../ir/builder.js';
import type { Block } from '../ir/ir.js';
import { decode } from './decode.js';
import type { DecodedInstruction } from './decoded-instruction.js';
import { endsBlock, lift } from './lift/lift.js';

const PAGE = 4096;
const MAX_INSTRUCTION = 15;

export interface DiscoveryOptions {
  /** Page offset to start from. */
  readonly start: number;
  /** Whether code at a page offset is worth including (the start always is). */
  readonly wanted: (offset: number) => boolean;
  /** Further places known to be executed often, such as targets of computed jumps: entries, as room allows. */
  readonly warm?: readonly number[];
  /** About how many instructions to include at the most. */
  readonly maxInstructions: number;
}

/** A basic block: [start, end) in the page, lifted as a whole. */
export interface DiscoveredBlock {
  readonly start: number;
  readonly end: number;
  readonly instructions: number;
  readonly ir: Block;
}

export interface Discovery {
  readonly blocks: DiscoveredBlock[];
  /** Blocks (by number) where control arrives from elsewhere: the start, call targets and return points, loop heads. */
  readonly entries: number[];
}

/** Ends of blocks behind which execution can go on. */
function continues(insn: DecodedInstruction): boolean {
  return insn.op !== 'jmp' && insn.op !== 'ud' && insn.op !== 'jmpf';
}

function directTarget(insn: DecodedInstruction, offset: number): number | undefined {
  return insn.operands[0]?.kind === 'rel' && insn.operandSize !== 2 ? offset + insn.target : undefined;
}

/** Ops without an operand that name their own start as a target. */
function repeats(insn: DecodedInstruction): boolean {
  return insn.rep !== 'none' && endsBlock(insn);
}

/**
 * The blocks around `start`. Instructions that straddle the page's end are left out. `page`: the 4096 bytes.
 * All segments are taken as flat.
 */
export function discover(page: Uint8Array, options: DiscoveryOptions): Discovery {
  const { start, wanted, maxInstructions } = options;
  const decoded = new Map<number, DecodedInstruction>();
  const leaders = new Set<number>([start]);
  const entries = new Set<number>([start]);
  const queue = [start];
  const at = (offset: number): DecodedInstruction | undefined => {
    const known = decoded.get(offset);
    if (known) return known;
    const insn = decode(page, offset, Math.min(MAX_INSTRUCTION, PAGE - offset), true);
    if (insn === 'more') return undefined;
    decoded.set(offset, insn);
    return insn;
  };
  const reach = (offset: number): boolean => {
    if (offset < 0 || offset >= PAGE) return false;
    if (leaders.has(offset)) return true;
    if (!wanted(offset)) return false;
    leaders.add(offset);
    queue.push(offset);
    return true;
  };

  const others = [...(options.warm ?? [])];
  const takeOther = (): number | undefined => {
    for (let next = others.shift(); next !== undefined; next = others.shift()) {
      if (leaders.has(next)) entries.add(next);
      else if (decoded.size < maxInstructions) {
        leaders.add(next);
        entries.add(next);
        return next;
      }
    }
    return undefined;
  };
  for (let next = queue.shift(); next !== undefined; next = queue.shift() ?? takeOther()) {
    if (decoded.size >= maxInstructions) {
      leaders.delete(next);
      entries.delete(next);
      continue;
    }
    for (let offset = next; offset < PAGE;) {
      const insn = at(offset);
      if (insn === undefined) break;
      const end = offset + insn.length;
      if (repeats(insn)) {
        leaders.add(offset);
        entries.add(offset);
      }
      if (!endsBlock(insn)) {
        offset = end;
        if (leaders.has(offset)) break;
        continue;
      }
      const target = directTarget(insn, offset);
      if (target !== undefined && reach(target) && (target <= offset || insn.op === 'call'))
        entries.add(target);
      // What follows a computed transfer or a call is entered from elsewhere.
      if (continues(insn) && reach(end) && target === undefined) entries.add(end);
      if (insn.op === 'call' && leaders.has(end)) entries.add(end);
      break;
    }
  }

  const blocks: DiscoveredBlock[] = [];
  const numbers = new Map<number, number>();
  for (const leader of [...leaders].sort((a, b) => a - b)) {
    const block = liftBlock(leader, leaders, at);
    if (block) {
      numbers.set(leader, blocks.length);
      blocks.push(block);
    }
  }
  return { blocks, entries: [...entries].map((e) => numbers.get(e)).filter((n) => n !== undefined) };
}

/** Most instructions in a block: their count has to fit a record's byte. */
const MAX_BLOCK_INSTRUCTIONS = 64;

function liftBlock(
  start: number,
  leaders: ReadonlySet<number>,
  at: (offset: number) => DecodedInstruction | undefined,
): DiscoveredBlock | undefined {
  const b = new Builder();
  let offset = start;
  let instructions = 0;
  while (offset < PAGE && instructions < MAX_BLOCK_INSTRUCTIONS) {
    const insn = at(offset);
    if (insn === undefined) break;
    b.mark(offset - start, insn.length);
    lift(b, insn);
    instructions++;
    offset += insn.length;
    if (endsBlock(insn) || leaders.has(offset)) break;
  }
  if (instructions === 0) return undefined;
  return { start, end: offset, instructions, ir: optimize(b.block()) };
}

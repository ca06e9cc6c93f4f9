/**
 * Which blocks are worth a translation. A block's counter tells when the interpreter has executed another `STEP` of its
 * instructions; what counts is how soon that happens. What is hot is asked for at once. What is merely warm, as most of a
 * kernel is in time, is worth the translator's time only while it has nothing else to do.
 */

/** Instructions of a block from one look at it to the next. */
export const STEP = 12_000;
/** This many steps within so many guest instructions make a block hot. */
const HOT = { steps: 15, within: 20_000_000 } as const;
/** And these make it warm. */
const WARM = { steps: 2, within: 200_000_000 } as const;
/** After so many guest instructions it is something else that runs: what was warm before may no longer be. */
const RECENT = 500_000_000;

/** Whether something is not long ago, both as guest instruction counts. */
export function isRecent(then: number, now: number): boolean {
  return now - then < RECENT;
}
/** Blocks that are remembered. */
const MOST_BLOCKS = 100_000;

export type Heat = 'cold' | 'warm' | 'hot';

/** So many instructions of a block within so many of the guest. */
export interface HeatThreshold {
  readonly instructions: number;
  readonly within: number;
}

/** What makes a block hot, and what warm, if a step of it takes so many instructions. */
export function heatThresholds(step: number): Readonly<Record<'hot' | 'warm', HeatThreshold>> {
  const threshold = ({ steps, within }: typeof HOT | typeof WARM): HeatThreshold => ({
    instructions: steps * step,
    within,
  });
  return { hot: threshold(HOT), warm: threshold(WARM) };
}

interface History {
  /** Instructions in all steps. */
  executed: number;
  /** Instruction counts, and the steps since. */
  hotFrom: number;
  hotSteps: number;
  warmFrom: number;
  warmSteps: number;
  /** Instruction count when it last took a step, or was asked for as part of a region. */
  seen: number;
}

export class Heating {
  private readonly blocks = new Map<number, History>();

  private historyOf(record: number, now: number): History {
    const known = this.blocks.get(record);
    if (known) return known;
    if (this.blocks.size >= MOST_BLOCKS) this.blocks.clear();
    const block = { executed: 0, hotFrom: now, hotSteps: 0, warmFrom: now, warmSteps: 0, seen: now };
    this.blocks.set(record, block);
    return block;
  }

  /** The block with this first record came to the end of a step of so many instructions, after `now` guest instructions. */
  note(record: number, now: number, step: number): Heat {
    const block = this.historyOf(record, now);
    block.seen = now;
    if (now - block.hotFrom > HOT.within) {
      block.hotFrom = now;
      block.hotSteps = 0;
    }
    const past = now - block.warmFrom;
    if (past > 2 * WARM.within) {
      block.warmFrom = now;
      block.warmSteps = 0;
    } else if (past > WARM.within) {
      // Half of what was counts on, as if it had taken half of the time: what runs evenly has the same rate all the time.
      block.warmFrom = now - WARM.within / 2;
      block.warmSteps >>= 1;
    }
    block.executed += step;
    block.hotSteps++;
    block.warmSteps++;
    if (block.hotSteps >= HOT.steps) return 'hot';
    return block.warmSteps >= WARM.steps ? 'warm' : 'cold';
  }

  /**
   * The block is asked for as part of a region, inside of which nobody counts what it executes. What it was before says
   * nothing about how often the interpreter still comes to it.
   */
  include(record: number, now: number): void {
    const block = this.historyOf(record, now);
    block.seen = block.hotFrom = block.warmFrom = now;
    block.hotSteps = block.warmSteps = 0;
  }

  /** Whether the block took a step, or was asked for, not long ago; undefined if it never did. */
  isRecent(record: number, now: number): boolean | undefined {
    const block = this.blocks.get(record);
    return block && isRecent(block.seen, now);
  }

  /** Whether the block has come to the end of a step, or was asked for. */
  has(record: number): boolean {
    return this.blocks.has(record);
  }

  /** Instructions of the block in all its steps. */
  executedOf(record: number): number {
    return this.blocks.get(record)?.executed ?? 0;
  }

  /**
   * How much of what the guest executes is the block: steps per instruction. What has just begun to run is not all there
   * is, and what has taken no step for twice as long as it used to take may have ended. On pages that change often,
   * whose steps are longer, blocks are worth less than they execute.
   */
  rateOf(record: number, now: number): number {
    const block = this.blocks.get(record);
    if (!block) return 0;
    return Math.min(block.warmSteps / (now - block.warmFrom + HOT.within), 2 / (now - block.seen));
  }

  /** Its next steps are its first. */
  forget(record: number): void {
    this.blocks.delete(record);
  }

  /** So are those of all blocks. */
  forgetAll(): void {
    this.blocks.clear();
  }
}

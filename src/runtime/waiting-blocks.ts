/** Blocks that are warm and wait for the translator to have next to nothing to do: then the one that runs most is next. */
import type { CodePageView } from './code-page.js';

/** A block of code where it last took a step. */
export interface CodeBlock {
  /** Its first record. */
  readonly record: number;
  /** Linear address of its page. */
  readonly linear: number;
  readonly page: CodePageView;
}

/** Blocks that wait at the most. One that is forgotten comes back when it has run some more. */
export const MOST_WAITING = 10_000;

export class WaitingBlocks {
  private readonly blocks = new Map<number, CodeBlock>();

  add(block: CodeBlock): void {
    if (this.blocks.size >= MOST_WAITING && !this.blocks.has(block.record)) this.blocks.clear();
    this.blocks.set(block.record, block);
  }

  delete(record: number): void {
    this.blocks.delete(record);
  }

  clear(): void {
    this.blocks.clear();
  }

  /** The block whose first record has the largest rate, of those that are here. Forgets what is in the way of that and gone. */
  hottest(
    rateOf: (record: number) => number,
    whereabouts: (block: CodeBlock) => 'here' | 'elsewhere' | 'gone',
  ): CodeBlock | undefined {
    let hottest: CodeBlock | undefined;
    let most = 0;
    for (const block of this.blocks.values()) {
      const rate = rateOf(block.record);
      if (rate <= most) continue;
      const where = whereabouts(block);
      if (where === 'gone') this.blocks.delete(block.record);
      if (where !== 'here') continue;
      most = rate;
      hottest = block;
    }
    return hottest;
  }
}

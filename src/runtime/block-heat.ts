/**
 * How much of its time the interpreter spends in blocks: a counter in front of each block's first record counts its
 * instructions down, all of them at each entry, to the entry at which it becomes hot. Entries alone would tell little: a
 * block of 60 instructions is worth ten of 6. Pages whose code changes often need more, which doubles with every change.
 */
import { RECORD_HEAT, RECORD_LEFT } from '../backend-wasm/record.js';
import type { CodePageView } from './code-page.js';
import type { MachineMemory } from './machine-memory.js';
import { PAGE } from '../frontend-x86/limits.js';

/** A countdown that ends after so long that it may as well never. */
const NEVER_HOT = 0x7fffffff;
/** Instructions that a block executes before it is looked at early. */
const EARLY = 500;
/** After this many drops of a page's code that count each further one doubles the heat that its blocks need. */
const FREE_DROPS = 4;
/** Up to this: counters that never end have to be told from those of such blocks. */
const MOST_HEAT = NEVER_HOT >>> 1;

export class BlockHeat {
  /** A block becomes hot when the interpreter has executed so many of its instructions: 1 .. 2^31 - 1. */
  threshold = NEVER_HOT;

  /** First records of blocks that are looked at early, and what their counters had before. */
  private readonly early = new Map<number, number>();

  constructor(private readonly memory: MachineMemory) {}

  /** A block of the page, told by its first record, counts from the start: a new one, or one to become hot once more. */
  start(record: number, page: CodePageView): void {
    this.memory.i32[(record + RECORD_HEAT) >> 2] = this.of(page);
    this.early.delete(record);
  }

  /** The same, but of a page that nobody looked up: how often its code changed does not count yet. */
  startUnseen(record: number): void {
    this.memory.i32[(record + RECORD_HEAT) >> 2] = this.threshold;
    this.early.delete(record);
  }

  /** A block is looked at when it has executed a few instructions, if it counts at all, and its page does not change often. */
  startEarly(record: number, page: CodePageView): void {
    const left = this.left(record);
    // Region records have a counter far above, which stays.
    if (this.isRestless(page) || left <= EARLY || left > this.of(page)) return;
    this.memory.i32[(record + RECORD_HEAT) >> 2] = EARLY;
    this.early.set(record, left);
  }

  /**
   * What the counter of a block had before it was to be looked at early, which is over now; undefined if it has come to its end
   * by itself.
   */
  takeEarly(record: number): number | undefined {
    const before = this.early.get(record);
    this.early.delete(record);
    return before;
  }

  /** A block that was looked at early, see `takeEarly`, goes on counting as if it had not been. */
  goOn(record: number, before: number): void {
    this.memory.i32[(record + RECORD_HEAT) >> 2] = before - EARLY;
  }

  /** There are no blocks any more. */
  forgetAll(): void {
    this.early.clear();
  }

  /** The block with this first record is none to translate. */
  never(record: number): void {
    this.memory.i32[(record + RECORD_HEAT) >> 2] = NEVER_HOT;
  }

  /** How many of its instructions a block of the page has to execute to be hot. */
  of({ unrest }: Pick<CodePageView, 'unrest'>): number {
    const patience = Math.max(0, unrest - FREE_DROPS);
    return Math.max(this.threshold, Math.min(this.threshold * 2 ** patience, MOST_HEAT));
  }

  /** Its code changes so often that other pages' regions do better without it. */
  isRestless({ unrest }: CodePageView): boolean {
    return unrest > FREE_DROPS;
  }

  /** From the next drop on the page's code changes often again. Its blocks count as they did: see `restart`. */
  forgive(page: CodePageView): void {
    page.unrest = FREE_DROPS;
  }

  /** A block of a page that was forgiven, and needed so much until then, counts from the start, if it counts at all. */
  restart(record: number, page: CodePageView, needed: number): void {
    if (this.left(record) <= needed) this.start(record, page);
  }

  /**
   * Whether a block of the page starts at the offset and executed at least so many instructions. `wasWarm` knows blocks,
   * by their first record, that count anew, or not at all because they are part of a region.
   */
  isWarm(
    page: CodePageView,
    offset: number,
    instructions: number,
    wasWarm: (record: number) => boolean,
  ): boolean {
    const record = this.recordAt(page, offset);
    if (record === 0) return false;
    return wasWarm(record) || this.hasExecuted(record, page, instructions);
  }

  private hasExecuted(record: number, page: CodePageView, instructions: number): boolean {
    const left = this.left(record);
    const heat = this.of(page);
    // Region records have a counter far above, which stays.
    return left > heat || (this.early.get(record) ?? left) <= heat - instructions;
  }

  /**
   * Page offsets of the blocks that are warm, hottest first: those of which `isRecent` says so, by their first record,
   * or, if it knows nothing of them, that executed at least so many instructions.
   */
  warmBlocks(
    page: CodePageView,
    instructions: number,
    isRecent: (record: number) => boolean | undefined,
  ): number[] {
    const { i32 } = this.memory;
    const found: { offset: number; left: number }[] = [];
    const map = page.map >> 2;
    for (let offset = 0; offset < PAGE; offset++) {
      const record = i32[map + offset]!;
      if (record !== 0 && (isRecent(record) ?? this.hasExecuted(record, page, instructions)))
        found.push({ offset, left: this.left(record) });
    }
    return found.sort((a, b) => a.left - b.left).map((f) => f.offset);
  }

  /** First record of the block at an offset of the page; 0 if none starts there. */
  recordAt({ map }: CodePageView, offset: number): number {
    return this.memory.i32[(map >> 2) + offset]!;
  }

  /** Instructions left until the block is hot, or less than none; above `of` its page in a region's entry. */
  left(record: number): number {
    return this.memory.i32[(record + RECORD_HEAT) >> 2]!;
  }

  /** The next entry of the block does not count. */
  warmLess(record: number): void {
    this.memory.i32[(record + RECORD_HEAT) >> 2]! += this.memory.u8[record + RECORD_LEFT]!;
  }
}

/** Which instructions belong together: basic blocks, split at leaders, reachable from a hot place, over several pages. */
import { endsBlock } from './block-ends.js';
import { decode } from './decode.js';
import type { DecodedInstruction } from './decoded-instruction.js';
import { cutFullBlock } from './full-block.js';
import { MAX_BLOCK, MAX_INSTRUCTION, PAGE } from './limits.js';

/** Whether code is worth including: not at all, or at once, or if there is room when all else is included. */
export type Interest = 'none' | 'now' | 'later';

/** A page of code as discovery may look at it. */
export interface CodePage {
  /** Its 4096 bytes. */
  readonly bytes: Uint8Array;
  /** Whether code at a page offset is worth including. */
  readonly interest: (offset: number) => Interest;
  /** Whether the interpreter has a block that starts at a page offset. */
  readonly startsBlock: (offset: number) => boolean;
  /** Asks for the page as one of the region's; false if it has as many as it may have. */
  readonly claim: () => boolean;
}

/** Places are byte offsets from the first byte of the page that discovery starts in; negative in pages before it. */
export interface DiscoveryOptions {
  /** Where to start: 0..4095. */
  readonly start: number;
  /** The page that is `delta` pages behind the first one in the linear address space, if it is known: asked once for each. */
  readonly page: (delta: number) => CodePage | undefined;
  /** Further places known to be executed often, such as targets of computed jumps: entries, as room allows. */
  readonly warm?: readonly number[];
  /** About how many instructions to include at the most. */
  readonly maxInstructions: number;
}

/** Ends of blocks behind which execution can go on. */
function continues(insn: DecodedInstruction): boolean {
  return insn.op !== 'jmp' && insn.op !== 'ud' && insn.op !== 'jmpf';
}

/** Where a direct jump or call at a place goes. */
export function directTarget(insn: DecodedInstruction, place: number): number | undefined {
  return insn.operands[0]?.kind === 'rel' && insn.operandSize !== 2 ? place + insn.target : undefined;
}

/** A string operation that goes to itself until it is done. */
function repeats(insn: DecodedInstruction): boolean {
  return insn.rep !== 'none' && endsBlock(insn);
}

/** Number of the page that a place is in, relative to the first. */
export function pageOf(place: number): number {
  return Math.floor(place / PAGE);
}

/** The instruction at a place of a page; undefined if it continues in the next page. */
export function decodeIn(page: Uint8Array, place: number): DecodedInstruction | undefined {
  const offset = place & (PAGE - 1);
  const insn = decode(page, offset, Math.min(MAX_INSTRUCTION, PAGE - offset), true);
  return insn === 'more' ? undefined : insn;
}

class Search {
  private readonly decoded = new Map<number, DecodedInstruction>();
  /** Pages that were asked for, null if one is not known. */
  private readonly pages = new Map<number, CodePage | null>();
  readonly leaders: Set<number>;
  readonly entries: Set<number>;
  private readonly queue: number[];
  private readonly later: number[] = [];
  private readonly others: number[];

  constructor(private readonly options: DiscoveryOptions) {
    this.leaders = new Set([options.start]);
    this.entries = new Set([options.start]);
    this.queue = [options.start];
    this.others = [...(options.warm ?? [])];
  }

  /** The page of a place, if it is known. */
  private pageAt(place: number): CodePage | undefined {
    const delta = pageOf(place);
    let page = this.pages.get(delta);
    if (page === undefined) {
      page = this.options.page(delta) ?? null;
      this.pages.set(delta, page);
    }
    return page ?? undefined;
  }

  /** The instruction at a place; undefined if it is not wholly in a known page. */
  at(place: number): DecodedInstruction | undefined {
    const known = this.decoded.get(place);
    if (known) return known;
    const page = this.pageAt(place);
    if (!page) return undefined;
    const insn = decodeIn(page.bytes, place);
    if (insn) this.decoded.set(place, insn);
    return insn;
  }

  private get full(): boolean {
    return this.decoded.size >= this.options.maxInstructions;
  }

  /** Makes a place a leader if it is worth it, perhaps later. */
  private reach(place: number): boolean {
    if (this.leaders.has(place)) return true;
    if (this.full) return false;
    const page = this.pageAt(place);
    const interest = page?.interest(place & (PAGE - 1)) ?? 'none';
    if (interest === 'later') {
      this.later.push(place);
      return true;
    }
    if (interest === 'none' || !page!.claim()) return false;
    this.leaders.add(place);
    this.queue.push(place);
    return true;
  }

  private takeLater(): number | undefined {
    for (let next = this.later.shift(); next !== undefined; next = this.later.shift()) {
      if (this.leaders.has(next) || this.full || !this.pageAt(next)?.claim()) continue;
      this.leaders.add(next);
      return next;
    }
    return undefined;
  }

  private takeOther(): number | undefined {
    for (let next = this.others.shift(); next !== undefined; next = this.others.shift()) {
      // What direct jumps reach stays an inner block: entries inside a loop would cost the loop its structure.
      if (!this.leaders.has(next) && !this.full) {
        this.leaders.add(next);
        this.entries.add(next);
        return next;
      }
    }
    return undefined;
  }

  run(): void {
    const take = (): number | undefined => this.queue.shift() ?? this.takeLater() ?? this.takeOther();
    for (let next = take(); next !== undefined; next = take()) this.follow(next);
  }

  private startsBlock(place: number): boolean {
    return this.pageAt(place)?.startsBlock(place & (PAGE - 1)) ?? false;
  }

  private follow(leader: number): void {
    const block: DecodedInstruction[] = [];
    for (let place = leader; pageOf(place) === pageOf(leader);) {
      if (block.length === MAX_BLOCK) {
        const { end } = cutFullBlock(block, place, (p) => this.startsBlock(p));
        if (this.reach(end)) this.entries.add(end);
        return;
      }
      const insn = this.at(place);
      if (insn === undefined) return;
      block.push(insn);
      const end = place + insn.length;
      if (repeats(insn)) {
        this.leaders.add(place);
        this.entries.add(place);
      }
      if (endsBlock(insn)) {
        this.follows(insn, place, end);
        return;
      }
      place = end;
      if (this.leaders.has(place)) return;
    }
  }

  private follows(insn: DecodedInstruction, place: number, end: number): void {
    const isCall = insn.op === 'call';
    const target = directTarget(insn, place);
    // Loop heads and functions can also be entered from outside.
    if (target !== undefined && this.reach(target) && (target <= place || isCall)) this.entries.add(target);
    // What follows a computed transfer or a call is entered from elsewhere.
    if (continues(insn) && this.reach(end) && (target === undefined || isCall)) this.entries.add(end);
  }
}

/** What to translate: leaders and entries, as places. */
export interface RegionOutline {
  readonly leaders: readonly number[];
  /** Leaders where control arrives from elsewhere. */
  readonly entries: readonly number[];
  /** Instructions that often access what the TLB does not have. Default none. */
  readonly missing?: readonly number[];
}

/** Finds the leaders around `start`. Instructions that straddle pages are left out. All segments are taken as flat. */
export function outline(options: DiscoveryOptions): RegionOutline {
  const search = new Search(options);
  search.run();
  // For some that were to be included later there was no room.
  const entries = [...search.entries].filter((place) => search.leaders.has(place));
  return { leaders: [...search.leaders].sort((a, b) => a - b), entries };
}

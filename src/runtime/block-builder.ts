/** Makes blocks of records from the guest's bytes. */
import { endsBlock } from '../frontend-x86/block-ends.js';
import { decode } from '../frontend-x86/decode.js';
import type { DecodedInstruction } from '../frontend-x86/decoded-instruction.js';
import { cutFullBlock } from '../frontend-x86/full-block.js';
import { MAX_BLOCK, MAX_INSTRUCTION, PAGE } from '../frontend-x86/limits.js';
import * as L from '../backend-wasm/memory-layout.js';
import type { CodePage } from './code-page.js';
import type { MachineMemory } from './machine-memory.js';
import type { GuestMmu } from './mmu.js';
import type { RecordWriter } from './record-writer.js';

/** A page fault or bad table met while fetching code; the caller reports it. */
export interface FetchFault {
  readonly address: number;
}

/** The pages that code is in. */
export interface CodePages {
  /** The page with this number, with a code map. */
  page(pfn: number): CodePage;
  /** Bytes `from` up to before `to` of a page are decoded. */
  markCode(pfn: number, from: number, to: number): void;
}

export class BlockBuilder {
  private readonly straddle = new Uint8Array(2 * MAX_INSTRUCTION);
  private readonly instructions: DecodedInstruction[] = [];
  /** Blocks and instructions decoded. */
  readonly counts = { blocks: 0, instructions: 0 };

  constructor(
    private readonly memory: MachineMemory,
    private readonly mmu: GuestMmu,
    private readonly records: RecordWriter,
    private readonly pages: CodePages,
  ) {}

  /**
   * Writes the records of the block at guest-physical `physical` = linear address `linear`, of at most `limit`
   * instructions, from `at` on, and marks its code. Returns the address behind them.
   */
  build(
    at: number,
    physical: number,
    linear: number,
    flat: boolean,
    user: boolean,
    limit: number,
    page: CodePage,
  ): number | FetchFault {
    const { u8 } = this.memory;
    const list = this.instructions;
    list.length = 0;
    const pageStart = physical & ~(PAGE - 1);
    const host = L.RAM + (pageStart >>> 0);
    const start = physical & (PAGE - 1);
    let offset = start;
    // Code map of the page in which the block's instruction goes on.
    let nextMap = 0;
    while (list.length < limit && offset < PAGE) {
      const insn = decode(u8, host + offset, Math.min(MAX_INSTRUCTION, PAGE - offset), flat);
      if (insn === 'more') {
        if (list.length > 0) break;
        const second = this.straddling(physical, linear, flat, user, page);
        if ('address' in second) return second;
        list.push(second.instruction);
        offset += second.instruction.length;
        nextMap = second.map;
        break;
      }
      list.push(insn);
      offset += insn.length;
      if (endsBlock(insn)) break;
    }
    // Behind a block that ends with its page nothing in it follows.
    if (list.length === MAX_BLOCK && offset < PAGE && !endsBlock(list[MAX_BLOCK - 1]!)) {
      const map = page.map >> 2;
      const cut = cutFullBlock(list, offset, (place) => this.memory.i32[map + place] !== 0);
      list.length = cut.count;
      offset = cut.end;
    }
    this.pages.markCode(page.pfn, start, Math.min(offset, PAGE));
    this.counts.blocks++;
    this.counts.instructions += list.length;

    const end = this.records.block(at, list, start, nextMap);
    list.length = 0;
    return end;
  }

  /** The page behind that of a linear address, which is entered into the execution TLB. */
  nextPage(linear: number, user: boolean): CodePage | FetchFault {
    const address = ((linear & ~(PAGE - 1)) + PAGE) >>> 0;
    const physical = this.mmu.translate(address, false, user);
    if (physical < 0) return { address };
    const page = this.pages.page(physical >>> 12);
    this.mmu.setExecutable(address, page.map);
    return page;
  }

  private straddling(
    physical: number,
    linear: number,
    flat: boolean,
    user: boolean,
    page: CodePage,
  ): { instruction: DecodedInstruction; map: number } | FetchFault {
    const { u8 } = this.memory;
    const second = this.nextPage(linear, user);
    if ('address' in second) return second;
    const host = L.RAM + physical;
    const here = PAGE - (physical & (PAGE - 1));
    const there = MAX_INSTRUCTION - here;
    this.straddle.set(u8.subarray(host, host + here), 0);
    const next = L.RAM + second.pfn * PAGE;
    this.straddle.set(u8.subarray(next, next + there), here);
    const instruction = decode(this.straddle, 0, MAX_INSTRUCTION, flat);
    if (instruction === 'more') throw new Error('the decoder wants more than 15 bytes');
    second.dependents.add(page.pfn);
    this.pages.markCode(second.pfn, 0, instruction.length - here);
    return { instruction, map: second.map };
  }
}

/**
 * Predecoded code: blocks of records by guest-physical page. A page with records has a code map (a dword per byte of
 * the page: the record of the block that starts there), marked lines, and no store entry in any TLB. When marked bytes
 * are written the page's records all become `resume` records, so that even the block that is running goes back to
 * its bytes before the next instruction. `record-writer.ts` makes the records, `code-lines.ts` marks the lines.
 */
import * as L from '../backend-wasm/memory-layout.js';
import {
  HANDLER,
  RECORD_CROSS_MAP,
  RECORD_ENTRY,
  RECORD_HANDLER,
  RECORD_HEAT,
  RECORD_LEFT,
  RECORD_OFFSET,
  RECORD_PLAIN,
  REGION_RECORD_BYTES,
} from '../backend-wasm/record.js';
import { BlockBuilder, type FetchFault } from './block-builder.js';
import { BlockHeat } from './block-heat.js';
import { CodeLines, type LineBits } from './code-lines.js';
import type { CodePage, CodePageView, PageDescription } from './code-page.js';
import type { FormTable } from './form-table.js';
import type { MachineMemory } from './machine-memory.js';
import type { GuestMmu } from './mmu.js';
import { RecordWriter } from './record-writer.js';
import { MAX_BLOCK, PAGE } from '../frontend-x86/limits.js';

/** Told of a block of a page, by its offset and first record. */
export type BlockVisitor = (page: CodePageView, offset: number, record: number) => void;

export class CodeCache {
  private readonly records: RecordWriter;
  private readonly builder: BlockBuilder;
  /** How much of the blocks is executed. */
  readonly heat: BlockHeat;
  private pages = new Map<number, CodePage>();
  private readonly pageByMap: CodePage[] = [];
  private readonly lines: CodeLines;
  private nextMap = L.CODE_MAPS;
  private nextRecord = L.RECORDS;
  private scratchEnd = L.SCRATCH_RECORDS;
  /** The page that is being dropped, and whether all are. */
  private retiring: CodePage | undefined;
  private flushing = false;
  /** Called when everything was forgotten: other blocks get the addresses of records that there were. */
  onFlush: () => void = () => undefined;
  /** Called with each block that is decoded. */
  onBlock: BlockVisitor | undefined;
  /** Counters for statistics. */
  readonly counts = { invalidations: 0, flushes: 0 };

  constructor(
    private readonly memory: MachineMemory,
    private readonly mmu: GuestMmu,
    table: FormTable,
  ) {
    this.lines = new CodeLines(memory);
    this.records = new RecordWriter(memory, table);
    this.heat = new BlockHeat(memory);
    this.builder = new BlockBuilder(memory, mmu, this.records, {
      page: (pfn) => this.page(pfn),
      markCode: (pfn, from, to) => this.markCode(pfn, from, to),
    });
    memory.onCodeWritten = (address, length) => this.written(address, length);
  }

  /** Pages with code, as they are now. */
  pagesNow(): CodePageView[] {
    return [...this.pages.values()];
  }

  /** Calls `visit` for the blocks of a page, unless it has gone. Returns how many there are. */
  visitBlocks(page: CodePageView, visit: BlockVisitor): number {
    const own = this.pages.get(page.pfn);
    if (own === undefined || own !== page) return 0;
    for (let i = 0; i < own.blocks.length; i += 2) visit(own, this.offsetOf(own.blocks[i]!), own.blocks[i]!);
    return own.blocks.length / 2;
  }

  /** Blocks and instructions decoded so far, for statistics. */
  get decoded(): BlockBuilder['counts'] {
    return this.builder.counts;
  }

  /** The code map of the page, allocated if need be. */
  private page(pfn: number): CodePage {
    const known = this.pages.get(pfn);
    if (known) return known;
    const page: CodePage = {
      pfn,
      map: this.nextMap,
      blocks: [],
      dependents: new Set(),
      regions: new Map(),
      drops: 0,
      unrest: 0,
      onDrop: new Set(),
    };
    this.pageByMap[(this.nextMap - L.CODE_MAPS) / L.CODE_MAP_BYTES] = page;
    this.nextMap += L.CODE_MAP_BYTES;
    this.memory.data.setUint16(L.PAGE_CODE_MAPS + 2 * pfn, this.pageByMap.length, true);
    this.pages.set(pfn, page);
    return page;
  }

  /**
   * The first record of the block at guest-physical `physical` = linear address `linear`, decoded now if need be; the
   * page is entered into the execution TLB. `left` of the record is at most MAX_BLOCK. Returns the linear address
   * of a page that cannot be executed as a `FetchFault`.
   */
  block(physical: number, linear: number, flat: boolean, user: boolean): number | FetchFault {
    // Room for one block, so that nothing is flushed while it is built.
    const maps = this.nextMap + 2 * L.CODE_MAP_BYTES;
    if (this.nextRecord + 64 * MAX_BLOCK > L.RECORDS_END || maps > L.RECORDS) this.flush();
    const page = this.page(physical >>> 12);
    const offset = physical & (PAGE - 1);
    const at = (page.map >> 2) + offset;
    this.mmu.setExecutable(linear, page.map);
    const known = this.memory.i32[at]!;
    if (known !== 0) {
      if (this.memory.data.getUint16(known + RECORD_HANDLER, true) !== HANDLER.cross) return known;
      const next = this.builder.nextPage(linear, user);
      if ('address' in next) return next;
      // It guards an instruction that goes on in that very page. If the walk has just marked this page's code as changed
      // the record is one that looks itself up again.
      if (this.memory.i32[(known + RECORD_CROSS_MAP) >> 2] === next.map) return known;
    }
    const first = this.allocate(page);
    const end = this.builder.build(first, physical, linear, flat, user, MAX_BLOCK, page);
    if (typeof end !== 'number') return end;
    this.nextRecord = end;
    page.blocks.push(first, end);
    this.memory.i32[at] = first;
    this.onBlock?.(page, offset, first);
    return first;
  }

  /** The address for the next block's first record, its counter in front of it set. */
  private allocate(page: CodePage): number {
    const first = this.nextRecord - RECORD_HEAT;
    this.heat.start(first, page);
    return first;
  }

  /** The blocks of a page as they are now, for reports; undefined if nothing of it was ever decoded. */
  describePage(pfn: number): PageDescription | undefined {
    const page = this.pages.get(pfn);
    if (!page) return undefined;
    const { data, u8 } = this.memory;
    const blocks: PageDescription['blocks'][number][] = [];
    for (let i = 0; i < page.blocks.length; i += 2) {
      const first = page.blocks[i]!;
      const handler = data.getUint16(first + RECORD_HANDLER, true);
      if (handler === HANDLER.region || handler === HANDLER.resume) continue;
      blocks.push({
        offset: this.offsetOf(first),
        instructions: u8[first + RECORD_LEFT]!,
        record: first,
        countdown: this.heat.left(first),
      });
    }
    return { blocks, heat: this.heat.of(page), drops: page.drops };
  }

  /** The page that the code map at this address belongs to. */
  pageOfMap(map: number): CodePageView | undefined {
    return this.pageByMap[(map - L.CODE_MAPS) / L.CODE_MAP_BYTES];
  }

  /**
   * Makes the block at `offset` of the page enter the region entry `id` of region `owner` instead, unless it enters
   * another region already.
   */
  enterRegionAt(view: CodePageView, offset: number, id: number, owner: number): void {
    const page = view as CodePage;
    const { data, i32 } = this.memory;
    if (page.regions.has(offset)) return;
    const at = (page.map >> 2) + offset;
    const record = i32[at]!;
    const handler = record === 0 ? 0 : data.getUint16(record + RECORD_HANDLER, true);
    if (record !== 0) {
      data.setUint16(record + RECORD_HANDLER, HANDLER.region, true);
      data.setUint16(record + RECORD_ENTRY, id, true);
    }
    const entry = this.allocate(page);
    this.heat.never(entry);
    // What the region needs it charges itself.
    this.records.header(entry, HANDLER.region, offset, 0);
    data.setUint16(entry + RECORD_ENTRY, id, true);
    i32[(entry + RECORD_PLAIN) >> 2] = 0;
    this.nextRecord = entry + REGION_RECORD_BYTES;
    page.blocks.push(entry, this.nextRecord);
    i32[at] = entry;
    page.regions.set(offset, { record, handler, entry, owner });
  }

  /** Offset in its page of the block with this first record. */
  offsetOf(record: number): number {
    return this.memory.data.getUint16(record + RECORD_OFFSET, true);
  }

  isRegion(record: number): boolean {
    return this.regionEntryOf(record) !== undefined;
  }

  /** Number of the region entry that a record enters; undefined if it is not a region's. */
  regionEntryOf(record: number): number | undefined {
    const { data } = this.memory;
    if (data.getUint16(record + RECORD_HANDLER, true) !== HANDLER.region) return undefined;
    return data.getUint16(record + RECORD_ENTRY, true);
  }

  /** Instructions that have to be affordable to start at a block's first record. */
  needOf(record: number): number {
    const { i32, u8 } = this.memory;
    const entry = this.regionEntryOf(record);
    if (entry === undefined) return u8[record + RECORD_LEFT]!;
    return i32[(L.REGION_ENTRY_TABLE + entry * L.REGION_ENTRY_BYTES + 12) >> 2]! & L.REGION_NEED_MASK;
  }

  /** The block at `offset` is no longer entered as a region of `owner`. Adds the records that are no more to `gone`. */
  leaveRegionAt(view: CodePageView, offset: number, owner: number, gone: Set<number>): void {
    const page = view as CodePage;
    const patch = page.regions.get(offset);
    if (patch?.owner !== owner) return;
    page.regions.delete(offset);
    gone.add(patch.record).add(patch.entry);
    const { data, i32 } = this.memory;
    // The place of the entry's number belonged to a field of the record: the block has to be decoded anew.
    if (patch.record !== 0) data.setUint16(patch.record + RECORD_HANDLER, patch.handler, true);
    if (patch.record !== 0) this.retireBlock(page, patch.record);
    data.setUint16(patch.entry + RECORD_HANDLER, HANDLER.resume, true);
    i32[(page.map >> 2) + offset] = 0;
  }

  /**
   * Jumps of the page's blocks look anew where to go on instead of at records that are gone: these would send them to
   * look every time. A page that is dropped has no jumps left.
   */
  unlink(view: CodePageView, gone: ReadonlySet<number>): void {
    const { blocks } = view as CodePage;
    if (view === this.retiring || this.flushing) return;
    const { data } = this.memory;
    for (let i = 0; i < blocks.length; i += 2) {
      const first = blocks[i]!;
      const handler = data.getUint16(first + RECORD_HANDLER, true);
      // Entered as a region, or retired.
      if (handler === HANDLER.region || handler === HANDLER.resume) continue;
      this.records.unlink(first, blocks[i + 1]!, gone);
    }
  }

  /** Whether `bytes` more bytes of records fit before everything has to be flushed. */
  hasRoom(bytes: number): boolean {
    return this.nextRecord + bytes < L.RECORDS_END;
  }

  private retireBlock(page: CodePage, first: number): void {
    const i = page.blocks.indexOf(first);
    this.records.retire(first, page.blocks[i + 1]!);
    page.blocks.splice(i, 2);
  }

  /** Region `owner` was made from lines of the page, which may be more than what was predecoded. */
  markLines({ pfn }: CodePageView, lines: LineBits, owner: number): void {
    // Its records, if it had any, may be gone since.
    this.watch(pfn);
    this.lines.addRegion(pfn, owner, lines);
  }

  /** Region `owner` is no more. */
  unmarkLines({ pfn }: CodePageView, owner: number): void {
    this.lines.removeRegion(pfn, owner);
  }

  /**
   * The block of a region record that `block` gave for the same place, as instructions: for budgets that the region is
   * too much for. Undefined if there is no room for it.
   */
  plain(
    record: number,
    physical: number,
    linear: number,
    flat: boolean,
    user: boolean,
  ): number | FetchFault | undefined {
    const { i32 } = this.memory;
    const at = (record + RECORD_PLAIN) >> 2;
    if (i32[at] !== 0) return i32[at]!;
    if (!this.hasRoom(64 * MAX_BLOCK)) return undefined;
    const page = this.page(physical >>> 12);
    const first = this.allocate(page);
    this.heat.never(first);
    const end = this.builder.build(first, physical, linear, flat, user, MAX_BLOCK, page);
    if (typeof end !== 'number') return end;
    this.nextRecord = end;
    page.blocks.push(first, end);
    i32[at] = first;
    return first;
  }

  /** A block of at most `limit` instructions that is used once. The whole block was found before. */
  scratch(
    physical: number,
    linear: number,
    flat: boolean,
    user: boolean,
    limit: number,
  ): number | FetchFault {
    const page = this.page(physical >>> 12);
    const end = this.builder.build(
      L.SCRATCH_RECORDS,
      physical,
      linear,
      flat,
      user,
      Math.min(limit, MAX_BLOCK),
      page,
    );
    if (typeof end !== 'number') return end;
    this.scratchEnd = end;
    return L.SCRATCH_RECORDS;
  }

  /** Stores to the page take the slow path from here on. */
  private watch(pfn: number): void {
    const { u8 } = this.memory;
    if (u8[L.PAGE_FLAGS + pfn]! & L.PAGE_HAS_CODE) return;
    u8[L.PAGE_FLAGS + pfn]! |= L.PAGE_HAS_CODE;
    this.mmu.dropStoreEntries(pfn);
  }

  private markCode(pfn: number, from: number, to: number): void {
    this.watch(pfn);
    this.lines.addDecoded(pfn, from, to);
  }

  /** Guest-physical bytes were written: drops the page if it has code there. Within one page. */
  written(address: number, length: number): void {
    if (this.lines.hits(address, length)) this.invalidate(address >>> 12);
  }

  private invalidate(pfn: number): void {
    const page = this.pages.get(pfn);
    const { u8 } = this.memory;
    u8[L.PAGE_FLAGS + pfn]! &= ~L.PAGE_HAS_CODE;
    this.lines.clear(pfn);
    if (!page) return;
    this.counts.invalidations++;
    this.retirePage(page);
    this.records.retire(L.SCRATCH_RECORDS, this.scratchEnd);
    this.scratchEnd = L.SCRATCH_RECORDS;
    u8.fill(0, page.map, page.map + L.CODE_MAP_BYTES);
    const dependents = page.dependents;
    page.dependents = new Set();
    for (const other of dependents) if (other !== pfn) this.invalidate(other);
  }

  private retirePage(page: CodePage): void {
    page.drops++;
    page.unrest++;
    this.retiring = page;
    // Regions go first: they put back the handlers that tell the records' sizes.
    const listeners = [...page.onDrop];
    page.onDrop.clear();
    for (const dropped of listeners) dropped();
    for (let i = 0; i < page.blocks.length; i += 2) this.records.retire(page.blocks[i]!, page.blocks[i + 1]!);
    page.blocks = [];
    this.retiring = undefined;
    this.memory.i32[L.CODE_CHANGED >> 2] = 1;
  }

  /** Forgets everything. Records of a block that runs stay readable until the next block is built. */
  flush(): void {
    const { u8 } = this.memory;
    this.counts.flushes++;
    this.flushing = true;
    for (const page of this.pages.values()) {
      u8[L.PAGE_FLAGS + page.pfn]! &= ~L.PAGE_HAS_CODE;
      this.memory.data.setUint16(L.PAGE_CODE_MAPS + 2 * page.pfn, 0, true);
      this.lines.clear(page.pfn);
      this.retirePage(page);
    }
    this.flushing = false;
    this.records.retire(L.SCRATCH_RECORDS, this.scratchEnd);
    this.scratchEnd = L.SCRATCH_RECORDS;
    u8.fill(0, L.CODE_MAPS, this.nextMap);
    this.mmu.flushExecution();
    this.pages = new Map();
    this.pageByMap.length = 0;
    this.nextMap = L.CODE_MAPS;
    this.nextRecord = L.RECORDS;
    this.onFlush();
  }
}

/**
 * One TLB, that of an address space at a privilege, as the engine sees it from outside: the data TLB, which generated code reads
 * and fills, and the execution TLB (see `backend-wasm/memory-layout.ts`). Marks tell which groups of entries have any.
 */
import {
  DATA_ENTRY_BYTES,
  type DataTlb,
  entriesOf,
  FOR_LOADS,
  FOR_STORES,
  noEntry,
  physicalOf,
} from '../backend-wasm/data-tlb.js';
import * as L from '../backend-wasm/memory-layout.js';
import { PAGE } from '../frontend-x86/limits.js';
import type { MachineMemory } from './machine-memory.js';

/** Functions of generated code (`tlb-drops.ts`), which are given the TLB's address. */
export interface TlbDrops {
  /** `DROP_TLB_RANGE`: (TLB, MARKED, first linear address, last). */
  readonly range: (tlb: number, marks: number, first: number, last: number) => void;
  /** `DROP_TLB_USER_RANGES`. */
  readonly userRanges: (tlb: number) => void;
}

export class Tlb {
  private readonly dataTlb: DataTlb;
  /** Groups of the data TLB. */
  private readonly groups: number;
  /** Nothing has been entered before: what is not used costs no memory. */
  private isNew = true;

  /**
   * `base`: address in control memory. `kernelStart()`: first linear address that is not the user part's. `drops()`:
   * what entries are dropped by.
   */
  constructor(
    private readonly memory: MachineMemory,
    private readonly base: number,
    private readonly kernelStart: () => number,
    private readonly drops: () => TlbDrops,
  ) {
    this.dataTlb = memory.dataTlb;
    this.groups = (entriesOf(this.dataTlb) * DATA_ENTRY_BYTES) / L.TLB_GROUP_BYTES;
  }

  /** To be called before generated code uses it. There has to be an EMPTY_TLB. */
  prepare(): void {
    if (!this.isNew) return;
    this.isNew = false;
    this.clearGroups(0, this.groups);
    const execution = this.base + L.TLB_DATA_BYTES;
    this.memory.u8.fill(0xff, execution, execution + L.TLB_EXECUTION_BYTES);
  }

  /** Drops the entries of some groups of the data TLB. */
  private clearGroups(group: number, count: number): void {
    const from = L.EMPTY_TLB + group * L.TLB_GROUP_BYTES;
    this.memory.u8.copyWithin(this.base + group * L.TLB_GROUP_BYTES, from, from + count * L.TLB_GROUP_BYTES);
  }

  private clearExecutionGroup(group: number): void {
    const from = this.base + L.TLB_DATA_BYTES + group * L.TLB_EXECUTION_GROUP_BYTES;
    this.memory.u8.fill(0xff, from, from + L.TLB_EXECUTION_GROUP_BYTES);
  }

  /** The first group from `from` on that has one of the marks, of `count` at `at`; `count` if none has. */
  private nextGroup(at: number, count: number, marks: number, from: number): number {
    const { u8, i32 } = this.memory;
    const first = this.base + at;
    for (let n = from; n < count; n++) {
      if ((n & 3) === 0 && (i32[(first + n) >> 2]! & (marks * L.MARKED_IN_FOUR)) === 0) n += 3;
      else if (u8[first + n]! & marks) return n;
    }
    return count;
  }
  private nextData(marks: number, from: number): number {
    return this.nextGroup(L.TLB_GROUPS, this.groups, marks, from);
  }
  private nextExecution(marks: number, from: number): number {
    return this.nextGroup(L.TLB_EXECUTION_GROUPS, L.TLB_EXECUTION_GROUP_COUNT, marks, from);
  }

  /** Drops all entries. */
  clear(): void {
    if (this.isNew) return;
    const { groups } = this;
    for (let n = this.nextData(L.MARKED.any, 0); n < groups; n = this.nextData(L.MARKED.any, n + 1))
      this.clearGroups(n, 1);
    this.clearExecution();
    this.memory.u8.fill(0, this.base + L.TLB_RANGES, this.base + L.TLB_GROUPS + groups);
  }

  /** Drops the entries of the execution TLB. */
  clearExecution(): void {
    const count = L.TLB_EXECUTION_GROUP_COUNT;
    for (let n = this.nextExecution(L.MARKED.any, 0); n < count; n = this.nextExecution(L.MARKED.any, n + 1))
      this.clearExecutionGroup(n);
  }

  /** Drops the entries for the user part. */
  dropUser(): void {
    this.drops().range(this.base, L.MARKED.user, 0, this.kernelStart() - 1);
  }

  /**
   * Drops the entries for pages in [first, last], which are whole ranges of `TLB_RANGE_BITS`. With one of the user part go
   * all of that: who takes a top level entry away takes the others next, most often, and all at once are less work.
   */
  dropRanges(first: number, last: number): void {
    const { u8 } = this.memory;
    const ranges = this.base + L.TLB_RANGES;
    const from = ranges + (first >>> L.TLB_RANGE_BITS);
    const end = ranges + (last >>> L.TLB_RANGE_BITS) + 1;
    let marks = 0;
    for (let at = from; at < end; at++) marks |= u8[at]!;
    if (marks === 0) return;
    if (last >= this.kernelStart()) {
      u8.fill(0, from, end);
      this.drops().range(this.base, L.MARKED.any, first, last);
    } else this.drops().userRanges(this.base);
  }

  private markOf(linear: number): number {
    return linear < this.kernelStart() ? L.MARKED.user : L.MARKED.kernel;
  }

  /** Drops the entries that a linear address may have, whatever page they are for. */
  dropPage(address: number): void {
    if (this.isNew) return;
    const { i32 } = this.memory;
    const index = (address >>> 12) & (entriesOf(this.dataTlb) - 1);
    const at = this.base + index * DATA_ENTRY_BYTES;
    i32[(at + FOR_LOADS) >> 2] = i32[(at + FOR_STORES) >> 2] = noEntry(this.dataTlb, index);
    i32[this.executionEntry(address)] = L.NO_TAG;
  }

  /** Drops the entry for stores to a guest-physical page that a linear page may have. */
  dropStoreEntry(linear: number, pfn: number): void {
    if (!this.isNew) this.dropStoreEntryAt((linear >>> 12) & (entriesOf(this.dataTlb) - 1), pfn * PAGE);
  }

  private dropStoreEntryAt(index: number, physical: number): void {
    const { i32 } = this.memory;
    const at = (this.base + index * DATA_ENTRY_BYTES + FOR_STORES) >> 2;
    if (physicalOf(this.dataTlb, index, i32[at]!) === physical) i32[at] = noEntry(this.dataTlb, index);
  }

  /** Drops all entries for stores to a guest-physical page. */
  dropStoreEntries(pfn: number): void {
    const { groups } = this;
    for (let n = this.nextData(L.MARKED.any, 0); n < groups; n = this.nextData(L.MARKED.any, n + 1)) {
      const end = (n + 1) << L.TLB_GROUP_BITS;
      for (let index = n << L.TLB_GROUP_BITS; index < end; index++) this.dropStoreEntryAt(index, pfn * PAGE);
    }
  }

  /** Index, in dwords of control memory, of the entry of the execution TLB for a linear address. */
  private executionEntry(linear: number): number {
    const index = (linear >>> 12) & (L.TLB_EXECUTION_ENTRIES - 1);
    return (this.base + L.TLB_DATA_BYTES + index * L.TLB_EXECUTION_ENTRY_BYTES) >> 2;
  }

  /** Enters a page whose code map is at `map` into the execution TLB. */
  setExecutable(linear: number, map: number): void {
    const { i32, u8 } = this.memory;
    const e = this.executionEntry(linear);
    i32[e] = linear & -PAGE;
    i32[e + 1] = map;
    u8[this.base + L.TLB_RANGES + (linear >>> L.TLB_RANGE_BITS)] = L.MARKED.any;
    const group = ((linear >>> 12) & (L.TLB_EXECUTION_ENTRIES - 1)) >> L.TLB_EXECUTION_GROUP_BITS;
    u8[this.base + L.TLB_EXECUTION_GROUPS + group]! |= this.markOf(linear >>> 0);
  }

  /** The code map that the execution TLB has for a page, if any. */
  codeMapOf(linear: number): number | undefined {
    const { i32 } = this.memory;
    const e = this.executionEntry(linear);
    return i32[e] === (linear & -PAGE) ? i32[e + 1] : undefined;
  }
}

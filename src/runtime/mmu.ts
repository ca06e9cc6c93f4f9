/** The guest's page tables walked in TypeScript, and the pool of TLBs that the interpreter reads. */
import * as S from '../frontend-x86/cpu-state.js';
import * as L from '../backend-wasm/memory-layout.js';
import type { CpuState } from './cpu.js';
import { BadPageTable, describeBadPageTable, type Mmu } from './engine.js';
import type { MachineMemory } from './machine-memory.js';
import {
  BAD_DIRECTORY_FLAGS,
  BAD_TABLE_FLAGS,
  PTE_ACCESSED,
  PTE_DIRTY,
  PTE_PRESENT,
  PTE_USER,
  PTE_WRITABLE,
} from './page-table-entry.js';

const hex = (n: number): string => `0x${(n >>> 0).toString(16)}`;
/** Context 0 is the linear mode's. */
const LINEAR_CONTEXT = 0;
const NO_ROOT = -1;
/** What TLB_RANGES, TLB_GROUPS and TLB_USER_GROUPS have for a range or group without entries. */
const NO_ENTRIES = 0xff;
/** Four groups without entries. */
const NO_ENTRIES_IN_FOUR = -1;
/** What `dropIn` tells is left. */
const LEFT = { any: 1, user: 2 } as const;
/** A tag of an entry that is none, unsigned. */
const NO_TAG = 0xffffffff;
const DATA_GROUP_BYTES = L.TLB_DATA_BYTES / L.TLB_GROUP_COUNT;
const EXECUTION_GROUP_BYTES = L.TLB_EXECUTION_BYTES / L.TLB_GROUP_COUNT;

export class GuestMmu implements Mmu {
  pfnLimit: number;
  private kernelStart = 0xc0000000;
  root = NO_ROOT;
  pae = false;
  errorCode = 0;
  /** Whose TLBs each context holds: TLB_OWNERS. */
  private readonly owner: Int32Array;
  private readonly lastUse = new Float64Array(L.TLB_CONTEXTS);
  private uses = 0;
  private context = LINEAR_CONTEXT;

  constructor(
    private readonly memory: MachineMemory,
    private readonly cpu: CpuState,
  ) {
    this.pfnLimit = memory.limitBytes >>> 12;
    this.owner = memory.i32.subarray(L.TLB_OWNERS >> 2, (L.TLB_OWNERS >> 2) + L.TLB_CONTEXTS).fill(NO_ROOT);
    memory.u8.fill(0xff, L.TLB_POOL, L.TLB_POOL + L.TLB_CONTEXTS * L.TLB_CONTEXT_BYTES);
    this.setLinear();
  }

  get kernelAddress(): number {
    return this.kernelStart;
  }
  set kernelAddress(address: number) {
    this.kernelStart = address;
    this.slot(L.KERNEL_START, address);
    this.flushAll();
  }

  private slot(at: number, value: number): void {
    this.memory.i32[at >> 2] = value;
  }

  /** Makes the TLB of the current privilege the current one, after CPL was changed from outside. */
  selectTlb(): void {
    const base = L.TLB_POOL + this.context * L.TLB_CONTEXT_BYTES;
    this.slot(L.TLB_CONTEXT, base);
    this.slot(L.TLB_BASE, this.cpu.get(S.CPL) === 3 ? base : base + L.TLB_BYTES);
    this.slot(L.PFN_LIMIT, this.pfnLimit);
    this.slot(L.KERNEL_START, this.kernelStart);
    this.slot(L.PAGE_ROOT, this.root);
    this.slot(L.PAGING_MODE, this.root === NO_ROOT ? 0 : this.pae ? 2 : 1);
  }

  setLinear(): void {
    this.root = NO_ROOT;
    this.context = LINEAR_CONTEXT;
    this.selectTlb();
  }

  setPageTable(root: number, pae: boolean): void {
    if (!this.memory.contains(root, pae ? 32 : 4096))
      throw new BadPageTable(`bad page table address ${hex(root)}`, root, 0);
    if (pae !== this.pae) this.flushAll();
    this.root = root;
    this.pae = pae;
    this.context = this.contextOf(root);
    this.lastUse[this.context] = ++this.uses;
    this.selectTlb();
  }

  private contextOf(root: number): number {
    const known = this.owner.indexOf(root, LINEAR_CONTEXT + 1);
    if (known > 0) return known;
    let oldest = LINEAR_CONTEXT + 1;
    for (let i = oldest + 1; i < L.TLB_CONTEXTS; i++)
      if (this.lastUse[i]! < this.lastUse[oldest]!) oldest = i;
    this.clear(oldest);
    this.owner[oldest] = root;
    return oldest;
  }

  private clear(context: number): void {
    const { u8 } = this.memory;
    const base = L.TLB_POOL + context * L.TLB_CONTEXT_BYTES;
    for (let tlb = base; tlb < base + L.TLB_CONTEXT_BYTES; tlb += L.TLB_BYTES) {
      const groups = tlb + L.TLB_GROUPS;
      for (let n = this.nextGroup(groups, 0); n < L.TLB_GROUP_COUNT; n = this.nextGroup(groups, n + 1)) {
        u8.fill(0xff, tlb + n * DATA_GROUP_BYTES, tlb + (n + 1) * DATA_GROUP_BYTES);
        this.clearExecution(tlb, n);
      }
      u8.fill(NO_ENTRIES, tlb + L.TLB_RANGES, tlb + L.TLB_BYTES);
    }
  }

  private clearExecution(tlb: number, group: number): void {
    const execution = tlb + L.TLB_DATA_BYTES;
    this.memory.u8.fill(
      0xff,
      execution + group * EXECUTION_GROUP_BYTES,
      execution + (group + 1) * EXECUTION_GROUP_BYTES,
    );
  }

  /** The first group from `from` on that may have entries, by a TLB's bytes at `groups`; TLB_GROUP_COUNT if none has. */
  private nextGroup(groups: number, from: number): number {
    const { u8, i32 } = this.memory;
    for (let n = from; n < L.TLB_GROUP_COUNT; n++) {
      if ((n & 3) === 0 && i32[(groups + n) >> 2] === NO_ENTRIES_IN_FOUR) n += 3;
      else if (u8[groups + n] !== NO_ENTRIES) return n;
    }
    return L.TLB_GROUP_COUNT;
  }

  flushAll(): void {
    for (let context = 0; context < L.TLB_CONTEXTS; context++) this.clear(context);
  }

  flushUser(): void {
    const base = L.TLB_POOL + this.context * L.TLB_CONTEXT_BYTES;
    this.drop(base, L.TLB_USER_GROUPS, 0, this.kernelStart - 1);
    this.drop(base + L.TLB_BYTES, L.TLB_USER_GROUPS, 0, this.kernelStart - 1);
  }

  /** Drops a TLB's entries for pages in [first, last], whole ranges. */
  private dropRanges(tlb: number, first: number, last: number): void {
    const { u8 } = this.memory;
    const ranges = tlb + L.TLB_RANGES;
    let found = false;
    for (let at = ranges + (first >>> L.TLB_RANGE_BITS); at <= ranges + (last >>> L.TLB_RANGE_BITS); at++) {
      if (u8[at] === NO_ENTRIES) continue;
      u8[at] = NO_ENTRIES;
      found = true;
    }
    if (found) this.drop(tlb, last < this.kernelStart ? L.TLB_USER_GROUPS : L.TLB_GROUPS, first, last);
  }

  /** Drops a TLB's entries for pages in [first, last], which are in groups that its bytes at `marks` tell. */
  private drop(tlb: number, marks: number, first: number, last: number): void {
    const { u8 } = this.memory;
    const groups = tlb + marks;
    for (let n = this.nextGroup(groups, 0); n < L.TLB_GROUP_COUNT; n = this.nextGroup(groups, n + 1)) {
      const left = this.dropIn(tlb, n, first, last);
      if (!(left & LEFT.any)) u8[tlb + L.TLB_GROUPS + n] = NO_ENTRIES;
      if (!(left & LEFT.user)) u8[tlb + L.TLB_USER_GROUPS + n] = NO_ENTRIES;
    }
  }

  /** Drops those of a group's entries that are for pages in [first, last]. Returns which are left: LEFT. */
  private dropIn(tlb: number, group: number, first: number, last: number): number {
    const { i32 } = this.memory;
    let left = 0;
    const data = (tlb + group * DATA_GROUP_BYTES) >> 2;
    for (let e = data; e < data + (DATA_GROUP_BYTES >> 2); e += 4) {
      const tag = i32[e]! >>> 0;
      if (tag >= first && tag <= last) i32[e] = i32[e + 1] = -1;
      else left |= this.leftBy(tag);
    }
    const execution = (tlb + L.TLB_DATA_BYTES + group * EXECUTION_GROUP_BYTES) >> 2;
    for (let e = execution; e < execution + (EXECUTION_GROUP_BYTES >> 2); e += 2) {
      const tag = i32[e]! >>> 0;
      if (tag >= first && tag <= last) i32[e] = -1;
      else left |= this.leftBy(tag);
    }
    return left;
  }

  private leftBy(tag: number): number {
    if (tag === NO_TAG) return 0;
    return tag < this.kernelStart ? LEFT.any | LEFT.user : LEFT.any;
  }

  flushPage(root: number, address: number): void {
    const everywhere = address >>> 0 >= this.kernelStart;
    for (let context = LINEAR_CONTEXT + 1; context < L.TLB_CONTEXTS; context++) {
      if (everywhere || this.owner[context] === root) {
        const base = L.TLB_POOL + context * L.TLB_CONTEXT_BYTES;
        this.dropPage(base, address);
        this.dropPage(base + L.TLB_BYTES, address);
      }
    }
  }

  private dropPage(tlb: number, address: number): void {
    const index = (address >>> 12) & (L.TLB_ENTRIES - 1);
    const { i32 } = this.memory;
    i32[(tlb >> 2) + 4 * index] = -1;
    i32[(tlb >> 2) + 4 * index + 1] = -1;
    i32[((tlb + L.TLB_DATA_BYTES) >> 2) + 2 * index] = -1;
  }

  flushTopLevel(root: number, index: number): void {
    const bytes = this.pae ? 2 ** 30 : 2 ** 22;
    const first = index * bytes;
    const last = first + bytes - 1;
    const everywhere = last >= this.kernelStart;
    for (let context = LINEAR_CONTEXT + 1; context < L.TLB_CONTEXTS; context++) {
      if (everywhere || this.owner[context] === root) {
        const base = L.TLB_POOL + context * L.TLB_CONTEXT_BYTES;
        this.dropRanges(base, first, last);
        this.dropRanges(base + L.TLB_BYTES, first, last);
      }
    }
  }

  /** Enters a page whose code map is at `map` into the current execution TLB. */
  setExecutable(linear: number, map: number): void {
    const { i32, u8 } = this.memory;
    const tlb = i32[L.TLB_BASE >> 2]!;
    const index = (linear >>> 12) & (L.TLB_ENTRIES - 1);
    const e = ((tlb + L.TLB_DATA_BYTES) >> 2) + 2 * index;
    i32[e] = linear & ~0xfff;
    i32[e + 1] = map;
    u8[tlb + L.TLB_RANGES + (linear >>> L.TLB_RANGE_BITS)] = 0;
    const group = index >> L.TLB_GROUP_BITS;
    u8[tlb + L.TLB_GROUPS + group] = 0;
    if (linear >>> 0 < this.kernelStart) u8[tlb + L.TLB_USER_GROUPS + group] = 0;
  }

  /** The code map that the current execution TLB has for a page, if any. */
  codeMapOf(linear: number): number | undefined {
    const tlb = this.memory.i32[L.TLB_BASE >> 2]! + L.TLB_DATA_BYTES;
    const e = (tlb >> 2) + 2 * ((linear >>> 12) & (L.TLB_ENTRIES - 1));
    return this.memory.i32[e] === (linear & ~0xfff) ? this.memory.i32[e + 1] : undefined;
  }

  /** Drops the write tags of a guest-physical page in all TLBs, so that its stores are looked at. */
  dropWriteTags(pfn: number): void {
    const { i32, u8 } = this.memory;
    if (!(u8[L.PAGE_FLAGS + pfn]! & L.PAGE_WRITE_TAGGED)) return;
    u8[L.PAGE_FLAGS + pfn]! &= ~L.PAGE_WRITE_TAGGED;
    const host = (L.RAM + pfn * 4096) | 0;
    for (let tlb = L.TLB_POOL, i = 0; i < 2 * L.TLB_CONTEXTS; i++, tlb += L.TLB_BYTES) {
      const groups = tlb + L.TLB_GROUPS;
      for (let n = this.nextGroup(groups, 0); n < L.TLB_GROUP_COUNT; n = this.nextGroup(groups, n + 1)) {
        const data = (tlb + n * DATA_GROUP_BYTES) >> 2;
        for (let e = data; e < data + (DATA_GROUP_BYTES >> 2); e += 4) {
          const tag = i32[e + 1]!;
          if (tag !== -1 && ((tag + i32[e + 2]!) | 0) === host) i32[e + 1] = -1;
        }
      }
    }
  }

  /** Forgets the execution TLBs, whose code maps are gone. */
  flushExecution(): void {
    for (let tlb = L.TLB_POOL, i = 0; i < 2 * L.TLB_CONTEXTS; i++, tlb += L.TLB_BYTES) {
      const groups = tlb + L.TLB_GROUPS;
      for (let n = this.nextGroup(groups, 0); n < L.TLB_GROUP_COUNT; n = this.nextGroup(groups, n + 1))
        this.clearExecution(tlb, n);
    }
  }

  private miss(present: number, write: boolean, user: boolean): number {
    this.errorCode = present | (write ? 2 : 0) | (user ? 4 : 0);
    return -1;
  }

  private bad(address: number, entry: number): BadPageTable {
    return new BadPageTable(describeBadPageTable(address, entry, this.root === NO_ROOT), address, entry);
  }

  private entry(at: number, badFlags: number, address: number): number {
    const entry = this.memory.read32(at);
    if (!(entry & PTE_PRESENT)) return entry;
    const high = this.pae ? this.memory.read32(at + 4) & 0x7fffffff : 0;
    if (entry & badFlags || entry >>> 12 >= this.pfnLimit || high !== 0) {
      throw this.bad(address, entry);
    }
    return entry;
  }

  translate(address: number, write: boolean, user: boolean): number {
    const a = address >>> 0;
    if (this.root === NO_ROOT) {
      if (a >>> 12 >= this.pfnLimit) throw this.bad(a, a & ~0xfff);
      return a;
    }
    let table = this.root;
    if (this.pae) {
      const top = this.entry(table + (a >>> 30) * 8, 0, a);
      if (!(top & PTE_PRESENT)) return this.miss(0, write, user);
      table = (top & ~0xfff) >>> 0;
    }
    const directoryAt = this.pae ? table + ((a >>> 21) & 0x1ff) * 8 : table + (a >>> 22) * 4;
    const directory = this.entry(directoryAt, BAD_DIRECTORY_FLAGS, a);
    if (!(directory & PTE_PRESENT)) return this.miss(0, write, user);
    table = (directory & ~0xfff) >>> 0;
    const at = this.pae ? table + ((a >>> 12) & 0x1ff) * 8 : table + ((a >>> 12) & 0x3ff) * 4;
    const entry = this.entry(at, BAD_TABLE_FLAGS, a);
    if (!(entry & PTE_PRESENT)) return this.miss(0, write, user);
    const rights = directory & entry;
    if ((user && !(rights & PTE_USER)) || (write && !(rights & PTE_WRITABLE)))
      return this.miss(1, write, user);
    const marked = entry | PTE_ACCESSED | (write ? PTE_DIRTY : 0);
    if (marked !== entry) this.memory.write32(at, marked);
    return ((entry & ~0xfff) >>> 0) + (a & 0xfff);
  }
}

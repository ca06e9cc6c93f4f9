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
import { Tlb, type TlbDrops } from './tlb.js';

const hex = (n: number): string => `0x${(n >>> 0).toString(16)}`;
/** Context 0 is the linear mode's. */
const LINEAR_CONTEXT = 0;
const NO_ROOT = -1;

export class GuestMmu implements Mmu {
  pfnLimit: number;
  private kernelStart = 0xc0000000;
  pae = false;
  errorCode = 0;
  /** Whose TLBs each context holds: TLB_OWNERS. */
  private readonly owner: Int32Array;
  private readonly lastUse: Uint32Array;
  private hasTlbs = false;
  /** TLBs that nothing is ever entered into have nothing to drop. */
  private drops: TlbDrops = { range: () => undefined, userRanges: () => undefined };
  /** User TLB, supervisor TLB of each context. */
  private readonly tlbs: readonly (readonly [Tlb, Tlb])[];

  constructor(
    private readonly memory: MachineMemory,
    private readonly cpu: CpuState,
  ) {
    this.pfnLimit = memory.limitBytes >>> 12;
    this.owner = memory.i32.subarray(L.TLB_OWNERS >> 2, (L.TLB_OWNERS >> 2) + L.TLB_CONTEXTS).fill(NO_ROOT);
    this.lastUse = new Uint32Array(memory.i32.buffer, L.TLB_LAST_USE, L.TLB_CONTEXTS);
    const kernelStart = (): number => this.kernelStart;
    const tlb = (base: number): Tlb => new Tlb(memory, base, kernelStart, () => this.drops);
    this.tlbs = Array.from({ length: L.TLB_CONTEXTS }, (_, context) => {
      const base = this.baseOf(context);
      return [tlb(base), tlb(base + L.TLB_BYTES)] as const;
    });
    this.setLinear();
  }

  /**
   * To be called by an engine with generated code before that runs, and when there is an EMPTY_TLB: others need no TLBs.
   * `drops`: its functions.
   */
  prepareTlbs(drops: TlbDrops): void {
    this.hasTlbs = true;
    this.drops = drops;
    this.prepare(LINEAR_CONTEXT);
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

  // Generated code switches between known address spaces by itself, so these have no other place than its slots.

  get root(): number {
    const root = this.memory.i32[L.PAGE_ROOT >> 2]!;
    // Device pages may lie at 2 GiB.
    return root === NO_ROOT ? root : root >>> 0;
  }
  private get context(): number {
    return (this.memory.i32[L.TLB_CONTEXT >> 2]! - L.TLB_POOL) / L.TLB_CONTEXT_BYTES;
  }
  private enter(root: number, context: number): void {
    this.slot(L.PAGE_ROOT, root);
    this.slot(L.TLB_CONTEXT, this.baseOf(context));
    this.selectTlb();
  }

  private baseOf(context: number): number {
    return L.TLB_POOL + context * L.TLB_CONTEXT_BYTES;
  }

  /** The current TLB. */
  private get tlb(): Tlb {
    const isUser = this.memory.i32[L.TLB_BASE >> 2] === this.memory.i32[L.TLB_CONTEXT >> 2];
    return this.tlbs[this.context]![isUser ? 0 : 1];
  }

  /** Makes the TLB of the current privilege the current one, after CPL was changed from outside. */
  selectTlb(): void {
    const base = this.memory.i32[L.TLB_CONTEXT >> 2]!;
    this.slot(L.TLB_BASE, this.cpu.get(S.CPL) === 3 ? base : base + L.TLB_BYTES);
    this.slot(L.PFN_LIMIT, this.pfnLimit);
    this.slot(L.KERNEL_START, this.kernelStart);
    this.slot(
      L.PAGING_MODE,
      this.root === NO_ROOT ? L.PAGING.linear : this.pae ? L.PAGING.pae : L.PAGING.twoLevels,
    );
  }

  setLinear(): void {
    this.forgetOwners();
    this.enter(NO_ROOT, LINEAR_CONTEXT);
  }

  setPageTable(root: number, pae: boolean): void {
    if (!this.memory.contains(root, pae ? 32 : 4096))
      throw new BadPageTable(`bad page table address ${hex(root)}`, root, 0);
    if (pae !== this.pae) {
      this.flushAll();
      this.forgetOwners();
    }
    this.pae = pae;
    const context = this.contextOf(root);
    this.lastUse[context] = ++this.memory.i32[L.TLB_SWITCHES >> 2]!;
    this.enter(root, context);
  }

  private contextOf(root: number): number {
    const { owner, lastUse } = this;
    let oldest = LINEAR_CONTEXT + 1;
    // A loop: `indexOf` calls the runtime.
    for (let i = oldest; i < L.TLB_CONTEXTS; i++) {
      if (owner[i] === (root | 0)) return i;
      if (lastUse[i]! < lastUse[oldest]!) oldest = i;
    }
    this.clear(oldest);
    this.prepare(oldest);
    this.owner[oldest] = root;
    return oldest;
  }

  /** What was a page table need not be one for who comes now: generated code switches to known ones unasked. */
  private forgetOwners(): void {
    this.owner.fill(NO_ROOT);
  }

  /** Both, for generated code goes from one privilege to the other by itself. */
  private prepare(context: number): void {
    if (this.hasTlbs) for (const tlb of this.tlbs[context]!) tlb.prepare();
  }

  private clear(context: number): void {
    for (const tlb of this.tlbs[context]!) tlb.clear();
  }

  flushAll(): void {
    for (let context = 0; context < L.TLB_CONTEXTS; context++) this.clear(context);
  }

  flushUser(): void {
    for (const tlb of this.tlbs[this.context]!) tlb.dropUser();
  }

  flushPage(root: number, address: number): void {
    const everywhere = address >>> 0 >= this.kernelStart;
    for (let context = LINEAR_CONTEXT + 1; context < L.TLB_CONTEXTS; context++)
      if (everywhere || this.owner[context] === (root | 0))
        for (const tlb of this.tlbs[context]!) tlb.dropPage(address);
  }

  flushTopLevel(root: number, index: number): void {
    const bytes = this.pae ? 2 ** 30 : 2 ** 22;
    const first = index * bytes;
    const last = first + bytes - 1;
    const everywhere = last >= this.kernelStart;
    for (let context = LINEAR_CONTEXT + 1; context < L.TLB_CONTEXTS; context++)
      if (everywhere || this.owner[context] === (root | 0))
        for (const tlb of this.tlbs[context]!) tlb.dropRanges(first, last);
  }

  /** Enters a page whose code map is at `map` into the current execution TLB. */
  setExecutable(linear: number, map: number): void {
    this.tlb.setExecutable(linear, map);
  }

  /** The code map that the current execution TLB has for a page, if any. */
  codeMapOf(linear: number): number | undefined {
    return this.tlb.codeMapOf(linear);
  }

  /** Drops the entries for stores to a guest-physical page in all TLBs, so that its stores are looked at. */
  dropStoreEntries(pfn: number): void {
    const { u8, i32 } = this.memory;
    const flags = u8[L.PAGE_FLAGS + pfn]!;
    if (!(flags & L.PAGE_HAS_STORE_ENTRY)) return;
    u8[L.PAGE_FLAGS + pfn] = flags & ~(L.PAGE_HAS_STORE_ENTRY | L.PAGE_HAS_MORE_STORE_ENTRIES);
    const from = i32[(L.PAGE_STORED_FROM >> 2) + pfn]!;
    for (const tlbs of this.tlbs)
      for (const tlb of tlbs)
        if (flags & L.PAGE_HAS_MORE_STORE_ENTRIES) tlb.dropStoreEntries(pfn);
        else tlb.dropStoreEntry(from, pfn);
  }

  /** Forgets the execution TLBs, whose code maps are gone. */
  flushExecution(): void {
    for (const tlbs of this.tlbs) for (const tlb of tlbs) tlb.clearExecution();
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

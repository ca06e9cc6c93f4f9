/**
 * The guest's page tables. The MMU walks the guest's own tables, so what lguest calls shadow page tables is a TLB here,
 * and each page-table hypercall is the invalidation that it implies.
 */
import type { Engine, Mmu } from '../runtime/engine.js';
import type { GuestMemory } from '../runtime/guest-memory.js';
import { DIRECTORY_ENTRIES } from '../runtime/guest-kernel.js';
import { GuestDeath, hex } from './death.js';
import type { InitialPageTables } from './initial-page-tables.js';

const PAGE_TABLE_BYTES = 4096;
const PDPT_BYTES = 32;
const PRESENT = 1;

/** The Host's own corner of the address space starts here; a kernel part above it would leave none. */
const HIGHEST_KERNEL_ADDRESS = 0xffc00000;

export class PageTables {
  private readonly mmu: Mmu;
  private readonly memory: GuestMemory;
  /** Known from the first page table on, or told. */
  private pae: boolean | undefined;

  constructor(
    private readonly engine: Engine,
    pae: boolean | undefined,
  ) {
    this.mmu = engine.mmu;
    this.memory = engine.memory;
    this.pae = pae;
  }

  /** True once the guest's page tables are known to have three levels. */
  get isPae(): boolean {
    return this.pae === true;
  }

  /** Where the part shared by all address spaces begins, from lguest_data. */
  setKernelAddress(address: number): void {
    if (address === 0 || address > HIGHEST_KERNEL_ADDRESS) {
      throw new GuestDeath(`bad kernel address ${hex(address)} in lguest_data`, this.engine.cpu.eip);
    }
    this.mmu.kernelAddress = (address & ~0xfff) >>> 0;
  }

  /** The address space of a guest that does not start in linear mode. */
  startWith(tables: InitialPageTables): void {
    this.pae = tables.pae;
    this.mmu.setPageTable(tables.root, tables.pae);
  }

  /** NEW_PGTABLE: a load of cr3. The first one ends linear mode. */
  newPageTable(root: number): void {
    this.pae ??= this.looksLikePae(root);
    const bytes = this.pae ? PDPT_BYTES : PAGE_TABLE_BYTES;
    if (root % bytes !== 0 || !this.memory.contains(root, bytes)) {
      throw new GuestDeath(`bad page table address ${hex(root)}`, this.engine.cpu.eip);
    }
    this.mmu.setPageTable(root, this.pae);
  }

  /** FLUSH_TLB: 0 forgets the user part of the current address space, anything else all there is. */
  flush(everything: boolean): void {
    if (everything) this.mmu.flushAll();
    else this.mmu.flushUser();
  }

  /** SET_PTE. The new entry is in the guest's table already; the value handed over has no further use here. */
  setPte(root: number, address: number): void {
    this.mmu.flushPage(root, address);
  }

  /** SET_PGD: a top level entry changed. */
  setPgd(root: number, index: number): void {
    if (index >= (this.pae ? 4 : DIRECTORY_ENTRIES)) {
      throw new GuestDeath(`top level page table entry ${index} does not exist`, this.engine.cpu.eip);
    }
    this.mmu.flushTopLevel(root, index);
  }

  /** SET_PMD (PAE): which pages it covers is not told in a useful way, so everything goes. */
  setPmd(): void {
    this.mmu.flushAll();
  }

  /**
   * No guest says whether it uses PAE. The four entries of a page directory pointer table hold nothing but the present
   * bit and an address below 4 GiB; page directory entries that map anything carry at least the writable bit too.
   */
  private looksLikePae(root: number): boolean {
    if (root % PDPT_BYTES !== 0 || !this.memory.contains(root, PDPT_BYTES)) return false;
    for (let i = 0; i < 4; i++) {
      const low = this.memory.read32(root + 8 * i);
      if ((low & 0xfff) > PRESENT || this.memory.read32(root + 8 * i + 4) !== 0) return false;
    }
    const kernelEntry = this.memory.read32(root + 8 * (this.mmu.kernelAddress >>> 30));
    return (kernelEntry & 0xfff) === PRESENT;
  }
}

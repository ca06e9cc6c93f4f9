/**
 * The guest's segments. The kernel believes in privilege level 0 but runs at 1, so every descriptor it hands over is
 * fixed up; what segment loads read is this virtual GDT in control memory.
 */
import * as S from '../frontend-x86/cpu-state.js';
import type { CpuState } from '../runtime/cpu.js';
import type { Engine } from '../runtime/engine.js';
import {
  DESC_ACCESSED,
  DESC_DPL,
  DESC_GUEST_DPL,
  GUEST_PL,
  TLS_ENTRIES,
  TLS_FIRST_ENTRY,
} from '../runtime/guest-kernel.js';
import { GuestDeath, hex } from './death.js';

export const GDT_ENTRIES = 32;
export const GDT_BYTES = 8 * GDT_ENTRIES;
/** Index of the kernel's code and data segments. */
const KERNEL_CS_ENTRY = 12;
const KERNEL_DS_ENTRY = 13;
export const KERNEL_CS = (KERNEL_CS_ENTRY << 3) | GUEST_PL;
export const KERNEL_DS = (KERNEL_DS_ENTRY << 3) | GUEST_PL;
/** Entries of the Host: its own code and data, the TSS, the double fault TSS. Guest writes have no effect. */
const HOST_ENTRIES = (1 << 10) | (1 << 11) | (1 << 16) | (1 << 31);

/** Second dword of a descriptor (Intel SDM vol. 3, 3.4.5). */
const DESC_PRESENT = 0x8000;
const DESC_GRANULARITY = 0x800000;
/** Bits S and "code" / "writable" in the attribute form of SEGMENT_ATTR. */
const ATTR_S = 0x10;
const ATTR_CODE = 0x08;
const ATTR_WRITABLE = 0x02;

const FLAT_LOW = 0x0000ffff;
const FLAT_CODE_HIGH = 0x00cfbb00;
const FLAT_DATA_HIGH = 0x00cfb300;

export class Segments {
  private readonly cpu: CpuState;
  /** Changes with the GDT. */
  version = 0;

  /** `gdtAddress`: control-memory address of GDT_BYTES bytes. */
  constructor(
    private readonly engine: Engine,
    private readonly gdtAddress: number,
  ) {
    this.cpu = engine.cpu;
  }

  /** The GDT and segment registers a guest starts with: flat code and data of the kernel, nothing else. */
  start(): void {
    for (let i = 0; i < GDT_ENTRIES; i++) this.setDescriptor(i, 0, 0);
    this.setDescriptor(KERNEL_CS_ENTRY, FLAT_LOW, FLAT_CODE_HIGH);
    this.setDescriptor(KERNEL_DS_ENTRY, FLAT_LOW, FLAT_DATA_HIGH);
    const { cpu } = this;
    cpu.set(S.GDT_ADDRESS, this.gdtAddress);
    cpu.set(S.GDT_LIMIT, GDT_BYTES - 1);
    this.setRegister(S.CS, KERNEL_CS);
    for (const segment of [S.DS, S.ES, S.SS]) this.setRegister(segment, KERNEL_DS);
    for (const segment of [S.FS, S.GS]) {
      cpu.set(S.SELECTOR + 4 * segment, 0);
      cpu.set(S.SEGMENT_BASE + 4 * segment, 0);
      cpu.set(S.SEGMENT_LIMIT + 4 * segment, 0);
      cpu.set(S.SEGMENT_ATTR + 4 * segment, 0);
    }
    cpu.set(S.CPL, GUEST_PL);
    this.engine.segmentsChanged();
  }

  /** LOAD_GDT_ENTRY. Hidden parts of segment registers stay until they are loaded again, as on hardware. */
  loadEntry(index: number, low: number, high: number): void {
    if (index >= GDT_ENTRIES) throw new GuestDeath(`GDT entry ${index} does not exist`, this.cpu.eip);
    this.setGuestDescriptor(index, low, high);
    this.engine.segmentsChanged();
  }

  /** LOAD_GDT of older guests: `entries` descriptors at guest-physical `address`. */
  loadTable(address: number, entries: number): void {
    if (entries > GDT_ENTRIES) throw new GuestDeath(`a GDT of ${entries} entries is too long`, this.cpu.eip);
    this.copyDescriptors(address, 0, entries);
  }

  /** LOAD_TLS: the three thread-local entries from guest-physical `address`. */
  loadTls(address: number): void {
    this.copyDescriptors(address, TLS_FIRST_ENTRY, TLS_ENTRIES);
  }

  private copyDescriptors(address: number, first: number, count: number): void {
    const { memory } = this.engine;
    if (!memory.contains(address, 8 * count)) {
      throw new GuestDeath(`descriptors at ${hex(address)} are outside guest memory`, this.cpu.eip);
    }
    const { version } = this;
    for (let i = 0; i < count; i++) {
      const at = address + 8 * i;
      this.setGuestDescriptor(first + i, memory.read32(at), memory.read32(at + 4));
    }
    if (this.version !== version) this.engine.segmentsChanged();
  }

  private setGuestDescriptor(index: number, low: number, high: number): void {
    if ((HOST_ENTRIES >>> index) & 1) return;
    const level = (high & DESC_DPL) === 0 ? DESC_GUEST_DPL : 0;
    this.setDescriptor(index, low, high | level | DESC_ACCESSED);
  }

  private setDescriptor(index: number, low: number, high: number): void {
    const { view } = this.cpu;
    const at = this.gdtAddress + 8 * index;
    // Two threads with the same thread-local storage, or with none, change nothing when they take turns.
    if (view.getInt32(at, true) === (low | 0) && view.getInt32(at + 4, true) === (high | 0)) return;
    this.version++;
    view.setUint32(at, low, true);
    view.setUint32(at + 4, high, true);
  }

  /** True if `selector` names a present, writable data segment of the kernel's level in the GDT. */
  isKernelStack(selector: number): boolean {
    const index = selector >>> 3;
    if ((selector & 7) !== GUEST_PL || index === 0 || index >= GDT_ENTRIES) return false;
    const high = this.cpu.view.getUint32(this.gdtAddress + 8 * index + 4, true);
    const attributes = (high >>> 8) & 0xff;
    return (
      (high & DESC_PRESENT) !== 0 &&
      (high & DESC_DPL) >>> 13 === GUEST_PL &&
      (attributes & (ATTR_S | ATTR_CODE | ATTR_WRITABLE)) === (ATTR_S | ATTR_WRITABLE)
    );
  }

  /** True if the kernel's code segment is a present code segment. */
  hasKernelCode(): boolean {
    const high = this.cpu.view.getUint32(this.gdtAddress + 8 * KERNEL_CS_ENTRY + 4, true);
    const attributes = (high >>> 8) & 0xff;
    return (high & DESC_PRESENT) !== 0 && (attributes & (ATTR_S | ATTR_CODE)) === (ATTR_S | ATTR_CODE);
  }

  /** True if the segment of a selector starts at 0: its offsets are linear addresses. */
  startsAtZero(selector: number): boolean {
    const { view } = this.cpu;
    const at = this.gdtAddress + (selector & ~7);
    const base = (view.getUint32(at, true) & 0xffff0000) | (view.getUint32(at + 4, true) & 0xff0000ff);
    return base === 0;
  }

  /** CS and level of the kernel, for the entry into a handler; with `stack` not 0, SS too. */
  enterKernel(stack: number): void {
    const { cpu } = this;
    if (!this.hasKernelCode()) {
      throw new GuestDeath('the kernel code segment is not a present code segment', cpu.eip);
    }
    let changed = this.setRegister(S.CS, KERNEL_CS);
    if (stack !== 0) {
      if (!this.isKernelStack(stack)) {
        throw new GuestDeath(
          `the kernel stack segment ${hex(stack)} is not a writable data segment`,
          cpu.eip,
        );
      }
      if (this.setRegister(S.SS, stack)) changed = true;
    }
    if (cpu.get(S.CPL) !== GUEST_PL) {
      cpu.set(S.CPL, GUEST_PL);
      changed = true;
    }
    if (changed) this.engine.segmentsChanged();
  }

  /** Loads a segment register with its hidden part, unchecked. Returns true if anything but the selector changed. */
  private setRegister(segment: number, selector: number): boolean {
    const { cpu } = this;
    const at = this.gdtAddress + (selector & ~7);
    const low = cpu.view.getUint32(at, true);
    const high = cpu.view.getUint32(at + 4, true);
    const base = ((low >>> 16) | ((high & 0xff) << 16) | (high & 0xff000000)) >>> 0;
    let limit = (low & 0xffff) | (high & 0xf0000);
    if (high & DESC_GRANULARITY) limit = (limit << 12) | 0xfff;
    limit >>>= 0;
    const attributes = (high >>> 8) & S.SEGMENT_ATTR_MASK;
    const slot = 4 * segment;
    cpu.set(S.SELECTOR + slot, selector);
    if (
      cpu.get(S.SEGMENT_BASE + slot) === base &&
      cpu.get(S.SEGMENT_LIMIT + slot) === limit &&
      cpu.get(S.SEGMENT_ATTR + slot) === attributes
    ) {
      return false;
    }
    cpu.set(S.SEGMENT_BASE + slot, base);
    cpu.set(S.SEGMENT_LIMIT + slot, limit);
    cpu.set(S.SEGMENT_ATTR + slot, attributes);
    return true;
  }
}

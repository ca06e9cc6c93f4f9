/** The page a guest shares with its Host, `struct lguest_data`, through the layout of the guest's ABI. */
import { F_IF } from '../frontend-x86/cpu-state.js';
import type { GuestMemory } from '../runtime/guest-memory.js';
import type { GuestAbi, LguestDataLayout } from './abi/abi.js';

export class LguestData {
  /** Fields that the guest sets once, read at INIT: later changes have no meaning. */
  readonly kernelAddress: number;
  readonly syscallVector: number;
  /** [start, end): eip values at which no interrupt is delivered. Empty range if the ABI has none. */
  readonly noirqStart: number;
  readonly noirqEnd: number;
  /** See `LguestDataLayout.noirqIret`; -1 if none. */
  readonly noirqIret: number;
  /** What the Host last wrote to irq_pending. */
  private shownPending = false;
  private readonly layout: LguestDataLayout;

  /** `address`: guest-physical, known to hold the whole structure. */
  constructor(
    private readonly memory: GuestMemory,
    readonly abi: GuestAbi,
    readonly address: number,
  ) {
    const layout = (this.layout = abi.data);
    const read = (offset: number, absent: number): number =>
      offset < 0 ? absent : memory.read32(address + offset);
    this.kernelAddress = read(layout.kernelAddress, 0);
    this.syscallVector = read(layout.syscallVec, 0);
    this.noirqStart = read(layout.noirqStart, 0);
    this.noirqEnd = read(layout.noirqEnd, 0);
    this.noirqIret = read(layout.noirqIret, -1);
  }

  /** What the guest learns at INIT. `root`: the page table it was started with, -1 if none. */
  introduce(reserveMem: number, tscKhz: number, root: number): void {
    this.memory.write32(this.address + this.layout.reserveMem, reserveMem);
    this.memory.write32(this.address + this.layout.tscKhz, tscKhz);
    if (this.layout.pgdir >= 0 && root >= 0) this.memory.write32(this.address + this.layout.pgdir, root);
  }

  /**
   * The virtual interrupt flag. Guests store whole EFLAGS images into irq_enabled, so only bit 9 counts (the genuine
   * Host takes any nonzero value for "enabled").
   */
  get interruptsEnabled(): boolean {
    return (this.memory.read32(this.address + this.layout.irqEnabled) & F_IF) !== 0;
  }
  set interruptsEnabled(on: boolean) {
    this.memory.write32(this.address + this.layout.irqEnabled, on ? F_IF : 0);
  }

  /** Guest-physical addresses of the virtual interrupt flag, and of the last page fault's address. */
  get interruptsEnabledAddress(): number {
    return this.address + this.layout.irqEnabled;
  }
  get cr2Address(): number {
    return this.address + this.layout.cr2;
  }

  /** Bitmap of masked interrupts. */
  get blockedInterrupts(): number {
    return this.memory.read32(this.address + this.layout.blockedInterrupts);
  }

  set cr2(address: number) {
    this.memory.write32(this.address + this.layout.cr2, address);
  }

  /**
   * Tells the guest that an interrupt waits for it to enable interrupts. Guests test this when they restore flags and
   * then make a hypercall, so a flag left behind costs tens of thousands of needless calls per boot.
   */
  showPending(on: boolean): void {
    if (this.shownPending === on || this.layout.irqPending < 0) return;
    this.shownPending = on;
    this.memory.write32(this.address + this.layout.irqPending, on ? F_IF : 0);
  }

  /** Wall clock. */
  setTime(seconds: number, nanoseconds: number): void {
    this.memory.write32(this.address + this.layout.time, seconds >>> 0);
    this.memory.write32(this.address + this.layout.time + 4, nanoseconds >>> 0);
  }
}

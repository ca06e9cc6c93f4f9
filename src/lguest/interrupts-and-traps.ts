/**
 * Interrupts and traps. A guest's handlers are entered as the processor enters them, but by hand: its interrupt flag is
 * a word in lguest_data, and its gates are a table here.
 */
import * as S from '../frontend-x86/cpu-state.js';
import type { CpuState } from '../runtime/cpu.js';
import type { Engine } from '../runtime/engine.js';
import { GUEST_PL, MOST_STACK_PAGES } from '../runtime/guest-kernel.js';
import type { Clock } from './clock.js';
import { GuestDeath, hex } from './death.js';
import type { LguestData } from './lguest-data.js';
import { KERNEL_CS, type Segments } from './segments.js';
import { VECTOR } from '../frontend-x86/vectors.js';

const USER_PL = 3;
const { HYPERCALL_VECTOR } = S;
export const { DB: VECTOR_DB, UD: VECTOR_UD, NM: VECTOR_NM, GP: VECTOR_GP, PF: VECTOR_PF } = VECTOR;
/** Interrupt n arrives through vector 32 + n. */
const FIRST_IRQ_VECTOR = 32;
export const IRQS = 32;
/** The guest's one-shot timer. */
export const TIMER_IRQ = 0;

const VECTORS = 256;
/** Vectors that are never the guest's: NMI, double fault, spurious interrupt, hypercall. */
const HOST_VECTORS = (1 << 2) | (1 << 8) | (1 << 15) | (1 << HYPERCALL_VECTOR);
/** Exceptions whose frame has an error code (Intel SDM vol. 3, 6.13). */
const HAS_ERROR_CODE = (1 << 8) | (1 << 10) | (1 << 11) | (1 << 12) | (1 << 13) | (1 << 14) | (1 << 17);
/** Vectors below 32 that the Host handles itself: no `int n` reaches them. */
const NOT_DIRECT = HOST_VECTORS | (1 << VECTOR_NM) | (1 << VECTOR_GP) | (1 << VECTOR_PF);

/** Bits of byte 5 of a gate (Intel SDM vol. 3, 6.11). */
const GATE_PRESENT = 0x80;
const GATE_INTERRUPT = 0xe;
const GATE_TRAP = 0xf;

/** Flags that are clear when a handler starts. */
const CLEARED_ON_ENTRY = S.F_TF | S.F_NT | S.F_RF | S.F_VM;

/**
 * When interrupts have to be looked at again if nothing else happens: at instruction counts that are a multiple of
 * these, so that every engine does it at the same instruction. Linux guests switch interrupts on (`lg_irq_enable`) and
 * unmask them without a word to the Host; on real hardware any interrupt of the host brought the Host in. Each look ends
 * the engine's run, in which regions no longer fit towards its end: handlers that run for long with interrupts off while
 * another one waits, as a timer's often do, must not be looked at all the time. The numbers are prime: a guest's loop that
 * lets interrupts in for a moment could else hide that moment from all looks.
 */
const LOOK_NEVER = 0;
const LOOK_NEXT_INSTRUCTION = 1;
const LOOK_HELD_BACK = 4093;
const LOOK_MASKED = 16381;

export class InterruptsAndTraps {
  /** Set by LGUEST_INIT. Before it there is nobody to interrupt. */
  data: LguestData | undefined = undefined;
  /** The guest sleeps until an interrupt can be delivered. */
  halted = false;
  /** Look again at multiples of this instruction count; 0 = no need. */
  lookInterval = LOOK_NEVER;
  /** Interrupts may have become deliverable: look before the next instruction. */
  lookNow = false;

  /** What the state says of direct traps was made from this GDT, and from gates and a stack that have not changed. */
  private directVersion = -1;
  private directData: LguestData | undefined;
  private directPossible = false;

  /** Counters. */
  readonly trapsDelivered = new Float64Array(VECTORS);
  readonly irqsDelivered = new Float64Array(IRQS);

  private readonly cpu: CpuState;
  private readonly handler = new Uint32Array(VECTORS);
  /** Byte 5 of the gate: present, DPL, type; 0 = none. */
  private readonly gate = new Uint8Array(VECTORS);
  private pending = 0;
  /** Instruction count at which an interrupt shadow was first seen at its eip; -1 = none. */
  private shadowSince = -1;
  /** Where traps from ring 3 find the kernel stack; selector 0 until SET_STACK. */
  private stackSelector = 0;
  /** Virtual debug status register: why the last #DB was. */
  private dr6 = 0xffff0ff0;

  constructor(
    private readonly engine: Engine,
    private readonly segments: Segments,
    private readonly clock: Clock,
  ) {
    this.cpu = engine.cpu;
  }

  // Gates.

  /** LOAD_IDT_ENTRY. */
  loadIdtEntry(vector: number, low: number, high: number): void {
    if (vector >= VECTORS) throw new GuestDeath(`IDT entry ${vector} does not exist`, this.cpu.eip);
    if (vector < 32 && (HOST_VECTORS >>> vector) & 1) return;
    this.directVersion = -1;
    const access = (high >>> 8) & 0xff;
    if ((access & GATE_PRESENT) === 0) {
      this.gate[vector] = 0;
      return;
    }
    const type = access & 0x1f;
    if (type !== GATE_INTERRUPT && type !== GATE_TRAP) {
      throw new GuestDeath(`IDT entry ${vector} has the bad type ${hex(type)}`, this.cpu.eip);
    }
    this.gate[vector] = access;
    this.handler[vector] = ((high & 0xffff0000) | (low & 0xffff)) >>> 0;
  }

  /** Lowest privilege that may reach `vector` by `int n`. */
  private effectiveGateLevel(vector: number): number {
    if (vector === HYPERCALL_VECTOR) return GUEST_PL;
    const direct = vector < 32 ? ((NOT_DIRECT >>> vector) & 1) === 0 : vector === this.data?.syscallVector;
    return direct ? (this.gate[vector]! >>> 5) & 3 : 0;
  }

  /** SET_STACK. The stack is not pinned: its pages are looked up when a frame is written. */
  setStack(selector: number, pointer: number, pages: number): void {
    if ((selector & 3) !== GUEST_PL) throw new GuestDeath(`bad stack segment ${hex(selector)}`, this.cpu.eip);
    if (pages > MOST_STACK_PAGES)
      throw new GuestDeath(`a kernel stack of ${pages} pages is too long`, this.cpu.eip);
    if (!this.segments.isKernelStack(selector)) {
      throw new GuestDeath(`stack segment ${hex(selector)} is not a writable data segment`, this.cpu.eip);
    }
    if (selector !== this.stackSelector) this.directVersion = -1;
    this.stackSelector = selector;
    // Its one place: the engine may set it too.
    this.cpu.set(S.DIRECT_ESP, pointer);
  }

  // Direct traps.

  /** Before the engine runs: says which traps it may deliver itself. None while an interrupt waits to be looked at. */
  allowDirectTraps(): void {
    const { cpu, segments } = this;
    if (this.directVersion !== segments.version || this.directData !== this.data) this.prepareDirectTraps();
    cpu.set(S.DIRECT_TRAPS, this.directPossible && this.pending === 0 && !this.lookNow ? 1 : 0);
  }

  private prepareDirectTraps(): void {
    const { cpu, segments, data, stackSelector } = this;
    this.directVersion = segments.version;
    this.directData = data;
    this.directPossible =
      data !== undefined &&
      stackSelector !== 0 &&
      segments.hasKernelCode() &&
      segments.isKernelStack(stackSelector) &&
      segments.startsAtZero(stackSelector) &&
      // A word across two pages would be two stores.
      ((data.interruptsEnabledAddress | data.cr2Address) & 3) === 0 &&
      this.engine.memory.contains(data.address, data.abi.data.size);
    if (data === undefined || !this.directPossible) return;
    const vector = data.syscallVector;
    const reachable = this.effectiveGateLevel(vector) === USER_PL && this.gate[vector] !== 0;
    const masks = (n: number): number => ((this.gate[n]! & 0xf) === GATE_INTERRUPT ? 1 : 0);
    cpu.set(S.DIRECT_INT_VECTOR, reachable ? vector : 0xffffffff);
    cpu.set(S.DIRECT_INT_HANDLER, this.handler[vector]!);
    cpu.set(S.DIRECT_INT_MASKS, masks(vector));
    cpu.set(S.DIRECT_FAULT_HANDLER, this.gate[VECTOR_PF] === 0 ? 0 : this.handler[VECTOR_PF]!);
    cpu.set(S.DIRECT_FAULT_MASKS, masks(VECTOR_PF));
    cpu.set(S.DIRECT_CS, KERNEL_CS);
    cpu.set(S.DIRECT_SS, stackSelector);
    cpu.set(S.DIRECT_IF_ADDRESS, data.interruptsEnabledAddress);
    cpu.set(S.DIRECT_CR2_ADDRESS, data.cr2Address);
  }

  // Traps.

  /**
   * `int n`, `int3` or `into`: goes to the guest if its gate allows it, else is a #GP. `next` is where the handler
   * returns to. Returns false if it was a #GP, which leaves the instruction unexecuted.
   */
  softwareInterrupt(vector: number, next: number): boolean {
    if (this.cpu.get(S.CPL) > this.effectiveGateLevel(vector)) {
      this.deliverTrap(VECTOR_GP, 8 * vector + 2);
      return false;
    }
    this.cpu.eip = next;
    this.deliver(vector, -1);
    this.trapsDelivered[vector]!++;
    return true;
  }

  /** True unless ring 3 asks for a hypercall, which is a #GP. */
  mayMakeHypercall(): boolean {
    if (this.cpu.get(S.CPL) <= GUEST_PL) return true;
    this.deliverTrap(VECTOR_GP, 8 * HYPERCALL_VECTOR + 2);
    return false;
  }

  /** An exception of the instruction at eip; `errorCode` counts for vectors that have one. */
  deliverTrap(vector: number, errorCode: number): void {
    this.trapsDelivered[vector]!++;
    this.deliver(vector, (HAS_ERROR_CODE >>> vector) & 1 ? errorCode >>> 0 : -1);
  }

  /** A page fault: the guest finds the address in lguest_data. */
  deliverPageFault(address: number, errorCode: number): void {
    if (this.data === undefined || this.gate[VECTOR_PF] === 0) {
      throw new GuestDeath(
        `unhandled page fault at ${hex(address)} (error code ${hex(errorCode)})`,
        this.cpu.eip,
      );
    }
    this.data.cr2 = address;
    this.deliverTrap(VECTOR_PF, errorCode);
  }

  /** #DB, after a single step or by `icebp`. eip is the next instruction. */
  deliverDebugTrap(singleStep: boolean): void {
    this.dr6 = singleStep ? 0xffff4ff0 : 0xffff0ff0;
    this.deliverTrap(VECTOR_DB, 0);
  }

  /** `mov r, drN` of kernels that read debug registers natively. No breakpoint is ever set. */
  readDebugRegister(number: number): number {
    if (number === 6 || number === 4) return this.dr6;
    if (number === 7 || number === 5) return 0x400;
    return 0;
  }

  /** Enters the guest's handler. `errorCode` -1: the frame has none. */
  private deliver(vector: number, errorCode: number): void {
    const { cpu } = this;
    const gate = this.gate[vector]!;
    if (gate === 0) throw new GuestDeath(`unhandled trap ${vector}`, cpu.eip);
    // F_IF is always set while a guest runs: what it believes stands in lguest_data.
    let flags = (cpu.eflags | S.F_IF) & ~S.F_RF;
    if (this.data !== undefined && !this.data.interruptsEnabled) flags &= ~S.F_IF;
    const selector = cpu.selector(S.CS);
    if (cpu.get(S.CPL) === GUEST_PL) {
      this.segments.enterKernel(0);
    } else {
      const stackSelector = cpu.selector(S.SS);
      const stackPointer = cpu.get(S.ESP);
      if (this.stackSelector === 0) throw new GuestDeath(`trap ${vector} without a kernel stack`, cpu.eip);
      this.segments.enterKernel(this.stackSelector);
      cpu.set(S.ESP, cpu.get(S.DIRECT_ESP));
      this.push(stackSelector);
      this.push(stackPointer);
    }
    this.push(flags);
    this.push(selector);
    this.push(cpu.eip);
    if (errorCode >= 0) this.push(errorCode);
    this.enterHandler(vector, gate);
  }

  private enterHandler(vector: number, gate: number): void {
    const { cpu } = this;
    cpu.set(S.FLAGS_SYSTEM, (cpu.get(S.FLAGS_SYSTEM) | S.F_IF) & ~CLEARED_ON_ENTRY);
    cpu.set(S.INTERRUPT_SHADOW, 0xffffffff);
    cpu.eip = this.handler[vector]!;
    if ((gate & 0xf) === GATE_INTERRUPT && this.data !== undefined) this.data.interruptsEnabled = false;
  }

  /** Pushes a dword on the kernel stack through the guest's page tables. */
  private push(value: number): void {
    const { cpu } = this;
    const pointer = (cpu.get(S.ESP) - 4) >>> 0;
    cpu.set(S.ESP, pointer);
    const address = (cpu.get(S.SEGMENT_BASE + 4 * S.SS) + pointer) >>> 0;
    if ((address & 0xfff) <= 0xffc) {
      this.engine.memory.write32(this.stackByte(address), value);
    } else {
      for (let i = 0; i < 4; i++) {
        this.engine.memory.write8(this.stackByte((address + i) >>> 0), (value >>> (8 * i)) & 0xff);
      }
    }
  }

  private stackByte(address: number): number {
    const physical = this.engine.mmu.translate(address, true, false);
    if (physical < 0)
      throw new GuestDeath(`the kernel stack at ${hex(address)} is not writable`, this.cpu.eip);
    return physical;
  }

  // Interrupts.

  /** Makes interrupt `irq` (0..31) pending. */
  raise(irq: number): void {
    this.pending |= 1 << irq;
    this.lookNow = true;
  }

  /** An interrupt is pending, whether it can be delivered or not. */
  get waiting(): boolean {
    return this.pending !== 0;
  }

  /** HALT: nothing runs until an interrupt is delivered. */
  halt(): void {
    this.halted = true;
  }

  /**
   * Delivers the lowest interrupt that is pending and not blocked, if the guest can take it now, and works out when to
   * look again.
   */
  look(): void {
    this.lookNow = false;
    this.lookInterval = LOOK_NEVER;
    const { data, cpu } = this;
    if (this.pending === 0 || data === undefined) return;
    const deliverable = this.pending & ~data.blockedInterrupts;
    if (deliverable === 0) {
      this.lookInterval = LOOK_MASKED;
      data.showPending(false);
      return;
    }
    const { eip } = cpu;
    if ((eip >= data.noirqStart && eip < data.noirqEnd) || this.inShadow(eip)) {
      this.lookInterval = LOOK_NEXT_INSTRUCTION;
      return;
    }
    if (this.halted) {
      this.halted = false;
      data.interruptsEnabled = true;
    } else if (!data.interruptsEnabled) {
      data.showPending(true);
      this.lookInterval = LOOK_HELD_BACK;
      return;
    }
    const irq = 31 - Math.clz32(deliverable & -deliverable);
    const vector = FIRST_IRQ_VECTOR + irq;
    const gate = this.gate[vector]!;
    if (gate === 0) {
      this.lookInterval = LOOK_MASKED;
      return;
    }
    this.pending &= ~(1 << irq);
    this.irqsDelivered[irq]!++;
    if (eip === data.noirqIret) this.deliverOnReturnFrame(vector, gate);
    else this.deliver(vector, -1);
    this.writeTime(data);
    if ((deliverable & (deliverable - 1)) === 0) data.showPending(false);
    // Now, not after however many instructions the engine is given next: the handler of an interrupt gate starts with
    // interrupts off, so that the next one is held back; that of a trap gate is interrupted before it starts.
    if (this.pending !== 0) this.look();
  }

  /**
   * True for the instruction after `mov ss` or `pop ss`, once: the mark stays behind, and must not hold interrupts back
   * for good if that instruction jumps to itself.
   */
  private inShadow(eip: number): boolean {
    if (this.cpu.get(S.INTERRUPT_SHADOW) !== eip) {
      this.shadowSince = -1;
      return false;
    }
    const count = this.engine.instructions;
    if (this.shadowSince < 0) this.shadowSince = count;
    if (this.shadowSince === count) return true;
    this.shadowSince = -1;
    this.cpu.set(S.INTERRUPT_SHADOW, 0xffffffff);
    return false;
  }

  /**
   * At the one `iret` that guests of some ABIs ask not to be interrupted at, the frame it is about to pop is used for
   * the interrupt as it stands.
   */
  private deliverOnReturnFrame(vector: number, gate: number): void {
    const { cpu, engine } = this;
    const address = (cpu.get(S.SEGMENT_BASE + 4 * S.SS) + cpu.get(S.ESP) + 8) >>> 0;
    let flags = 0;
    for (let i = 0; i < 4; i++) {
      const physical = engine.mmu.translate((address + i) >>> 0, false, false);
      if (physical < 0) throw new GuestDeath(`the kernel stack at ${hex(address)} is not mapped`, cpu.eip);
      flags |= engine.memory.read8(physical) << (8 * i);
    }
    const kept = cpu.get(S.FLAGS_SYSTEM) & S.F_IOPL;
    cpu.eflags = (flags & ~(CLEARED_ON_ENTRY | S.F_IOPL)) | S.F_IF | kept;
    this.enterHandler(vector, gate);
  }

  /** Wall clock time into lguest_data. */
  writeTime(data: LguestData): void {
    const { epochMilliseconds } = this.clock;
    const epochSeconds = Math.floor(epochMilliseconds / 1000);
    const nanoseconds =
      Math.floor((epochMilliseconds - epochSeconds * 1000) * 1e6) + this.clock.now(this.engine.instructions);
    const seconds = Math.floor(nanoseconds / 1e9);
    data.setTime(epochSeconds + seconds, nanoseconds - seconds * 1e9);
  }
}

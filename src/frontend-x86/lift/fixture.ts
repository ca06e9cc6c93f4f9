/** Test fixture: lifts instructions given as data, runs them in the reference evaluator, shows registers and flags. */
import { Builder } from '../../ir/builder.js';
import { GuestFault, type Environment } from '../../ir/environment.js';
import { evaluate, type Outcome } from '../../ir/evaluate.js';
import type { Operand } from '../../ir/ir.js';
import * as S from '../cpu-state.js';
import { AddressShape, type Instruction, type InstructionOperand } from '../instruction.js';
import { lift } from './lift.js';

/** Control-memory address and guest-linear size of the fixture's memories. */
export const GDT = 0x1000;
export const GUEST_BYTES = 0x4000;
const GUEST_IN_CONTROL = 0x4000;

export function reg(slot: Operand, size: 1 | 2 | 4 = 4): InstructionOperand {
  return { kind: 'reg', slot, size };
}
export function imm(value: number, size: 1 | 2 | 4 = 4): InstructionOperand {
  return { kind: 'imm', value, size };
}
export function mem(
  disp: number,
  size: 1 | 2 | 4 | 6 | 8 = 4,
  more: Partial<{
    base: Operand;
    index: Operand;
    scale: Operand;
    shape: AddressShape;
    segment: number;
  }> = {},
): InstructionOperand {
  const segment = more.segment ?? S.DS;
  return {
    kind: 'mem',
    size,
    address: {
      base: more.base ?? S.ZERO,
      index: more.index ?? S.ZERO,
      scale: more.scale ?? 0,
      disp,
      shape:
        more.shape ??
        (more.index !== undefined
          ? AddressShape.indexed
          : more.base !== undefined
            ? AddressShape.base
            : AddressShape.absolute),
      segment,
      segmentBase: S.SEGMENT_BASE + 4 * segment,
    },
  };
}
export function rel(target: number): InstructionOperand {
  return { kind: 'rel', target };
}

export function instruction(
  op: string,
  operands: readonly InstructionOperand[] = [],
  more: Partial<Instruction> = {},
): Instruction {
  return {
    op,
    cc: 0,
    operands,
    operandSize: 4,
    addressSize: 4,
    rep: 'none',
    lock: false,
    segment: S.DS,
    segmentBase: S.SEGMENT_BASE + 4 * S.DS,
    flat: true,
    length: 2,
    next: 2,
    form: 0,
    ...more,
  };
}

/** A CPU at CPL 1 with flat segments 0x61 and 0x69, esp 0x2000, and 16 KiB of guest memory (fault outside). */
export class Machine implements Environment {
  readonly buffer = new ArrayBuffer(GUEST_IN_CONTROL + GUEST_BYTES);
  readonly control = new DataView(this.buffer);
  readonly guest = new DataView(this.buffer, GUEST_IN_CONTROL, GUEST_BYTES);
  /** Linear addresses from here on are read-only. */
  readOnlyFrom = GUEST_BYTES;
  /** Whether `span` lets instructions at guest memory directly. */
  bulk = false;
  budget = 1000;
  charged = 0;
  eip = 0x100;

  constructor() {
    this.set(S.DIRECTION, 1);
    this.set(S.FLAGS_SYSTEM, S.F_IF);
    this.set(S.CPL, 1);
    this.set(S.ESP, 0x2000);
    this.set(S.GDT_ADDRESS, GDT);
    this.set(S.GDT_LIMIT, 0xff);
    this.set(S.FLAG_RESULT, 1);
    this.descriptor(12, 0, 0xfffff, 0xc0bb);
    this.descriptor(13, 0, 0xfffff, 0xc0b3);
    this.descriptor(14, 0, 0xfffff, 0xc0fb);
    this.descriptor(15, 0, 0xfffff, 0xc0f3);
    for (const s of [S.ES, S.CS, S.SS, S.DS]) {
      this.set(S.SELECTOR + 4 * s, s === S.CS ? 0x61 : 0x69);
      this.set(S.SEGMENT_LIMIT + 4 * s, -1);
      this.set(S.SEGMENT_ATTR + 4 * s, s === S.CS ? 0xc0bb : 0xc0b3);
    }
  }
  /** Writes GDT entry `index`; `attr` as in SEGMENT_ATTR. */
  descriptor(index: number, base: number, limit: number, attr: number): void {
    const at = GDT + 8 * index;
    this.control.setUint32(at, ((base & 0xffff) << 16) | (limit & 0xffff), true);
    const high = (base & 0xff000000) | (attr << 8) | (limit & 0xf0000) | ((base >>> 16) & 0xff);
    this.control.setUint32(at + 4, high, true);
  }
  get(slot: number): number {
    return this.control.getUint32(slot, true);
  }
  set(slot: number, value: number): void {
    this.control.setInt32(slot, value, true);
  }

  private check(address: number, bytes: number, write: boolean): void {
    const limit = write ? this.readOnlyFrom : GUEST_BYTES;
    if (address + bytes <= limit) return;
    this.set(S.FAULT_ADDRESS, Math.max(address, limit));
    throw new GuestFault(14, write ? 2 : 0);
  }
  load(address: number, bytes: 1 | 2 | 4, forWrite: boolean): number {
    this.check(address, bytes, forWrite);
    if (bytes === 1) return this.guest.getUint8(address);
    return bytes === 2 ? this.guest.getUint16(address, true) : this.guest.getUint32(address, true);
  }
  load64(address: number, forWrite: boolean): bigint {
    this.check(address, 8, forWrite);
    return this.guest.getBigUint64(address, true);
  }
  store(address: number, bytes: 1 | 2 | 4, value: number): void {
    this.check(address, bytes, true);
    if (bytes === 1) this.guest.setUint8(address, value);
    else if (bytes === 2) this.guest.setUint16(address, value, true);
    else this.guest.setInt32(address, value, true);
  }
  store64(address: number, value: bigint): void {
    this.check(address, 8, true);
    this.guest.setBigUint64(address, value, true);
  }
  probe(address: number, bytes: number): void {
    this.check(address, bytes, true);
  }
  span(address: number, write: boolean): number {
    const limit = write ? this.readOnlyFrom : GUEST_BYTES;
    if (!this.bulk || address >= limit) return 0;
    return Math.min(limit, (address & ~0xfff) + 0x1000) - address;
  }
  direct(address: number): number {
    return GUEST_IN_CONTROL + address;
  }
  clock(): bigint {
    return 0x1_0000_0002n;
  }
  fuel(): number {
    return this.budget - this.charged;
  }
  charge(n: number): void {
    this.charged += n;
  }

  /** Lifts the instructions into one block, at `eip`, and runs it; faults come back as objects. */
  run(...instructions: Instruction[]): Outcome | GuestFault {
    const b = new Builder();
    let delta = 0;
    for (const i of instructions) {
      b.mark(delta, i.length);
      lift(b, i);
      delta += i.length;
    }
    try {
      return evaluate(b.block(), this, { eip: this.eip });
    } catch (e) {
      if (e instanceof GuestFault) return e;
      throw e;
    }
  }

  /** CF PF AF ZF SF OF. */
  get status(): number {
    return status(this.get(S.FLAG_RESULT) | 0, this.get(S.FLAG_AUX) | 0);
  }
}

/** The status flags that FLAG_RESULT and FLAG_AUX stand for (see `cpu-state.ts`). */
export function status(result: number, aux: number): number {
  let parity = (result ^ (aux >> 8)) & 0xff;
  parity ^= parity >> 4;
  parity ^= parity >> 2;
  parity ^= parity >> 1;
  return (
    (aux < 0 ? S.F_CF : 0) |
    (parity & 1 ? 0 : S.F_PF) |
    (aux & 8 ? S.F_AF : 0) |
    (result === 0 ? S.F_ZF : 0) |
    (((result >>> 31) ^ aux) & 1 ? S.F_SF : 0) |
    ((aux ^ (aux << 1)) < 0 ? S.F_OF : 0)
  );
}

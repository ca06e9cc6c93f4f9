/** What every lift function works with: operands, memory, stack, flags and small arithmetic around a `Builder`. */
import type { Builder } from '../../ir/builder.js';
import { Field, type Operand, type Value } from '../../ir/ir.js';
import type { OpName } from '../../ir/ops.js';
import { CPL, ESP, SEGMENT_ATTR, SEGMENT_LIMIT, SS, ZERO } from '../cpu-state.js';
import { AddressShape, type Address, type Instruction, type InstructionOperand } from '../instruction.js';
import { SEGMENT_LINEAR } from './functions-memory.js';
import { VECTOR } from '../vectors.js';
import { Flags } from './flags.js';

/** Width in bytes of an integer operation. */
export type Size = 1 | 2 | 4;

export type Lift = (x: Lifter, i: Instruction) => void;
export type LiftTable = Readonly<Record<string, Lift>>;

/** Attributes of a writable, expand-up data segment: which type bits count, and what they are. */
const PLAIN_DATA_MASK = 0xe;
const PLAIN_DATA = 0x2;

/** A destination that was read and is going to be written: its old value, and how to write the new one. */
export interface Place {
  /** Zero-extended. */
  readonly value: Value;
  readonly write: (v: Value) => void;
}

/** An integer operand's width; throws for operands that are not 1, 2 or 4 bytes wide. */
export function sizeOf(o: InstructionOperand): Size {
  if ((o.kind === 'reg' || o.kind === 'mem' || o.kind === 'imm') && o.size <= 4) {
    return o.size as Size;
  }
  throw new TypeError(`not an integer operand: ${o.kind}`);
}

export class Lifter {
  readonly flags: Flags;
  constructor(readonly b: Builder) {
    this.flags = new Flags(this);
  }

  // Arithmetic shorthands: v… with a constant right operand.
  c(n: number): Value {
    return this.b.const32(n);
  }
  op(name: OpName, p: Value, q: Value): Value {
    return this.b.pure(name, p, q);
  }
  add(p: Value, q: Value): Value {
    return this.b.pure('i32.add', p, q);
  }
  sub(p: Value, q: Value): Value {
    return this.b.pure('i32.sub', p, q);
  }
  and(p: Value, q: Value): Value {
    return this.b.pure('i32.and', p, q);
  }
  or(p: Value, q: Value): Value {
    return this.b.pure('i32.or', p, q);
  }
  xor(p: Value, q: Value): Value {
    return this.b.pure('i32.xor', p, q);
  }
  eq(p: Value, q: Value): Value {
    return this.b.pure('i32.eq', p, q);
  }
  eqz(p: Value): Value {
    return this.b.pure('i32.eqz', p);
  }
  ltU(p: Value, q: Value): Value {
    return this.b.pure('i32.lt_u', p, q);
  }
  leU(p: Value, q: Value): Value {
    return this.b.pure('i32.le_u', p, q);
  }
  select(condition: Value, p: Value, q: Value): Value {
    return this.b.pure('i32.select', condition, p, q);
  }
  shl(p: Value, q: Value): Value {
    return this.b.pure('i32.shl', p, q);
  }
  shr(p: Value, q: Value): Value {
    return this.b.pure('i32.shr_u', p, q);
  }
  sar(p: Value, q: Value): Value {
    return this.b.pure('i32.shr_s', p, q);
  }
  addC(p: Value, n: number): Value {
    return n === 0 ? p : this.add(p, this.c(n));
  }
  subC(p: Value, n: number): Value {
    return n === 0 ? p : this.sub(p, this.c(n));
  }
  andC(p: Value, n: number): Value {
    return this.and(p, this.c(n));
  }
  orC(p: Value, n: number): Value {
    return this.or(p, this.c(n));
  }
  xorC(p: Value, n: number): Value {
    return this.xor(p, this.c(n));
  }
  eqC(p: Value, n: number): Value {
    return this.eq(p, this.c(n));
  }
  shlC(p: Value, n: number): Value {
    return n === 0 ? p : this.shl(p, this.c(n));
  }
  shrC(p: Value, n: number): Value {
    return n === 0 ? p : this.shr(p, this.c(n));
  }
  sarC(p: Value, n: number): Value {
    return n === 0 ? p : this.sar(p, this.c(n));
  }

  /** Sign-extends the low `size` bytes. */
  sext(v: Value, size: Size): Value {
    if (size === 4) return v;
    return this.b.pure(size === 1 ? 'i32.ext8_s' : 'i32.ext16_s', v);
  }
  /** Zero-extends the low `size` bytes. */
  zext(v: Value, size: Size): Value {
    return size === 4 ? v : this.andC(v, size === 1 ? 0xff : 0xffff);
  }

  getReg(slot: Operand, size: Size): Value {
    if (size === 4) return this.b.get32(slot);
    return size === 2 ? this.b.get16(slot) : this.b.get8(slot);
  }
  putReg(slot: Operand, size: Size, v: Value): void {
    if (size === 4) this.b.put32(slot, v);
    else if (size === 2) this.b.put16(slot, v);
    else this.b.put8(slot, v);
  }
  load(address: Value, size: Size, rmw = false): Value {
    if (size === 4) return this.b.ld32(address, rmw);
    return size === 2 ? this.b.ld16(address, rmw) : this.b.ld8(address, rmw);
  }
  store(address: Value, size: Size, v: Value): void {
    if (size === 4) this.b.st32(address, v);
    else if (size === 2) this.b.st16(address, v);
    else this.b.st8(address, v);
  }

  /**
   * The effective address (without segment base). `extra` is added before truncation to 16 bits.
   * `popped`: bytes by which esp counts as already incremented (`pop [esp+n]`, Intel SDM vol. 2, POP).
   */
  offset(a: Address, extra?: Value, popped = 0): Value {
    let v: Value | undefined;
    if (a.shape !== AddressShape.absolute && a.base !== ZERO) {
      v = this.b.get32(a.base);
      if (popped !== 0) {
        if (a.base === ESP) v = this.addC(v, popped);
        else if (a.base instanceof Field) {
          const isEsp = this.eqC(this.b.operand(a.base), ESP);
          v = this.add(v, this.shlC(isEsp, Math.log2(popped)));
        }
      }
    }
    if (a.shape >= AddressShape.indexed && a.index !== ZERO) {
      const index = this.b.get32(a.index);
      const scaled = a.scale === 0 ? index : this.shl(index, this.b.operand(a.scale));
      v = v === undefined ? scaled : this.add(v, scaled);
    }
    if (v === undefined) v = this.b.operand(a.disp);
    else if (a.disp !== 0) v = this.add(v, this.b.operand(a.disp));
    if (extra !== undefined) v = this.add(v, extra);
    return a.shape === AddressShape.general16 ? this.andC(v, 0xffff) : v;
  }

  /**
   * The linear address of `bytes` bytes of a memory operand. Raises #GP(0) or #SS(0) if the segment does not allow it.
   */
  linear(a: Address, bytes: number, write: boolean, extra?: Value, popped = 0): Value {
    return this.translate(a, this.offset(a, extra, popped), bytes, write);
  }
  /** Likewise, for an offset that was computed before. */
  translate(a: Address, offset: Value, bytes: number, write: boolean): Value {
    switch (a.shape) {
      case AddressShape.absolute:
      case AddressShape.base:
      case AddressShape.indexed:
        return offset;
      case AddressShape.fsgs:
        return this.threadSegment(a, offset, bytes, write);
      default:
        return this.segmented(this.b.operand(a.segment), offset, bytes, write);
    }
  }
  /** FS or GS: nearly always writable data of 4 GiB with a base; anything else goes through the full check. */
  private threadSegment(a: Address, offset: Value, bytes: number, write: boolean): Value {
    const segment = this.b.operand(a.segment);
    const hidden = (slot: number) =>
      typeof a.segment === 'number'
        ? this.b.get32(slot + 4 * a.segment)
        : this.b.peek32(this.shlC(segment, 2), slot);
    const short = this.xorC(hidden(SEGMENT_LIMIT), -1);
    const type = this.xorC(this.andC(hidden(SEGMENT_ATTR), PLAIN_DATA_MASK), PLAIN_DATA);
    const v = this.b.newVar('i32');
    this.b.varSet(v, this.add(offset, this.b.get32(a.segmentBase)));
    this.b.if(this.or(short, type), () => this.b.varSet(v, this.segmented(segment, offset, bytes, write)));
    return this.b.varGet(v);
  }
  /** Linear address of `bytes` bytes at an offset of any segment, checked. */
  segmented(segment: Value, offset: Value, bytes: number, write: boolean): Value {
    const access = this.c((bytes - 1) | (write ? 0x10000 : 0));
    return this.b.call(SEGMENT_LINEAR, segment, offset, access);
  }

  /** Reads an operand: registers and memory zero-extended, immediates as decoded. */
  read(o: InstructionOperand): Value {
    switch (o.kind) {
      case 'reg':
        return this.getReg(o.slot, sizeOf(o));
      case 'mem': {
        const size = sizeOf(o);
        return this.load(this.linear(o.address, size, false), size);
      }
      case 'imm':
        return this.b.operand(o.value);
      default:
        throw new TypeError(`cannot read a ${o.kind} operand as an integer`);
    }
  }
  /** Writes the low bytes of a value to a register or memory operand. */
  write(o: InstructionOperand, v: Value): void {
    const size = sizeOf(o);
    if (o.kind === 'reg') this.putReg(o.slot, size, v);
    else if (o.kind === 'mem') this.store(this.linear(o.address, size, true), size, v);
    else throw new TypeError(`cannot write a ${o.kind} operand`);
  }
  /** Reads an operand that will be written, with write permission, so that the write cannot fault. */
  place(o: InstructionOperand, extra?: Value): Place {
    const size = sizeOf(o);
    if (o.kind === 'reg') {
      const slot = o.slot;
      return { value: this.getReg(slot, size), write: (v) => this.putReg(slot, size, v) };
    }
    if (o.kind !== 'mem') throw new TypeError(`cannot modify a ${o.kind} operand`);
    const address = this.linear(o.address, size, true, extra);
    return {
      value: this.load(address, size, true),
      write: (v) => this.store(address, size, v),
    };
  }

  /** Raises an exception; code behind it is not reached. */
  raise(vector: number, errorCode = 0): void {
    this.b.raise(vector, this.c(errorCode));
  }
  /** Raises, and ends the block with a terminator that is never reached and names no successor. */
  raiseAlways(vector: number, errorCode = 0): void {
    this.raise(vector, errorCode);
    this.b.jump(this.b.pcrel(0), 0);
  }
  raiseIf(condition: Value, vector: number, errorCode = 0): void {
    this.b.if(condition, () => this.raise(vector, errorCode));
  }
  /** #GP(0) unless CPL is 0..2. */
  notUser(): void {
    this.raiseIf(this.eqC(this.b.get32(CPL), 3), VECTOR.GP);
  }
  /** Goes to the next instruction after something the translation was made for has changed. */
  resync(i: Instruction): void {
    this.b.jump(this.b.pcrel(i.next), 3);
  }

  // The stack. Flat: esp is the linear address. Else SS's base, limit and B bit count (Intel SDM vol. 1, 6.2.3).

  /** Stack pointer, truncated to 16 bits on a 16-bit stack. */
  sp(i: Instruction): Value {
    const esp = this.b.get32(ESP);
    return i.flat ? esp : this.and(esp, this.stackMask());
  }
  private stackMask(): Value {
    const attr = this.b.get32(SEGMENT_ATTR + 4 * SS);
    return this.select(this.andC(attr, 0x4000), this.c(-1), this.c(0xffff));
  }
  /** Linear address of `bytes` bytes at `displacement` from a stack offset. */
  stackAddress(i: Instruction, sp: Value, displacement: number, bytes: number, write: boolean): Value {
    const at = this.addC(sp, displacement);
    if (i.flat) return at;
    return this.segmented(this.c(SS), this.and(at, this.stackMask()), bytes, write);
  }
  /** What esp becomes with that stack pointer: on a 16-bit stack only its low half changes. */
  espWith(i: Instruction, sp: Value): Value {
    if (i.flat) return sp;
    const mask = this.stackMask();
    const old = this.b.get32(ESP);
    // The low part comes from the new value, the rest stays: old ^ ((old ^ new) & mask).
    return this.xor(old, this.and(this.xor(old, sp), mask));
  }
  setSp(i: Instruction, sp: Value): void {
    this.b.put32(ESP, this.espWith(i, sp));
  }
  /** Stores first, then moves the stack pointer: a fault leaves it alone. */
  push(i: Instruction, size: 2 | 4, v: Value): void {
    const sp = this.sp(i);
    const address = this.stackAddress(i, sp, -size, size, true);
    this.store(address, size, v);
    this.setSp(i, i.flat ? address : this.subC(sp, size));
  }
  /** Reads the stack's top without moving the stack pointer. */
  top(i: Instruction, size: 2 | 4, sp = this.sp(i)): Value {
    return this.load(this.stackAddress(i, sp, 0, size, false), size);
  }
  /** Moves the stack pointer up by a number of bytes. */
  release(i: Instruction, bytes: number, sp = this.sp(i)): void {
    this.setSp(i, this.addC(sp, bytes));
  }
  pop(i: Instruction, size: 2 | 4): Value {
    const sp = this.sp(i);
    const v = this.top(i, size, sp);
    this.release(i, size, sp);
    return v;
  }
}

/**
 * Arithmetic of out-of-line IR functions written as expressions: `Int` and `Long` are values of type i32 and i64 whose
 * methods emit the op of their name. Soft floating point is too long to be readable as nested builder calls.
 */
import { type Builder, defineFunction } from '../../ir/builder.js';
import type { CallTarget, IrFunction, Value } from '../../ir/ir.js';
import type { OpName, Type } from '../../ir/ops.js';

/** An i32 value or an int32 constant. */
export type I = Int | number;
/** An i64 value or a constant. */
export type L = Long | bigint;

/** An i32 value of the function being written. */
export class Int {
  constructor(
    readonly c: Code,
    readonly v: Value,
  ) {}
  private op(name: OpName, y: I): Int {
    return new Int(this.c, this.c.b.pure(name, this.v, this.c.i(y).v));
  }
  add(y: I): Int {
    return this.op('i32.add', y);
  }
  sub(y: I): Int {
    return this.op('i32.sub', y);
  }
  mul(y: I): Int {
    return this.op('i32.mul', y);
  }
  and(y: I): Int {
    return this.op('i32.and', y);
  }
  or(y: I): Int {
    return this.op('i32.or', y);
  }
  xor(y: I): Int {
    return this.op('i32.xor', y);
  }
  shl(y: I): Int {
    return this.op('i32.shl', y);
  }
  shr(y: I): Int {
    return this.op('i32.shr_u', y);
  }
  sar(y: I): Int {
    return this.op('i32.shr_s', y);
  }
  eq(y: I): Int {
    return this.op('i32.eq', y);
  }
  ne(y: I): Int {
    return this.op('i32.ne', y);
  }
  ltU(y: I): Int {
    return this.op('i32.lt_u', y);
  }
  lt(y: I): Int {
    return this.op('i32.lt_s', y);
  }
  le(y: I): Int {
    return this.op('i32.le_s', y);
  }
  gt(y: I): Int {
    return this.c.i(y).op('i32.lt_s', this);
  }
  ge(y: I): Int {
    return this.c.i(y).op('i32.le_s', this);
  }
  /** 1 if zero, else 0: also "not" of a truth value. */
  not(): Int {
    return new Int(this.c, this.c.b.pure('i32.eqz', this.v));
  }
  /** `this` as a condition. */
  pick(yes: I, no: I): Int {
    return new Int(this.c, this.c.b.pure('i32.select', this.v, this.c.i(yes).v, this.c.i(no).v));
  }
  pickLong(yes: L, no: L): Long {
    return new Long(this.c, this.c.b.pure('i64.select', this.v, this.c.l(yes).v, this.c.l(no).v));
  }
  /** Zero-extended. */
  long(): Long {
    return new Long(this.c, this.c.b.pure('i64.extend_i32_u', this.v));
  }
  longS(): Long {
    return new Long(this.c, this.c.b.pure('i64.extend_i32_s', this.v));
  }
}

/** An i64 value of the function being written. Shift counts may be given as i32 and count modulo 64. */
export class Long {
  constructor(
    readonly c: Code,
    readonly v: Value,
  ) {}
  private op(name: OpName, y: L): Long {
    return new Long(this.c, this.c.b.pure(name, this.v, this.c.l(y).v));
  }
  private compare(name: OpName, y: L): Int {
    return new Int(this.c, this.c.b.pure(name, this.v, this.c.l(y).v));
  }
  private shift(name: OpName, y: I): Long {
    const count = typeof y === 'number' ? this.c.l(BigInt(y)) : y.long();
    return new Long(this.c, this.c.b.pure(name, this.v, count.v));
  }
  add(y: L): Long {
    return this.op('i64.add', y);
  }
  sub(y: L): Long {
    return this.op('i64.sub', y);
  }
  mul(y: L): Long {
    return this.op('i64.mul', y);
  }
  and(y: L): Long {
    return this.op('i64.and', y);
  }
  or(y: L): Long {
    return this.op('i64.or', y);
  }
  xor(y: L): Long {
    return this.op('i64.xor', y);
  }
  divU(y: L): Long {
    return this.op('i64.div_u', y);
  }
  remU(y: L): Long {
    return this.op('i64.rem_u', y);
  }
  shl(y: I): Long {
    return this.shift('i64.shl', y);
  }
  shr(y: I): Long {
    return this.shift('i64.shr_u', y);
  }
  sar(y: I): Long {
    return this.shift('i64.shr_s', y);
  }
  eq(y: L): Int {
    return this.compare('i64.eq', y);
  }
  ne(y: L): Int {
    return this.compare('i64.ne', y);
  }
  ltU(y: L): Int {
    return this.compare('i64.lt_u', y);
  }
  leU(y: L): Int {
    return this.compare('i64.le_u', y);
  }
  gtU(y: L): Int {
    return this.c.l(y).compare('i64.lt_u', this);
  }
  geU(y: L): Int {
    return this.c.l(y).compare('i64.le_u', this);
  }
  /** As a signed number. */
  lt(y: L): Int {
    return this.compare('i64.lt_s', y);
  }
  not(): Int {
    return new Int(this.c, this.c.b.pure('i64.eqz', this.v));
  }
  clz(): Int {
    return new Long(this.c, this.c.b.pure('i64.clz', this.v)).int();
  }
  ctz(): Int {
    return new Long(this.c, this.c.b.pure('i64.ctz', this.v)).int();
  }
  /** The low 32 bits. */
  int(): Int {
    return new Int(this.c, this.c.b.pure('i32.wrap_i64', this.v));
  }
  /** 1n if not zero: the sticky bit of what was shifted out. */
  sticky(): Long {
    return this.ne(0n).long();
  }
  negate(): Long {
    return this.c.l(0n).sub(this);
  }
}

/** A variable: the merge point of values from inside `if` and `loop`. */
export class IntVar {
  constructor(
    readonly c: Code,
    readonly n: number,
  ) {}
  get(): Int {
    return new Int(this.c, this.c.b.varGet(this.n));
  }
  set(x: I): void {
    this.c.b.varSet(this.n, this.c.i(x).v);
  }
}

export class LongVar {
  constructor(
    readonly c: Code,
    readonly n: number,
  ) {}
  get(): Long {
    return new Long(this.c, this.c.b.varGet(this.n));
  }
  set(x: L): void {
    this.c.b.varSet(this.n, this.c.l(x).v);
  }
}

/** A 128-bit number, high and low half. */
export interface Wide {
  readonly hi: Long;
  readonly lo: Long;
}

export class Code {
  constructor(readonly b: Builder) {}

  i(x: I): Int {
    return typeof x === 'number' ? new Int(this, this.b.const32(x)) : x;
  }
  l(x: L): Long {
    return typeof x === 'bigint' ? new Long(this, this.b.const64(x)) : x;
  }
  intVar(initial: I): IntVar {
    const v = new IntVar(this, this.b.newVar('i32'));
    v.set(initial);
    return v;
  }
  longVar(initial: L): LongVar {
    const v = new LongVar(this, this.b.newVar('i64'));
    v.set(initial);
    return v;
  }
  get(slot: number): Int {
    return new Int(this, this.b.get32(slot));
  }
  put(slot: number, x: I): void {
    this.b.put32(slot, this.i(x).v);
  }
  getLong(slot: number): Long {
    return new Long(this, this.b.get64(slot));
  }
  putLong(slot: number, x: L): void {
    this.b.put64(slot, this.l(x).v);
  }
  /** Reads the CPU state at a computed byte offset. */
  peek16(address: Int, offset = 0): Int {
    return new Int(this, this.b.peek16(address.v, offset));
  }
  peekLong(address: Int, offset = 0): Long {
    return new Long(this, this.b.peek64(address.v, offset));
  }
  poke(address: Int, x: Int, offset = 0): void {
    this.b.poke32(address.v, x.v, offset);
  }
  pokeLong(address: Int, x: Long, offset = 0): void {
    this.b.poke64(address.v, x.v, offset);
  }
  if(condition: Int, then: () => void, otherwise?: () => void): void {
    this.b.if(condition.v, then, otherwise);
  }
  /** Runs `body` until the condition it returns is zero. */
  loop(body: () => Int): void {
    this.b.loopWhile(() => body().v);
  }
  return(x?: Int | Long | number | bigint): void {
    if (x === undefined) this.b.return();
    else this.b.return(typeof x === 'number' ? this.i(x).v : typeof x === 'bigint' ? this.l(x).v : x.v);
  }
  private values(args: readonly (Int | Long | number | bigint)[]): Value[] {
    return args.map((x) => (typeof x === 'number' ? this.i(x).v : typeof x === 'bigint' ? this.l(x).v : x.v));
  }
  /** Calls a function that returns i32. */
  call(f: CallTarget, ...args: (Int | Long | number | bigint)[]): Int {
    return new Int(this, this.b.call(f, ...this.values(args)));
  }
  /** Calls a function that returns i64. */
  callLong(f: CallTarget, ...args: (Int | Long | number | bigint)[]): Long {
    return new Long(this, this.b.call(f, ...this.values(args)));
  }

  /** Shifts right by 0 .. 127, keeping what falls out as a sticky lowest bit. */
  shiftRightSticky(x: Wide, count: Int): Wide {
    const hi = this.longVar(x.hi);
    const lo = this.longVar(x.lo);
    this.if(count.ltU(64), () => {
      this.if(count.ne(0), () => {
        const up = this.i(64).sub(count);
        lo.set(x.hi.shl(up).or(x.lo.shr(count)).or(x.lo.shl(up).sticky()));
        hi.set(x.hi.shr(count));
      });
    });
    this.if(count.ltU(64).not(), () => {
      // The count modulo 64 stands in the shifts; at 64 itself nothing of the high half is lost.
      const lost = count.eq(64).pickLong(0n, x.hi.shl(this.i(128).sub(count)));
      lo.set(x.hi.shr(count).or(lost.or(x.lo).sticky()));
      hi.set(0n);
    });
    return { hi: hi.get(), lo: lo.get() };
  }
  /** Shifts left by 0 .. 63. */
  shiftLeft(x: Wide, count: Int): Wide {
    const carry = x.lo.shr(1).shr(count.xor(63));
    return { hi: x.hi.shl(count).or(carry), lo: x.lo.shl(count) };
  }
  addWide(x: Wide, y: Wide): Wide {
    const lo = x.lo.add(y.lo);
    return { hi: x.hi.add(y.hi).add(lo.ltU(x.lo).long()), lo };
  }
  subWide(x: Wide, y: Wide): Wide {
    return { hi: x.hi.sub(y.hi).sub(x.lo.ltU(y.lo).long()), lo: x.lo.sub(y.lo) };
  }
}

type Argument<T> = T extends 'i32' ? Int : Long;

/** Defines an out-of-line function that cannot raise. */
export function fn<const P extends readonly Type[]>(
  name: string,
  params: P,
  result: Type | 'void',
  body: (c: Code, ...args: { [K in keyof P]: Argument<P[K]> }) => void,
): IrFunction {
  return defineFunction(name, params, result, false, (b, ...values) => {
    const c = new Code(b);
    const args = values.map((v, k) => (params[k] === 'i32' ? new Int(c, v) : new Long(c, v)));
    body(c, ...(args as unknown as { [K in keyof P]: Argument<P[K]> }));
  });
}

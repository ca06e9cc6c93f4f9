/**
 * Status flags: how instructions leave them in FLAG_RESULT and FLAG_AUX, and how conditions read them
 * (see `cpu-state.ts` for the bits). Remembers the last compare or logical operation, so that a condition that follows it
 * in the same builder becomes one comparison.
 */
import type { Value } from '../../ir/ir.js';
import { FLAG_AUX, FLAG_RESULT } from '../cpu-state.js';
import type { Lifter, Size } from './context.js';

/** CF, CF ^ OF and AF of a 32-bit carry vector; the other bits of FLAG_AUX correct SF and PF. */
const AUX_MASK = 0xc0000008;

type Known =
  | { readonly kind: 'sub'; readonly a: Value; readonly b: Value; readonly size: Size }
  | { readonly kind: 'logic' }
  /** Only the result is known; `clean`: FLAG_AUX corrects neither its sign nor its parity. */
  | { readonly kind: 'result'; readonly clean: boolean };

export class Flags {
  private known: Known | undefined;
  private result: Value | undefined;
  /** Number of ops when `known` was noted; later writers of the flag slots make it void. */
  private at = 0;

  constructor(private readonly x: Lifter) {}

  private note(known: Known | undefined, result: Value): void {
    this.known = known;
    this.result = result;
    this.at = this.x.b.ops.length;
  }
  /** The last flag-setting operation, unless the flags were written since, or it stands in a structure that is closed. */
  private current(): Known | undefined {
    if (this.known === undefined) return undefined;
    const ops = this.x.b.ops;
    for (let n = this.at; n < ops.length; n++) {
      const { name, imm } = ops[n]!;
      const writes = name === 'put32' && (imm === FLAG_RESULT || imm === FLAG_AUX);
      if (writes || name === 'call' || name === 'end') {
        this.known = undefined;
        return undefined;
      }
    }
    this.at = ops.length;
    return this.known;
  }

  /** Sets the two slots as they are; `result` is sign-extended already. `clean`: bits 0 and 8..15 of `aux` are 0. */
  set(result: Value, aux: Value, clean = false): void {
    this.x.b.put32(FLAG_RESULT, result);
    this.x.b.put32(FLAG_AUX, aux);
    this.note({ kind: 'result', clean }, result);
  }
  /** Changes FLAG_AUX alone. */
  setAux(aux: Value): void {
    this.x.b.put32(FLAG_AUX, aux);
    this.known = undefined;
  }
  oldResult(): Value {
    return this.x.b.get32(FLAG_RESULT);
  }
  oldAux(): Value {
    return this.x.b.get32(FLAG_AUX);
  }

  private vectorToAux(v: Value, size: Size): Value {
    const x = this.x;
    if (size === 4) return x.andC(v, AUX_MASK);
    return x.or(x.shlC(v, size === 1 ? 24 : 16), x.andC(v, 8));
  }
  /** After r = a + b (+ carry). Carry out of every bit: a + b carries where r - b borrows. */
  add(a: Value, b: Value, r: Value, size: Size): void {
    const x = this.x;
    const carries = x.xor(a, x.and(x.xor(r, b), x.xor(a, b)));
    this.set(x.sext(r, size), this.vectorToAux(carries, size), true);
  }
  /** After r = a - b (- borrow), where no condition will look at the operands. */
  subtract(a: Value, b: Value, r: Value, size: Size): void {
    const x = this.x;
    const borrows = x.xor(r, x.and(x.xor(a, b), x.xor(b, r)));
    this.set(x.sext(r, size), this.vectorToAux(borrows, size), true);
  }
  /** After r = a - b without borrow: remembered for conditions. */
  compare(a: Value, b: Value, r: Value, size: Size): void {
    const signed = this.x.sext(r, size);
    this.subtract(a, b, signed, size);
    this.note({ kind: 'sub', a, b, size }, signed);
  }
  /** After a logical operation: CF, OF and AF clear. */
  logic(r: Value, size: Size): void {
    const signed = this.x.sext(r, size);
    this.set(signed, this.x.c(0));
    this.note({ kind: 'logic' }, signed);
  }
  /** After inc (r = a + 1) or dec (r = a - 1): CF stays. */
  step(a: Value, r: Value, size: Size, up: boolean): void {
    const x = this.x;
    // Carries of a + 1: where a has a one that the result has not; borrows of a - 1 the other way round.
    const vector = x.and(up ? a : r, x.xor(a, r));
    const narrow = size === 4 ? vector : this.vectorToAux(vector, size);
    const aux = this.withCarry(narrow, this.oldAux());
    this.set(x.sext(r, size), size === 4 ? x.andC(aux, AUX_MASK) : aux, true);
  }
  /** FLAG_AUX with CF changed to bit 31 of `bit31`: flipping both top bits leaves their xor, OF. */
  private withCarry(aux: Value, bit31: Value): Value {
    const x = this.x;
    return x.xor(aux, x.andC(x.sarC(x.xor(aux, bit31), 31), 0xc0000000));
  }
  /** Changes CF to bit 31 of a value; the other flags stay. */
  setCarry(bit31: Value): void {
    this.setAux(this.withCarry(this.oldAux(), bit31));
  }
  /** Changes ZF to a condition (0 or 1); the other flags stay. */
  setZero(zero: Value): void {
    const x = this.x;
    const result = this.oldResult();
    const aux = this.oldAux();
    const newResult = x.xorC(zero, 1);
    const sign = x.andC(x.xor(x.shrC(result, 31), aux), 1);
    const parityByte = x.andC(x.xor(x.xor(x.shlC(result, 8), aux), x.shlC(newResult, 8)), 0xff00);
    this.set(newResult, x.or(x.or(x.andC(aux, AUX_MASK), sign), parityByte));
  }

  /** Bit 31 is CF. */
  carrySign(): Value {
    return this.oldAux();
  }
  /** CF as 0 or 1. */
  carry(): Value {
    return this.x.shrC(this.oldAux(), 31);
  }
  /** ZF as 0 or 1. */
  zero(): Value {
    return this.condition(4);
  }

  /** Condition code 0..15 (Intel SDM vol. 1, appendix B) as 0 or 1. */
  condition(cc: number): Value {
    const known = this.current();
    const fused = known && this.fused(known, cc);
    if (fused !== undefined) return fused;
    return this.general(cc);
  }

  private fused(known: Known, cc: number): Value | undefined {
    const x = this.x;
    const pure =
      (name: 'i32.eq' | 'i32.ne' | 'i32.lt_u' | 'i32.le_u' | 'i32.lt_s' | 'i32.le_s') =>
      (p: Value, q: Value) =>
        x.op(name, p, q);
    const result = this.result!;
    if (known.kind === 'result') {
      if (cc >> 1 === 2) return cc & 1 ? pure('i32.ne')(result, x.c(0)) : x.eqz(result);
      if (cc >> 1 !== 4 || !known.clean) return undefined;
      return cc & 1 ? pure('i32.le_s')(x.c(0), result) : pure('i32.lt_s')(result, x.c(0));
    }
    if (known.kind === 'logic') {
      switch (cc) {
        case 0x0: // o
        case 0x2: // b
          return x.c(0);
        case 0x1: // no
        case 0x3: // ae
          return x.c(1);
        case 0x4: // z
        case 0x6: // be
          return x.eqz(result);
        case 0x5: // nz
        case 0x7: // a
          return pure('i32.ne')(result, x.c(0));
        case 0x8: // s
        case 0xc: // l
          return pure('i32.lt_s')(result, x.c(0));
        case 0x9: // ns
        case 0xd: // ge
          return pure('i32.le_s')(x.c(0), result);
        case 0xe: // le
          return pure('i32.le_s')(result, x.c(0));
        case 0xf: // g
          return pure('i32.lt_s')(x.c(0), result);
        default:
          return undefined;
      }
    }
    const { a, b, size } = known;
    const unsigned = (name: 'i32.lt_u' | 'i32.le_u', swap: boolean) => {
      const p = x.zext(a, size);
      const q = x.zext(b, size);
      return swap ? pure(name)(q, p) : pure(name)(p, q);
    };
    const signed = (name: 'i32.lt_s' | 'i32.le_s', swap: boolean) => {
      const p = x.sext(a, size);
      const q = x.sext(b, size);
      return swap ? pure(name)(q, p) : pure(name)(p, q);
    };
    switch (cc) {
      case 0x2:
        return unsigned('i32.lt_u', false);
      case 0x3:
        return unsigned('i32.le_u', true);
      case 0x4:
        return size === 4 ? pure('i32.eq')(a, b) : x.eqz(result);
      case 0x5:
        return size === 4 ? pure('i32.ne')(a, b) : pure('i32.ne')(result, x.c(0));
      case 0x6:
        return unsigned('i32.le_u', false);
      case 0x7:
        return unsigned('i32.lt_u', true);
      case 0x8:
        return pure('i32.lt_s')(result, x.c(0));
      case 0x9:
        return pure('i32.le_s')(x.c(0), result);
      case 0xc:
        return signed('i32.lt_s', false);
      case 0xd:
        return signed('i32.le_s', true);
      case 0xe:
        return signed('i32.le_s', false);
      case 0xf:
        return signed('i32.lt_s', true);
      default:
        return undefined;
    }
  }

  private general(cc: number): Value {
    const x = this.x;
    const negated = (cc & 1) === 1;
    /** Sign bit set (or clear, for the odd conditions). */
    const negative = (v: Value) => (negated ? x.op('i32.le_s', x.c(0), v) : x.op('i32.lt_s', v, x.c(0)));
    const not = (v: Value) => (negated ? x.eqz(v) : v);
    const zero = () => x.eqz(this.oldResult());
    switch (cc >> 1) {
      case 0: {
        const aux = this.oldAux();
        return negative(x.xor(aux, x.shlC(aux, 1)));
      }
      case 1:
        return negative(this.oldAux());
      case 2:
        return negated ? x.op('i32.ne', this.oldResult(), x.c(0)) : zero();
      case 3:
        return not(x.or(x.op('i32.lt_s', this.oldAux(), x.c(0)), zero()));
      case 4:
        return negative(x.xor(this.oldResult(), x.shlC(this.oldAux(), 31)));
      case 5: {
        const byte = x.andC(x.xor(this.oldResult(), x.shrC(this.oldAux(), 8)), 0xff);
        const odd = x.andC(x.b.pure('i32.popcnt', byte), 1);
        return negated ? odd : x.xorC(odd, 1);
      }
      case 6:
        return negative(this.signXorOverflow());
      default:
        return not(x.or(x.op('i32.lt_s', this.signXorOverflow(), x.c(0)), zero()));
    }
  }
  /** Bit 31 is SF xor OF. */
  private signXorOverflow(): Value {
    const x = this.x;
    const aux = this.oldAux();
    const overflow = x.xor(aux, x.shlC(aux, 1));
    return x.xor(x.xor(this.oldResult(), x.shlC(aux, 31)), overflow);
  }
}

/**
 * Multiplication and division. The flags that the manual leaves undefined: after a multiplication SF, ZF and PF are those
 * of the low half and AF is clear; a division changes none.
 */
import type { Value } from '../../ir/ir.js';
import { EAX, EDX } from '../cpu-state.js';
import type { Instruction } from '../instruction.js';
import { sizeOf, type Lift, type Lifter, type LiftTable, type Size } from './context.js';
import { VECTOR } from '../vectors.js';

/** CF = OF = overflow (0 or 1). */
function productFlags(x: Lifter, low: Value, overflow: Value, size: Size): void {
  x.flags.set(x.sext(low, size), x.shlC(overflow, 31));
}

function extend64(x: Lifter, v: Value, signed: boolean): Value {
  return x.b.pure(signed ? 'i64.extend_i32_s' : 'i64.extend_i32_u', v);
}
function high32(x: Lifter, v: Value): Value {
  return x.b.pure('i32.wrap_i64', x.b.pure('i64.shr_u', v, x.b.const64(32n)));
}

/** al, ax or eax times the operand, to ax, dx:ax or edx:eax. */
function multiplyAccumulator(signed: boolean): Lift {
  return (x, i) => {
    const o = i.operands[0]!;
    const size = sizeOf(o);
    const from = x.read(o);
    const acc = x.getReg(EAX, size);
    if (size === 4) {
      const product = x.b.pure('i64.mul', extend64(x, acc, signed), extend64(x, from, signed));
      const low = x.b.pure('i32.wrap_i64', product);
      const high = high32(x, product);
      x.b.put32(EAX, low);
      x.b.put32(EDX, high);
      const fill = signed ? x.sarC(low, 31) : x.c(0);
      productFlags(x, low, x.op('i32.ne', high, fill), size);
      return;
    }
    const p = signed ? x.sext(acc, size) : acc;
    const q = signed ? x.sext(from, size) : from;
    const product = x.op('i32.mul', p, q);
    if (size === 1) {
      x.b.put16(EAX, product);
    } else {
      x.b.put16(EAX, product);
      x.b.put16(EDX, x.shrC(product, 16));
    }
    const fits = signed ? x.sext(product, size) : x.zext(product, size);
    productFlags(x, product, x.op('i32.ne', fits, product), size);
  };
}

/** Two or three operands: the low half goes to a register; CF = OF = the product does not fit. */
function multiply(x: Lifter, i: Instruction): void {
  const to = i.operands[0]!;
  const size = sizeOf(to);
  const [p, q] = i.operands.length === 3 ? [1, 2] : [0, 1];
  const a = x.sext(x.read(i.operands[p]!), size);
  const b = x.sext(x.read(i.operands[q]!), size);
  const low = x.op('i32.mul', a, b);
  x.write(to, low);
  if (size === 4) {
    const product = x.b.pure('i64.mul', extend64(x, a, true), extend64(x, b, true));
    const overflow = x.b.pure('i64.ne', product, extend64(x, low, true));
    productFlags(x, low, overflow, size);
  } else {
    productFlags(x, low, x.op('i32.ne', x.sext(low, size), low), size);
  }
}

const multiplySigned = multiplyAccumulator(true);
function imul(x: Lifter, i: Instruction): void {
  if (i.operands.length === 1) multiplySigned(x, i);
  else multiply(x, i);
}

function div(x: Lifter, i: Instruction): void {
  const o = i.operands[0]!;
  const size = sizeOf(o);
  const divisor = x.read(o);
  x.raiseIf(x.eqz(divisor), VECTOR.DE);
  if (size === 4) {
    const b = x.b;
    const high = b.get32(EDX);
    // The quotient fits exactly if the dividend's upper half is below the divisor.
    x.raiseIf(x.leU(divisor, high), VECTOR.DE);
    const upper = b.pure('i64.shl', extend64(x, high, false), b.const64(32n));
    const dividend = b.pure('i64.or', upper, extend64(x, b.get32(EAX), false));
    const wide = extend64(x, divisor, false);
    const quotient = b.pure('i64.div_u', dividend, wide);
    const remainder = b.pure('i64.rem_u', dividend, wide);
    b.put32(EAX, b.pure('i32.wrap_i64', quotient));
    b.put32(EDX, b.pure('i32.wrap_i64', remainder));
    return;
  }
  const dividend = size === 1 ? x.b.get16(EAX) : x.or(x.shlC(x.b.get16(EDX), 16), x.b.get16(EAX));
  const quotient = x.op('i32.div_u', dividend, divisor);
  x.raiseIf(x.shrC(quotient, 8 * size), VECTOR.DE);
  putQuotient(x, size, quotient, x.op('i32.rem_u', dividend, divisor));
}

function putQuotient(x: Lifter, size: Size, quotient: Value, remainder: Value): void {
  if (size === 1) {
    x.b.put8(EAX, quotient);
    x.b.put8(EAX + 1, remainder);
  } else {
    x.b.put16(EAX, quotient);
    x.b.put16(EDX, remainder);
  }
}

function idiv(x: Lifter, i: Instruction): void {
  const o = i.operands[0]!;
  const size = sizeOf(o);
  const b = x.b;
  const divisor = x.sext(x.read(o), size);
  x.raiseIf(x.eqz(divisor), VECTOR.DE);
  if (size === 4) {
    const upper = b.pure('i64.shl', extend64(x, b.get32(EDX), false), b.const64(32n));
    const dividend = b.pure('i64.or', upper, extend64(x, b.get32(EAX), false));
    const wide = extend64(x, divisor, true);
    // The one 64-bit quotient that does not exist; it would not fit 32 bits either.
    const lowest = b.pure('i64.eq', dividend, b.const64(1n << 63n));
    x.raiseIf(x.and(x.eqC(divisor, -1), lowest), VECTOR.DE);
    const quotient = b.pure('i64.div_s', dividend, wide);
    const low = b.pure('i32.wrap_i64', quotient);
    x.raiseIf(b.pure('i64.ne', quotient, extend64(x, low, true)), VECTOR.DE);
    const remainder = b.pure('i64.rem_s', dividend, wide);
    b.put32(EAX, low);
    b.put32(EDX, b.pure('i32.wrap_i64', remainder));
    return;
  }
  if (size === 1) {
    const dividend = x.sext(b.get16(EAX), 2);
    const quotient = x.op('i32.div_s', dividend, divisor);
    x.raiseIf(x.op('i32.ne', x.sext(quotient, 1), quotient), VECTOR.DE);
    putQuotient(x, 1, quotient, x.op('i32.rem_s', dividend, divisor));
    return;
  }
  const dividend = x.or(x.shlC(b.get16(EDX), 16), b.get16(EAX));
  x.raiseIf(x.and(x.eqC(divisor, -1), x.eqC(dividend, -0x80000000)), VECTOR.DE);
  const quotient = x.op('i32.div_s', dividend, divisor);
  x.raiseIf(x.op('i32.ne', x.sext(quotient, 2), quotient), VECTOR.DE);
  putQuotient(x, 2, quotient, x.op('i32.rem_s', dividend, divisor));
}

export const MULDIV: LiftTable = { mul: multiplyAccumulator(false), imul, div, idiv };

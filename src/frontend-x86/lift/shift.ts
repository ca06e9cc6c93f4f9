/**
 * Shifts and rotates (Intel SDM vol. 2, SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR, SHLD, SHRD). The count is taken modulo 32;
 * a count of 0 changes no flag. FLAG_AUX bit 31 is CF, bit 30 is CF xor OF; OF, defined for a count of 1 only, is
 * what the same formula gives for the others.
 */
import type { Value } from '../../ir/ir.js';
import type { InstructionOperand } from '../instruction.js';
import { sizeOf, type Lift, type Lifter, type LiftTable, type Size } from './context.js';

const TOP = 0xc0000000;
const SECOND = 0x40000000;

/** The count as a value, and as a number if it is one. */
interface Count {
  readonly value: Value;
  readonly known: number | undefined;
}

function countOf(x: Lifter, o: InstructionOperand | undefined): Count {
  if (o === undefined) return { value: x.c(1), known: 1 };
  if (o.kind === 'imm' && typeof o.value === 'number') {
    const known = o.value & 31;
    return { value: x.c(known), known };
  }
  return { value: x.andC(x.read(o), 31), known: undefined };
}
/** The count less one, for the last bit shifted out. Meaningless for 0. */
function lessOne(x: Lifter, n: Count): Value {
  return n.known === undefined ? x.subC(n.value, 1) : x.c((n.known - 1) & 31);
}

/** A narrow value moved to the top of 32 bits. */
function raise(x: Lifter, v: Value, size: Size): Value {
  return x.shlC(v, 32 - 8 * size);
}
/** Bit 0 to bit 31. */
function carryFromBit0(x: Lifter, v: Value): Value {
  return x.shlC(v, 31);
}

/** Sets result and carries, unless the count is 0. */
function setAll(x: Lifter, n: Count, r: Value, aux: Value, size: Size): void {
  const result = x.sext(r, size);
  if (n.known !== undefined) {
    x.flags.set(result, aux);
  } else {
    const oldResult = x.flags.oldResult();
    const oldAux = x.flags.oldAux();
    x.flags.set(x.select(n.value, result, oldResult), x.select(n.value, aux, oldAux));
  }
}
/** Sets CF and OF from the two top bits, unless the count is 0. */
function setTop(x: Lifter, n: Count, top: Value): void {
  const old = x.flags.oldAux();
  const aux = x.or(x.andC(old, ~TOP), top);
  x.flags.setAux(n.known === undefined ? x.select(n.value, aux, old) : aux);
}

type Formula = (x: Lifter, a: Value, n: Count, size: Size) => { r: Value; aux: Value };

const shl: Formula = (x, a, n, size) => ({
  r: x.shl(a, n.value),
  // Bit 30 is the result's sign.
  aux: x.andC(x.shl(raise(x, a, size), lessOne(x, n)), TOP),
});

const shr: Formula = (x, a, n, size) => {
  const r = x.shr(a, n.value);
  const carry = x.sarC(carryFromBit0(x, x.shr(a, lessOne(x, n))), 1);
  // For a count of 1, OF is the old sign: the result's bit below its sign.
  return { r, aux: x.xor(carry, x.andC(raise(x, r, size), SECOND)) };
};

const sar: Formula = (x, a, n, size) => {
  const signed = x.sext(a, size);
  return {
    r: x.sar(signed, n.value),
    aux: x.sarC(carryFromBit0(x, x.sar(signed, lessOne(x, n))), 1),
  };
};

function shift(formula: Formula): Lift {
  return (x, i) => {
    const to = i.operands[0]!;
    const size = sizeOf(to);
    const n = countOf(x, i.operands[1]);
    const place = x.place(to);
    if (n.known === 0) return;
    const { r, aux } = formula(x, place.value, n, size);
    place.write(r);
    setAll(x, n, r, aux, size);
  };
}

/** The value repeated over 32 bits, so that rotating those rotates it. */
function repeated(x: Lifter, v: Value, size: Size): Value {
  if (size === 4) return v;
  return x.op('i32.mul', v, x.c(size === 2 ? 0x10001 : 0x1010101));
}

function rotate(left: boolean): Lift {
  return (x, i) => {
    const to = i.operands[0]!;
    const size = sizeOf(to);
    const n = countOf(x, i.operands[1]);
    const place = x.place(to);
    if (n.known === 0) return;
    const r = x.op(left ? 'i32.rotl' : 'i32.rotr', repeated(x, place.value, size), n.value);
    place.write(r);
    // Repeated, the value's sign also stands in bit 31.
    if (left) {
      setTop(x, n, x.or(carryFromBit0(x, r), x.andC(x.shrC(r, 1), SECOND)));
    } else {
      setTop(x, n, x.andC(r, TOP));
    }
  };
}

/** Rotates by one through CF, 32 bits: the step of multi-word shifts. */
function rotateCarryOnce(x: Lifter, a: Value, left: boolean): { r: Value; top: Value } {
  const carry = x.flags.oldAux();
  if (left) {
    const r = x.or(x.shlC(a, 1), x.shrC(carry, 31));
    return { r, top: x.andC(a, TOP) };
  }
  const r = x.or(x.shrC(a, 1), x.andC(carry, -0x80000000));
  return { r, top: carryTop(x, carryFromBit0(x, a), r) };
}
/** CF in bit 31, and OF = the xor of the two top bits of `r`. */
function carryTop(x: Lifter, carry: Value, r: Value): Value {
  const overflow = x.andC(x.shrC(x.xor(r, x.shlC(r, 1)), 1), SECOND);
  return x.xor(x.sarC(carry, 1), overflow);
}

function rotateCarry(left: boolean): Lift {
  return (x, i) => {
    const to = i.operands[0]!;
    const size = sizeOf(to);
    const n = countOf(x, i.operands[1]);
    const place = x.place(to);
    if (n.known === 0) return;
    if (size === 4 && n.known === 1) {
      const { r, top } = rotateCarryOnce(x, place.value, left);
      place.write(r);
      setTop(x, n, top);
      return;
    }
    const { r, carry } =
      size === 4 ? rotate33(x, place.value, n.value, left) : rotateNarrow(x, place.value, n, size, left);
    place.write(r);
    const raised = raise(x, r, size);
    const top = left ? x.or(carry, x.andC(x.shrC(raised, 1), SECOND)) : carryTop(x, carry, raised);
    setTop(x, n, top);
  };
}
/** 33 bits: CF above the value. `carry` has the new CF in bit 31 and nothing else. */
function rotate33(x: Lifter, a: Value, n: Value, left: boolean) {
  const b = x.b;
  const wide = b.pure('i64.extend_i32_u', a);
  const carryBit = b.pure('i64.extend_i32_u', x.flags.carry());
  const all = b.pure('i64.or', wide, b.pure('i64.shl', carryBit, b.const64(32n)));
  const count = b.pure('i64.extend_i32_u', n);
  const rest = b.pure('i64.sub', b.const64(33n), count);
  const [up, down] = left ? [count, rest] : [rest, count];
  const turned = b.pure('i64.or', b.pure('i64.shl', all, up), b.pure('i64.shr_u', all, down));
  const above = b.pure('i32.wrap_i64', b.pure('i64.shr_u', turned, b.const64(32n)));
  return { r: b.pure('i32.wrap_i64', turned), carry: carryFromBit0(x, above) };
}
/** 9 or 17 bits, the count modulo that. */
function rotateNarrow(x: Lifter, a: Value, n: Count, size: Size, left: boolean) {
  const bits = 8 * size;
  const all = x.or(a, x.shlC(x.flags.carry(), bits));
  const count = n.known === undefined ? x.op('i32.rem_u', n.value, x.c(bits + 1)) : x.c(n.known % (bits + 1));
  const rest = x.sub(x.c(bits + 1), count);
  const [up, down] = left ? [count, rest] : [rest, count];
  const turned = x.or(x.shl(all, up), x.shr(all, down));
  return { r: turned, carry: carryFromBit0(x, x.shrC(turned, bits)) };
}

function doubleShift(left: boolean): Lift {
  return (x, i) => {
    const to = i.operands[0]!;
    const size = sizeOf(to);
    const n = countOf(x, i.operands[2]);
    const from = x.read(i.operands[1]!);
    const place = x.place(to);
    if (n.known === 0) return;
    const { r, aux } = (size === 4 ? doubleShift32 : doubleShift16)(x, place.value, from, n, left);
    place.write(r);
    setAll(x, n, r, aux, size);
  };
}
function doubleShift32(x: Lifter, a: Value, from: Value, n: Count, left: boolean) {
  // 32 - n in two steps, since a shift by 32 would be one by 0.
  const other = n.known === undefined ? x.op('i32.xor', n.value, x.c(31)) : x.c((n.known ^ 31) & 31);
  if (left) {
    const r = x.or(x.shl(a, n.value), x.shr(x.shrC(from, 1), other));
    return { r, aux: x.andC(x.shl(a, lessOne(x, n)), TOP) };
  }
  const r = x.or(x.shr(a, n.value), x.shl(x.shlC(from, 1), other));
  return { r, aux: carryTop(x, carryFromBit0(x, x.shr(a, lessOne(x, n))), r) };
}
/** Counts above 16, undefined by the manual, rotate the 32 bits of both operands. */
function doubleShift16(x: Lifter, a: Value, from: Value, n: Count, left: boolean) {
  if (left) {
    const turned = x.op('i32.rotl', x.or(x.shlC(a, 16), from), n.value);
    const aux = x.or(carryFromBit0(x, turned), x.andC(x.shrC(turned, 1), SECOND));
    return { r: x.shrC(turned, 16), aux };
  }
  const turned = x.op('i32.rotr', x.or(a, x.shlC(from, 16)), n.value);
  const carry = x.andC(turned, -0x80000000);
  return { r: turned, aux: carryTop(x, carry, x.shlC(turned, 16)) };
}

export const SHIFT: LiftTable = {
  shl: shift(shl),
  sal: shift(shl),
  shr: shift(shr),
  sar: shift(sar),
  rol: rotate(true),
  ror: rotate(false),
  rcl: rotateCarry(true),
  rcr: rotateCarry(false),
  shld: doubleShift(true),
  shrd: doubleShift(false),
};

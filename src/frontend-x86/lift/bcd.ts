/** Decimal adjustments (Intel SDM vol. 2). Flags the manual leaves undefined: SF ZF PF of al, the others clear. */
import type { Value } from '../../ir/ir.js';
import { EAX } from '../cpu-state.js';
import type { Instruction } from '../instruction.js';
import { type Lift, type Lifter, type LiftTable } from './context.js';
import { VECTOR } from '../vectors.js';

/** 0 or 1: the low digit of al is above 9, or AF. */
function lowDigitAdjusts(x: Lifter, al: Value): Value {
  const adjust = x.andC(x.shrC(x.flags.oldAux(), 3), 1);
  return x.or(x.ltU(x.c(9), x.andC(al, 15)), adjust);
}
/** Flags of al, with CF and AF (0 or 1); OF clear. */
function setFlags(x: Lifter, al: Value, carry: Value, adjust: Value): void {
  const top = x.sarC(x.shlC(carry, 31), 1);
  x.flags.set(x.sext(al, 1), x.or(top, x.shlC(adjust, 3)));
}

function decimalAdjust(add: boolean): Lift {
  return (x) => {
    const al = x.b.get8(EAX);
    const low = lowDigitAdjusts(x, al);
    const high = x.or(x.ltU(x.c(0x99), al), x.flags.carry());
    const correction = x.add(x.op('i32.mul', low, x.c(6)), x.op('i32.mul', high, x.c(0x60)));
    const r = add ? x.add(al, correction) : x.sub(al, correction);
    x.b.put8(EAX, r);
    // das: a borrow of the low digit's correction counts too.
    const carry = add ? high : x.or(high, x.and(low, x.ltU(al, x.c(6))));
    setFlags(x, r, carry, low);
  };
}

function asciiAdjust(add: boolean): Lift {
  return (x) => {
    const ax = x.b.get16(EAX);
    const adjusts = lowDigitAdjusts(x, ax);
    const correction = x.op('i32.mul', adjusts, x.c(0x106));
    const r = x.andC(add ? x.add(ax, correction) : x.sub(ax, correction), 0xff0f);
    x.b.put16(EAX, r);
    setFlags(x, r, adjusts, adjusts);
  };
}

function base(x: Lifter, i: Instruction): Value {
  return x.andC(x.read(i.operands[0]!), 0xff);
}

function aam(x: Lifter, i: Instruction): void {
  const divisor = base(x, i);
  x.raiseIf(x.eqz(divisor), VECTOR.DE);
  const al = x.b.get8(EAX);
  const remainder = x.op('i32.rem_u', al, divisor);
  x.b.put8(EAX + 1, x.op('i32.div_u', al, divisor));
  x.b.put8(EAX, remainder);
  x.flags.logic(remainder, 1);
}

function aad(x: Lifter, i: Instruction): void {
  const product = x.op('i32.mul', x.b.get8(EAX + 1), base(x, i));
  const al = x.andC(x.add(x.b.get8(EAX), product), 0xff);
  x.b.put16(EAX, al);
  x.flags.logic(al, 1);
}

export const BCD: LiftTable = {
  daa: decimalAdjust(true),
  das: decimalAdjust(false),
  aaa: asciiAdjust(true),
  aas: asciiAdjust(false),
  aam,
  aad,
};

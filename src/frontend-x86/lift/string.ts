/**
 * String operations. With a repeat prefix the instruction does one iteration and goes to itself until the counter is 0
 * (or the condition fails), so that every iteration is an instruction of its own; the usual `rep movs` and `rep stos` do
 * many at once where memory allows (`functions-string.ts`).
 */
import type { Value } from '../../ir/ir.js';
import { DIRECTION, EAX, ECX, EDI, ES, ESI } from '../cpu-state.js';
import type { Instruction } from '../instruction.js';
import { type Lift, type Lifter, type LiftTable, type Size } from './context.js';
import { REP_MOVS, REP_STOS } from './functions-string.js';

/** Everything an iteration needs; `condition` of the repetition is ZF (0 or 1), undefined for movs, stos, lods. */
type Iteration = (x: Lifter, i: Instruction) => Value | undefined;

function source(x: Lifter, i: Instruction): Value {
  const offset = x.getReg(ESI, i.addressSize);
  if (i.flat) return offset;
  return x.segmented(x.b.operand(i.segment), offset, i.operandSize, false);
}
/** ES cannot be overridden. */
function destination(x: Lifter, i: Instruction, write: boolean): Value {
  const offset = x.getReg(EDI, i.addressSize);
  return i.flat ? offset : x.segmented(x.c(ES), offset, i.operandSize, write);
}
function advance(x: Lifter, i: Instruction, ...slots: number[]): void {
  const step = x.shlC(x.b.get32(DIRECTION), Math.log2(i.operandSize));
  for (const slot of slots) {
    x.putReg(slot, i.addressSize, x.add(x.getReg(slot, i.addressSize), step));
  }
}

const movs: Iteration = (x, i) => {
  const v = x.load(source(x, i), i.operandSize);
  x.store(destination(x, i, true), i.operandSize, v);
  advance(x, i, ESI, EDI);
  return undefined;
};
const stos: Iteration = (x, i) => {
  x.store(destination(x, i, true), i.operandSize, x.getReg(EAX, i.operandSize));
  advance(x, i, EDI);
  return undefined;
};
const lods: Iteration = (x, i) => {
  const v = x.load(source(x, i), i.operandSize);
  advance(x, i, ESI);
  x.putReg(EAX, i.operandSize, v);
  return undefined;
};
const cmps: Iteration = (x, i) => {
  const a = x.load(source(x, i), i.operandSize);
  const b = x.load(destination(x, i, false), i.operandSize);
  advance(x, i, ESI, EDI);
  x.flags.compare(a, b, x.sub(a, b), i.operandSize);
  return x.eq(a, b);
};
const scas: Iteration = (x, i) => {
  const a = x.getReg(EAX, i.operandSize);
  const b = x.load(destination(x, i, false), i.operandSize);
  advance(x, i, EDI);
  x.flags.compare(a, b, x.sub(a, b), i.operandSize);
  return x.eq(a, b);
};

function string(iteration: Iteration, bulk?: (size: Size) => (typeof REP_MOVS)[Size]): Lift {
  return (x, i) => {
    const b = x.b;
    if (i.rep === 'none') {
      iteration(x, i);
      return;
    }
    if (bulk && i.flat && i.addressSize === 4) {
      b.call(bulk(i.operandSize));
      b.branch(b.get32(ECX), 0, i.next);
      return;
    }
    const again = b.newVar('i32');
    b.varSet(again, x.c(0));
    const count = x.getReg(ECX, i.addressSize);
    b.if(count, () => {
      const equal = iteration(x, i);
      const left = x.zext(x.subC(count, 1), i.addressSize);
      x.putReg(ECX, i.addressSize, left);
      if (equal === undefined) {
        b.varSet(again, left);
      } else {
        const goesOn = i.rep === 'rep' ? equal : x.xorC(equal, 1);
        b.varSet(again, x.select(goesOn, left, x.c(0)));
      }
    });
    b.branch(b.varGet(again), 0, i.next);
  };
}

export const STRING: LiftTable = {
  movs: string(movs, (size) => REP_MOVS[size]),
  stos: string(stos, (size) => REP_STOS[size]),
  lods: string(lods),
  cmps: string(cmps),
  scas: string(scas),
};

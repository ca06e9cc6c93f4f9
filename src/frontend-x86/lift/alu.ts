/** Addition, subtraction, logic, comparison, increment, and direct changes of flags. */
import type { Value } from '../../ir/ir.js';
import { DIRECTION, EAX } from '../cpu-state.js';
import type { Instruction } from '../instruction.js';
import { STATUS_GET, STATUS_SET } from './functions-flags.js';
import { sizeOf, type Lift, type Lifter, type LiftTable } from './context.js';

/** The value of the second operand of a two-operand instruction whose first has been read: folds `xor r, r`, `test r, r`. */
function second(x: Lifter, i: Instruction, first: Value): Value {
  const [p, q] = i.operands;
  const same = p?.kind === 'reg' && q?.kind === 'reg' && typeof p.slot === 'number' && p.slot === q.slot;
  return same ? first : x.read(q!);
}

function add(x: Lifter, i: Instruction): void {
  const to = i.operands[0]!;
  const place = x.place(to);
  const b = second(x, i, place.value);
  const r = x.add(place.value, b);
  place.write(r);
  x.flags.add(place.value, b, r, sizeOf(to));
}

function adc(x: Lifter, i: Instruction): void {
  const to = i.operands[0]!;
  const place = x.place(to);
  const b = second(x, i, place.value);
  const r = x.add(x.add(place.value, b), x.flags.carry());
  place.write(r);
  x.flags.add(place.value, b, r, sizeOf(to));
}

function sub(x: Lifter, i: Instruction): void {
  const to = i.operands[0]!;
  const place = x.place(to);
  const b = second(x, i, place.value);
  const r = x.sub(place.value, b);
  place.write(r);
  x.flags.compare(place.value, b, r, sizeOf(to));
}

function sbb(x: Lifter, i: Instruction): void {
  const to = i.operands[0]!;
  const place = x.place(to);
  const b = second(x, i, place.value);
  const r = x.sub(x.sub(place.value, b), x.flags.carry());
  place.write(r);
  x.flags.subtract(place.value, b, r, sizeOf(to));
}

function cmp(x: Lifter, i: Instruction): void {
  const size = sizeOf(i.operands[0]!);
  const a = x.read(i.operands[0]!);
  const b = second(x, i, a);
  x.flags.compare(a, b, x.sub(a, b), size);
}

function logic(combine: (x: Lifter, p: Value, q: Value) => Value): Lift {
  return (x, i) => {
    const to = i.operands[0]!;
    const place = x.place(to);
    const b = second(x, i, place.value);
    const r = combine(x, place.value, b);
    place.write(r);
    x.flags.logic(r, sizeOf(to));
  };
}

function test(x: Lifter, i: Instruction): void {
  const size = sizeOf(i.operands[0]!);
  const a = x.read(i.operands[0]!);
  x.flags.logic(x.and(a, second(x, i, a)), size);
}

function step(up: boolean): Lift {
  return (x, i) => {
    const to = i.operands[0]!;
    const place = x.place(to);
    const r = up ? x.addC(place.value, 1) : x.subC(place.value, 1);
    place.write(r);
    x.flags.step(place.value, r, sizeOf(to), up);
  };
}

function neg(x: Lifter, i: Instruction): void {
  const to = i.operands[0]!;
  const place = x.place(to);
  const zero = x.c(0);
  const r = x.sub(zero, place.value);
  place.write(r);
  x.flags.compare(zero, place.value, r, sizeOf(to));
}

function not(x: Lifter, i: Instruction): void {
  const place = x.place(i.operands[0]!);
  place.write(x.xorC(place.value, -1));
}

function lahf(x: Lifter): void {
  x.b.put8(EAX + 1, x.b.call(STATUS_GET));
}

/** CF PF AF ZF SF from ah; OF stays. */
function sahf(x: Lifter): void {
  const overflow = x.andC(x.b.call(STATUS_GET), 0x800);
  x.b.call(STATUS_SET, x.or(x.b.get8(EAX + 1), overflow));
}

/** D6, undocumented: al = CF ? ff : 0. */
function salc(x: Lifter): void {
  x.b.put8(EAX, x.sarC(x.flags.carrySign(), 31));
}

export const ALU: LiftTable = {
  add,
  adc,
  sub,
  sbb,
  cmp,
  and: logic((x, p, q) => x.and(p, q)),
  or: logic((x, p, q) => x.or(p, q)),
  xor: logic((x, p, q) => x.xor(p, q)),
  test,
  inc: step(true),
  dec: step(false),
  neg,
  not,
  clc: (x) => x.flags.setCarry(x.c(0)),
  stc: (x) => x.flags.setCarry(x.c(-0x80000000)),
  cmc: (x) => x.flags.setAux(x.xorC(x.flags.oldAux(), 0xc0000000)),
  cld: (x) => x.b.put32(DIRECTION, x.c(1)),
  std: (x) => x.b.put32(DIRECTION, x.c(-1)),
  lahf,
  sahf,
  salc,
};

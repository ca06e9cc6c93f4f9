/** Jumps, calls, returns, loops, software interrupts, far transfers and iret. */
import type { Operand, Value } from '../../ir/ir.js';
import { CS, ECX, SELECTOR } from '../cpu-state.js';
import type { Instruction, InstructionOperand } from '../instruction.js';
import { LEAVE } from '../leave.js';
import { type Lifter, type LiftTable } from './context.js';
import { VECTOR } from '../vectors.js';
import { farPointer } from './far-pointer.js';
import { FAR_JUMP, IRET, farReturn } from './functions-far.js';
import { FAR_CODE_DESCRIPTOR } from './functions-segment.js';

function wide(i: Instruction): 2 | 4 {
  return i.operandSize === 2 ? 2 : 4;
}
/** With 16-bit operand size eip is truncated (Intel SDM vol. 2, Jcc, JMP, CALL). */
function truncate(x: Lifter, i: Instruction, eip: Value): Value {
  return i.operandSize === 2 ? x.andC(eip, 0xffff) : eip;
}

function relative(o: InstructionOperand | undefined): Operand {
  if (o?.kind !== 'rel') throw new TypeError('a relative target is wanted');
  return o.target;
}

/** Jumps to a relative target if the condition holds. */
function conditional(x: Lifter, i: Instruction, condition: Value): void {
  const target = relative(i.operands[0]);
  if (i.operandSize === 2) {
    const taken = x.andC(x.b.pcrel(target), 0xffff);
    x.b.jump(x.select(condition, taken, x.b.pcrel(i.next)), 0);
  } else {
    x.b.branch(condition, target, i.next);
  }
}

function jcc(x: Lifter, i: Instruction): void {
  conditional(x, i, x.flags.condition(i.cc));
}

function counter(x: Lifter, i: Instruction): Value {
  return x.getReg(ECX, i.addressSize);
}
function jecxz(x: Lifter, i: Instruction): void {
  conditional(x, i, x.eqz(counter(x, i)));
}
function loop(x: Lifter, i: Instruction, also?: (zero: Value) => Value): void {
  const zero = also && x.flags.zero();
  const left = x.zext(x.subC(counter(x, i), 1), i.addressSize);
  x.putReg(ECX, i.addressSize, left);
  const more = x.op('i32.ne', left, x.c(0));
  conditional(x, i, zero === undefined ? more : x.and(more, also!(zero)));
}

function isFar(i: Instruction): boolean {
  const o = i.operands[0]!;
  return o.kind === 'far' || (o.kind === 'mem' && o.size === 6) || i.op.endsWith('f');
}

function jmp(x: Lifter, i: Instruction): void {
  const o = i.operands[0]!;
  if (isFar(i)) {
    const { offset, selector } = farPointer(x, i);
    x.b.jump(x.b.call(FAR_JUMP, selector, offset), 3);
  } else if (o.kind === 'rel') {
    if (i.operandSize === 2) x.b.jump(truncate(x, i, x.b.pcrel(o.target)), 0);
    else x.b.goto(o.target);
  } else {
    x.b.jump(x.read(o), 0);
  }
}

function call(x: Lifter, i: Instruction): void {
  const o = i.operands[0]!;
  const size = wide(i);
  if (isFar(i)) {
    callFar(x, i);
  } else if (o.kind === 'rel') {
    x.push(i, size, x.b.pcrel(i.next));
    if (size === 2) x.b.jump(truncate(x, i, x.b.pcrel(o.target)), 1);
    else x.b.goto(o.target);
  } else {
    const target = x.read(o);
    x.push(i, size, x.b.pcrel(i.next));
    x.b.jump(target, 1);
  }
}

function callFar(x: Lifter, i: Instruction): void {
  const { offset, selector } = farPointer(x, i);
  const size = wide(i);
  // The target is checked first, then the stack; CS changes last.
  const sp = x.sp(i);
  const csAt = x.stackAddress(i, sp, -size, size, true);
  const eipAt = x.stackAddress(i, sp, -2 * size, size, true);
  const old = x.b.get32(SELECTOR + 4 * CS);
  const next = x.b.pcrel(i.next);
  x.b.call(FAR_CODE_DESCRIPTOR, selector, offset);
  x.b.probe(csAt, size);
  x.b.probe(eipAt, size);
  x.store(csAt, size, old);
  x.store(eipAt, size, next);
  x.setSp(i, x.subC(sp, 2 * size));
  x.b.jump(x.b.call(FAR_JUMP, selector, offset), 3);
}

function ret(x: Lifter, i: Instruction): void {
  const size = wide(i);
  const sp = x.sp(i);
  const eip = x.top(i, size, sp);
  const o = i.operands[0];
  const popped = x.addC(sp, size);
  x.setSp(i, o?.kind === 'imm' ? x.add(popped, x.andC(x.b.operand(o.value), 0xffff)) : popped);
  x.b.jump(eip, 2);
}

function retf(x: Lifter, i: Instruction): void {
  const o = i.operands[0];
  const extra = o?.kind === 'imm' ? x.andC(x.b.operand(o.value), 0xffff) : x.c(0);
  x.b.jump(x.b.call(farReturn(wide(i), i.flat), extra), 3);
}

function iret(x: Lifter, i: Instruction): void {
  x.b.jump(x.b.call(IRET[wide(i)][i.flat ? 'flat' : 'segmented']), 3);
}

function int(x: Lifter, i: Instruction): void {
  x.b.leave(LEAVE.int, x.andC(x.read(i.operands[0]!), 0xff));
}

function into(x: Lifter, i: Instruction): void {
  const overflow = x.flags.condition(0);
  x.b.if(overflow, () => x.b.leave(LEAVE.trap, x.c(4)));
  x.b.goto(i.next);
}

/** Index outside [lower, upper] (signed) raises #BR. */
function bound(x: Lifter, i: Instruction): void {
  const memory = i.operands[1]!;
  if (memory.kind !== 'mem') throw new TypeError('bound wants memory');
  const size = wide(i);
  const index = x.sext(x.read(i.operands[0]!), size);
  const at = x.offset(memory.address);
  const limit = (displacement: number) => {
    const offset = x.addC(at, displacement);
    return x.sext(x.load(x.translate(memory.address, offset, size, false), size), size);
  };
  const lower = limit(0);
  const upper = limit(size);
  const outside = x.or(x.op('i32.lt_s', index, lower), x.op('i32.lt_s', upper, index));
  x.raiseIf(outside, VECTOR.BR);
}

export const CONTROL: LiftTable = {
  jcc,
  jecxz,
  jcxz: jecxz,
  loop: (x, i) => loop(x, i),
  loope: (x, i) => loop(x, i, (zero) => zero),
  loopne: (x, i) => loop(x, i, (zero) => x.xorC(zero, 1)),
  jmp,
  jmpf: jmp,
  call,
  callf: call,
  ret,
  retf,
  iret,
  iretd: iret,
  int,
  int3: (x) => x.b.leave(LEAVE.trap, x.c(3)),
  into,
  icebp: (x) => x.b.leave(LEAVE.icebp, x.c(1)),
  int1: (x) => x.b.leave(LEAVE.icebp, x.c(1)),
  bound,
};

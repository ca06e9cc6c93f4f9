/** Data movement: mov, movzx, movsx, lea, xchg, cmov, setcc, xlat, bswap, sign extensions. */
import { EAX, EBX, EDX, SELECTOR } from '../cpu-state.js';
import type { Instruction, InstructionOperand } from '../instruction.js';
import { sizeOf, type Lifter, type LiftTable } from './context.js';
import { loadSegmentRegister } from './segment.js';

function mov(x: Lifter, i: Instruction): void {
  const [to, from] = i.operands as [InstructionOperand, InstructionOperand];
  if (to.kind === 'sreg') {
    loadSegmentRegister(x, i, to.number, x.read(from));
  } else if (from.kind === 'sreg') {
    storeSelector(x, to, SELECTOR + 4 * from.number);
  } else {
    x.write(to, x.read(from));
  }
}

/** A selector goes to memory as 16 bits whatever the operand size, and zero-extended to a register. */
export function storeSelector(x: Lifter, to: InstructionOperand, slot: number): void {
  const v = x.b.get32(slot);
  if (to.kind === 'mem') x.b.st16(x.linear(to.address, 2, true), v);
  else x.write(to, v);
}

function movzx(x: Lifter, i: Instruction): void {
  x.write(i.operands[0]!, x.read(i.operands[1]!));
}

function movsx(x: Lifter, i: Instruction): void {
  const from = i.operands[1]!;
  x.write(i.operands[0]!, x.sext(x.read(from), sizeOf(from)));
}

function lea(x: Lifter, i: Instruction): void {
  const from = i.operands[1]!;
  if (from.kind !== 'mem') throw new TypeError('lea wants a memory operand');
  x.write(i.operands[0]!, x.offset(from.address));
}

function xchg(x: Lifter, i: Instruction): void {
  const [p, q] = i.operands as [InstructionOperand, InstructionOperand];
  // The memory operand, if any, is written first: only its access can fault.
  const [first, second] = q.kind === 'mem' ? [q, p] : [p, q];
  const one = x.place(first);
  const other = x.place(second);
  one.write(other.value);
  other.write(one.value);
}

function cmov(x: Lifter, i: Instruction): void {
  const to = i.operands[0]!;
  // The source is read, and may fault, whatever the condition.
  const from = x.read(i.operands[1]!);
  const old = x.read(to);
  x.write(to, x.select(x.flags.condition(i.cc), from, old));
}

function setcc(x: Lifter, i: Instruction): void {
  x.write(i.operands[0]!, x.flags.condition(i.cc));
}

function xlat(x: Lifter, i: Instruction): void {
  const sum = x.add(x.b.get32(EBX), x.b.get8(EAX));
  const offset = i.addressSize === 2 ? x.andC(sum, 0xffff) : sum;
  const address = i.flat ? offset : x.segmented(x.b.operand(i.segment), offset, 1, false);
  x.b.put8(EAX, x.b.ld8(address));
}

function bswap(x: Lifter, i: Instruction): void {
  const to = i.operands[0]!;
  if (to.kind !== 'reg') throw new TypeError('bswap wants a register');
  if (sizeOf(to) === 2) {
    // Undefined by the manual; processors give zero.
    x.b.put16(to.slot, x.c(0));
    return;
  }
  const v = x.b.get32(to.slot);
  const even = x.andC(x.op('i32.rotl', v, x.c(8)), 0x00ff00ff);
  const odd = x.andC(x.op('i32.rotl', v, x.c(24)), 0xff00ff00);
  x.b.put32(to.slot, x.or(even, odd));
}

/** 98: al -> ax, ax -> eax. */
function cbw(x: Lifter, i: Instruction): void {
  if (i.operandSize === 2) x.b.put16(EAX, x.sext(x.b.get8(EAX), 1));
  else x.b.put32(EAX, x.sext(x.b.get16(EAX), 2));
}
/** 99: ax -> dx:ax, eax -> edx:eax. */
function cwd(x: Lifter, i: Instruction): void {
  if (i.operandSize === 2) x.b.put16(EDX, x.sarC(x.sext(x.b.get16(EAX), 2), 31));
  else x.b.put32(EDX, x.sarC(x.b.get32(EAX), 31));
}

export const MOVE: LiftTable = {
  mov,
  movzx,
  movsx,
  lea,
  xchg,
  cmovcc: cmov,
  setcc,
  xlat,
  xlatb: xlat,
  bswap,
  cbw,
  cwde: cbw,
  cwd,
  cdq: cwd,
};

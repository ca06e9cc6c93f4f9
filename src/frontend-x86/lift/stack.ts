/** push, pop, pusha, popa, pushf, popf, enter, leave. */
import { EAX, EBP, ESP, SELECTOR } from '../cpu-state.js';
import type { Instruction } from '../instruction.js';
import { sizeOf, type Lifter, type LiftTable } from './context.js';
import { EFLAGS_GET, EFLAGS_SET } from './functions-flags.js';
import { enterFunction } from './functions-stack.js';
import { loadSegmentRegister } from './segment.js';

function stackSize(i: Instruction): 2 | 4 {
  return i.operandSize === 2 ? 2 : 4;
}

function push(x: Lifter, i: Instruction): void {
  const o = i.operands[0]!;
  const v = o.kind === 'sreg' ? x.b.get32(SELECTOR + 4 * o.number) : x.read(o);
  x.push(i, stackSize(i), v);
}

function pop(x: Lifter, i: Instruction): void {
  const o = i.operands[0]!;
  const size = stackSize(i);
  const sp = x.sp(i);
  const v = x.top(i, size, sp);
  if (o.kind === 'sreg') {
    // The register is loaded first: it may fault, and must leave esp alone then. The old SS says how esp moves.
    const esp = x.espWith(i, x.addC(sp, size));
    loadSegmentRegister(x, i, o.number, x.andC(v, 0xffff), () => x.b.put32(ESP, esp));
  } else if (o.kind === 'mem') {
    // An address with esp in it counts from the incremented esp.
    x.store(x.linear(o.address, sizeOf(o), true, undefined, size), size, v);
    x.release(i, size, sp);
  } else {
    x.release(i, size, sp);
    x.write(o, v);
  }
}

function pusha(x: Lifter, i: Instruction): void {
  const size = stackSize(i);
  const values: ReturnType<Lifter['c']>[] = [];
  for (let slot = EAX; slot < 32; slot += 4) values.push(x.getReg(slot, size));
  const sp = x.sp(i);
  // The processor stores downwards: the first store is the first to fault.
  const addresses = values.map((_, n) => x.stackAddress(i, sp, -size * (n + 1), size, true));
  x.b.probe(addresses[0]!, size);
  x.b.probe(addresses[7]!, i.flat ? 8 * size : size);
  values.forEach((v, n) => x.store(addresses[n]!, size, v));
  x.setSp(i, x.subC(sp, 8 * size));
}

function popa(x: Lifter, i: Instruction): void {
  const size = stackSize(i);
  const sp = x.sp(i);
  const values = Array.from({ length: 8 }, (_, n) =>
    x.load(x.stackAddress(i, sp, size * n, size, false), size),
  );
  // edi first in memory, eax last; the stored esp is skipped.
  x.setSp(i, x.addC(sp, 8 * size));
  values.forEach((v, n) => {
    const slot = 4 * (7 - n);
    if (slot !== ESP) x.putReg(slot, size, v);
  });
}

function pushf(x: Lifter, i: Instruction): void {
  x.push(i, stackSize(i), x.b.call(EFLAGS_GET));
}

/** At CPL 1..3 with IOPL 0: IF, IOPL and VM stay, RF is cleared (Intel SDM vol. 2, POPF). */
function popf(x: Lifter, i: Instruction): void {
  const size = stackSize(i);
  const image = x.pop(i, size);
  x.b.call(EFLAGS_SET, image, x.c(size === 2 ? 0xffff : -1));
  x.resync(i);
}

function enter(x: Lifter, i: Instruction): void {
  const [frame, nesting] = i.operands;
  if (frame?.kind !== 'imm' || nesting?.kind !== 'imm') throw new TypeError('enter wants numbers');
  const bytes = x.andC(x.b.operand(frame.value), 0xffff);
  const level = x.andC(x.b.operand(nesting.value), 31);
  x.b.call(enterFunction(stackSize(i), i.flat), bytes, level);
}

function leave(x: Lifter, i: Instruction): void {
  const size = stackSize(i);
  const bp = x.b.get32(EBP);
  const v = x.load(x.stackAddress(i, bp, 0, size, false), size);
  x.setSp(i, x.addC(bp, size));
  x.putReg(EBP, size, v);
}

export const STACK: LiftTable = {
  push,
  pop,
  pusha,
  pushad: pusha,
  popa,
  popad: popa,
  pushf,
  pushfd: pushf,
  popf,
  popfd: popf,
  enter,
  leave,
};

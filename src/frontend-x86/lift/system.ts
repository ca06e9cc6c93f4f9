/**
 * System instructions as a guest sees them that never runs at CPL 0 and has IOPL 0: whatever is privileged or
 * I/O-sensitive raises #GP(0), and the Host decides what that means.
 */
import type { Value } from '../../ir/ir.js';
import {
  CR0_REPORTED,
  CR0_TS,
  EAX,
  EDX,
  GDT_LIMIT,
  GDT_REPORTED_BASE,
  IDT_REPORTED_BASE,
  IDT_REPORTED_LIMIT,
  LDT_SELECTOR,
  TR_SELECTOR,
} from '../cpu-state.js';
import type { Instruction } from '../instruction.js';
import { LEAVE } from '../leave.js';
import { type Lift, type Lifter, type LiftTable } from './context.js';
import { VECTOR } from '../vectors.js';
import { storeSelector } from './move.js';

const generalProtection: Lift = (x) => x.raiseAlways(VECTOR.GP);

function rdtsc(x: Lifter): void {
  const now = x.b.clock();
  x.b.put32(EAX, x.b.pure('i32.wrap_i64', now));
  x.b.put32(EDX, x.b.pure('i32.wrap_i64', x.b.pure('i64.shr_u', now, x.b.const64(32n))));
}

/** Six bytes: limit, base. */
function storeTable(limit: number, base: number): Lift {
  return (x, i) => {
    const o = i.operands[0]!;
    if (o.kind !== 'mem') throw new TypeError('sgdt and sidt want memory');
    const address = x.linear(o.address, 6, true);
    x.b.probe(address, 6);
    const limitValue = x.b.get32(limit);
    const baseValue = x.b.get32(base);
    x.b.st16(address, limitValue);
    x.b.st32(x.addC(address, 2), baseValue);
  };
}

/** Memory gets the low 16 bits, a register its operand size. */
function smsw(x: Lifter, i: Instruction): void {
  const o = i.operands[0]!;
  const ts = x.shlC(x.op('i32.ne', x.b.get32(CR0_TS), x.c(0)), 3);
  const cr0: Value = x.or(x.b.get32(CR0_REPORTED), ts);
  if (o.kind === 'mem') x.b.st16(x.linear(o.address, 2, true), cr0);
  else x.write(o, cr0);
}

/** Reads and writes at CPL 1 are left to the Host; else #GP(0). */
function movDr(x: Lifter, i: Instruction): void {
  x.notUser();
  const [to, from] = i.operands;
  const toDr = to?.kind === 'dreg';
  const dr = toDr ? to : from;
  const gpr = toDr ? from : to;
  if (dr?.kind !== 'dreg' || gpr?.kind !== 'reg') throw new TypeError('mov_dr wants dreg and reg');
  const number = typeof gpr.slot === 'number' ? x.c(gpr.slot >> 2) : x.shrC(x.b.operand(gpr.slot), 2);
  x.b.leave(LEAVE.debugRegister, x.orC(number, (toDr ? 0x100 : 0) | (dr.number << 4)));
}

export const SYSTEM: LiftTable = {
  privileged: generalProtection,
  in: generalProtection,
  out: generalProtection,
  ins: generalProtection,
  outs: generalProtection,
  cli: generalProtection,
  sti: generalProtection,
  hlt: generalProtection,
  /** Longer than 15 bytes. */
  too_long: generalProtection,
  ud: (x) => x.raiseAlways(VECTOR.UD),
  ud2: (x) => x.raiseAlways(VECTOR.UD),
  cpuid: (x) => x.b.leave(LEAVE.cpuid, x.c(0)),
  vmcall: (x) => x.b.leave(LEAVE.vmcall, x.c(0)),
  mov_dr: movDr,
  rdtsc,
  nop: () => undefined,
  pause: () => undefined,
  /** Faults as a load of a byte does (Intel SDM vol. 2, CLFLUSH). */
  clflush: (x, i) => void x.read(i.operands[0]!),
  sgdt: storeTable(GDT_LIMIT, GDT_REPORTED_BASE),
  sidt: storeTable(IDT_REPORTED_LIMIT, IDT_REPORTED_BASE),
  sldt: (x, i) => storeSelector(x, i.operands[0]!, LDT_SELECTOR),
  str: (x, i) => storeSelector(x, i.operands[0]!, TR_SELECTOR),
  smsw,
};

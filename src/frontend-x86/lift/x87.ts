/**
 * Lifts x87 instructions (Intel SDM vol. 1, chapter 8). The work is done by out-of-line functions on the register
 * stack; an instruction here is its exception checks, its memory access and a call or two.
 *
 * Order: #NM, then the pending #MF (waiting instructions), then memory faults, then changes of state. The opcode of
 * the last instruction is recorded by no one (as on processors that record it at unmasked exceptions only): the slot
 * holds what fldenv and frstor put there.
 *
 * What the manual leaves undefined or processors differ in, and what happens here (AMD family 26 where it is judge):
 * - C0, C2, C3 after arithmetic, loads and stores: unchanged. C0, C3 after an invalid or NaN fprem: unchanged.
 * - C1 after fcomi, fcmovcc: unchanged but for stack faults. After transcendental functions: the true rounding direction.
 * - Comparisons with an unmasked exception: the condition is set all the same, the stack is not popped.
 * - fld of a denormal float with that exception unmasked: loaded.
 * - Denormal operands of an invalid fprem or a division by zero: DE is not set.
 * - f2xm1 beyond ±1: the operand. fyl2xp1 of -1 and below: x. fbld of digits above 9: the nibbles' values.
 * - Whole results of f2xm1 and fyl2x: PE is set.
 */
import type { IrFunction, Value } from '../../ir/ir.js';
import {
  CR0_TS,
  CS,
  DS,
  EAX,
  FPU_LAST_CS,
  FPU_LAST_DATA,
  FPU_LAST_DS,
  FPU_LAST_EIP,
  FPU_STATUS,
  FPU_TAGS,
  FPU_TOP,
  FPU_CONTROL,
  SELECTOR,
} from '../cpu-state.js';
import { AddressShape, type Address, type Instruction } from '../instruction.js';
import type { Lift, Lifter, LiftTable } from './context.js';
import { ARITHMETIC_FUNCTIONS } from './x87-arith.js';
import { Code, Int, type Long } from './x87-code.js';
import {
  CONVERT_FUNCTIONS,
  FROM_BCD,
  FROM_F32,
  FROM_F64,
  FROM_INT,
  TO_BCD,
  TO_F32,
  TO_F64,
  TO_F80,
  TO_INT,
} from './x87-convert.js';
import {
  ENVIRONMENT_FUNCTIONS,
  INIT,
  LOAD_ENVIRONMENT,
  RESTORE,
  SAVE,
  STORE_ENVIRONMENT,
  putControl,
  statusWord,
} from './x87-environment.js';
import { BUSY, C1, ES, OPERANDS, R_FLAGS, R_LONG, R_OK, R_SE, ROUND, bitOf, physical } from './x87-round.js';
import {
  BINARY,
  BINARY_MEMORY,
  COMPARE_MEMORY,
  COMPARE_REGISTER,
  EXCHANGE,
  LOAD_F32,
  LOAD_F64,
  LOAD_REGISTER,
  NOT_READY,
  POP,
  PUSH,
  SETTLE,
  STACK_FUNCTIONS,
  STORE_REGISTER,
  STORE_UNCHECKED,
} from './x87-stack.js';
import { TRANSCENDENTAL, TRANSCENDENTAL_FUNCTIONS } from './x87-transcendental.js';
import { CONSTANT_NAMES, MOVE_IF, SIMPLE, UNARY_FUNCTIONS, constant } from './x87-unary.js';

/** #NM if CR0.TS; #MF if an unmasked exception is pending. */
function waiting(x: Lifter): void {
  const pending = x.andC(x.b.get32(FPU_STATUS), ES);
  x.b.if(x.or(x.b.get32(CR0_TS), pending), () => {
    x.b.call(NOT_READY);
  });
}
/** #NM if CR0.TS. */
function present(x: Lifter): void {
  x.raiseIf(x.b.get32(CR0_TS), 7);
}
/** Records where this instruction is; control instructions do not. */
function record(x: Lifter): void {
  x.b.put32(FPU_LAST_EIP, x.b.pcrel(0));
  x.b.put32(FPU_LAST_CS, x.b.get32(SELECTOR + 4 * CS));
}

interface Place {
  readonly address: Value;
  readonly size: number;
  /** Records the operand and the instruction. */
  readonly record: () => void;
}
function memory(x: Lifter, i: Instruction, write: boolean): Place | undefined {
  const o = i.operands.find((p) => p.kind === 'mem');
  if (o === undefined || o.kind !== 'mem') return undefined;
  const offset = x.offset(o.address);
  const address = x.translate(o.address, offset, o.size, write);
  return {
    address,
    size: o.size,
    record: () => {
      record(x);
      x.b.put32(FPU_LAST_DATA, offset);
      x.b.put32(FPU_LAST_DS, x.b.peek32(selectorSlot(x, o.address), SELECTOR));
    },
  };
}
function selectorSlot(x: Lifter, a: Address): Value {
  // Flat shapes have no segment; DS and SS hold the same selector in every flat system.
  if (a.shape < AddressShape.fsgs) return x.c(4 * DS);
  return x.shlC(x.b.operand(a.segment), 2);
}
/** ST number of an operand; `otherwise` if it is implied. */
function st(i: Instruction, n: number, otherwise: number): number {
  const o = i.operands[n];
  return o?.kind === 'st' ? o.number : otherwise;
}
function popIf(x: Lifter, done: Value, times = 1): void {
  x.b.if(done, () => {
    for (let k = 0; k < times; k++) x.b.call(POP);
  });
}

/** Significand of a float or integer operand in memory, widened; R_SE and R_FLAGS are set. */
function widened(x: Lifter, m: Place, integer: boolean): Value {
  const { b } = x;
  if (integer) {
    const v =
      m.size === 8
        ? b.ld64(m.address)
        : b.pure('i64.extend_i32_s', m.size === 4 ? b.ld32(m.address) : x.sext(b.ld16(m.address), 2));
    return b.call(FROM_INT, v);
  }
  return m.size === 4 ? b.call(FROM_F32, b.ld32(m.address)) : b.call(FROM_F64, b.ld64(m.address));
}

function arithmetic(name: string, pop: boolean, integer: boolean): Lift {
  return (x, i) => {
    waiting(x);
    const m = memory(x, i, false);
    if (m) {
      const v = widened(x, m, integer);
      m.record();
      x.b.call(BINARY_MEMORY[name]!, v);
      return;
    }
    record(x);
    const d = st(i, 0, pop ? 1 : 0);
    const s = st(i, 1, pop ? 0 : 1);
    const done = x.b.call(BINARY[name]!, x.c(d), x.c(s));
    if (pop) popIf(x, done);
  };
}

function compare(pops: number, quiet: boolean, integer: boolean, toFlags: boolean): Lift {
  return (x, i) => {
    waiting(x);
    const m = memory(x, i, false);
    let done: Value;
    if (m) {
      const v = widened(x, m, integer);
      m.record();
      done = x.b.call(COMPARE_MEMORY, v);
    } else {
      record(x);
      // The last ST operand is the one compared with; without operands it is ST(1).
      const source = i.operands.length === 0 ? 1 : st(i, i.operands.length - 1, 1);
      done = x.b.call(COMPARE_REGISTER, x.c(source), x.c(quiet ? 1 : 0), x.c(toFlags ? 1 : 0));
    }
    if (pops) popIf(x, done, pops);
  };
}

function fld(x: Lifter, i: Instruction): void {
  const { b } = x;
  waiting(x);
  const m = memory(x, i, false);
  if (!m) {
    record(x);
    b.call(LOAD_REGISTER, x.c(st(i, 0, 0)));
  } else if (m.size === 4 || m.size === 8) {
    const v = m.size === 4 ? b.ld32(m.address) : b.ld64(m.address);
    m.record();
    b.call(m.size === 4 ? LOAD_F32 : LOAD_F64, v);
  } else {
    const low = b.ld64(m.address);
    const high = b.ld16(x.addC(m.address, 8));
    m.record();
    b.put32(R_SE, high);
    b.put32(R_FLAGS, x.c(0));
    b.call(PUSH, low);
  }
}
function fild(x: Lifter, i: Instruction): void {
  waiting(x);
  const m = memory(x, i, false)!;
  const v = widened(x, m, true);
  m.record();
  x.b.call(PUSH, v);
}
function fbld(x: Lifter, i: Instruction): void {
  const { b } = x;
  waiting(x);
  const m = memory(x, i, false)!;
  const low = b.ld64(m.address);
  const high = b.ld16(x.addC(m.address, 8));
  m.record();
  b.call(PUSH, b.call(FROM_BCD, low, high));
}

/** Stores to memory: compute, store unless an unmasked exception forbids it, then status and pop. */
function storing(x: Lifter, m: Place, pop: boolean, compute: () => Value, store: (v: Value) => void): void {
  const { b } = x;
  const v = compute();
  const ok = b.get32(R_OK);
  // Also where nothing is stored, the operand must be writable.
  b.if(
    ok,
    () => store(v),
    () => b.probe(m.address, m.size),
  );
  m.record();
  b.call(SETTLE, x.c(C1));
  if (pop) popIf(x, ok);
}
function fst(pop: boolean): Lift {
  return (x, i) => {
    const { b } = x;
    waiting(x);
    const m = memory(x, i, true);
    if (!m) {
      record(x);
      const done = b.call(STORE_REGISTER, x.c(st(i, 0, 0)));
      if (pop) popIf(x, done);
    } else if (m.size === 4) {
      storing(
        x,
        m,
        pop,
        () => b.call(TO_F32),
        (v) => b.st32(m.address, b.pure('i32.wrap_i64', v)),
      );
    } else if (m.size === 8) {
      storing(
        x,
        m,
        pop,
        () => b.call(TO_F64),
        (v) => b.st64(m.address, v),
      );
    } else {
      storing(
        x,
        m,
        pop,
        () => b.call(TO_F80),
        (v) => {
          b.probe(m.address, 10);
          b.st64(m.address, v);
          b.st16(x.addC(m.address, 8), b.get32(R_SE));
        },
      );
    }
  };
}
/** D9 D8+i, fstp without the check for an empty register. */
function fstpnce(x: Lifter, i: Instruction): void {
  waiting(x);
  record(x);
  x.b.call(STORE_UNCHECKED, x.c(st(i, 0, 0)));
  x.b.call(POP);
}
function fist(pop: boolean): Lift {
  return (x, i) => {
    const { b } = x;
    waiting(x);
    const m = memory(x, i, true)!;
    const compute = (): Value => b.call(TO_INT, x.c(8 * m.size));
    storing(x, m, pop, compute, (v) => {
      if (m.size === 8) b.st64(m.address, v);
      else if (m.size === 4) b.st32(m.address, b.pure('i32.wrap_i64', v));
      else b.st16(m.address, b.pure('i32.wrap_i64', v));
    });
  };
}
function fbstp(x: Lifter, i: Instruction): void {
  const { b } = x;
  waiting(x);
  const m = memory(x, i, true)!;
  storing(
    x,
    m,
    true,
    () => b.call(TO_BCD),
    (v) => {
      b.probe(m.address, 10);
      b.st64(m.address, v);
      b.st16(x.addC(m.address, 8), b.pure('i32.wrap_i64', b.get64(R_LONG)));
    },
  );
}

/** The condition of fcmovcc in Intel's condition code encoding: 2 B, 3 AE, 4 E, 5 NE, 6 BE, 7 A, 10 U, 11 NU. */
function fcmovcc(x: Lifter, i: Instruction): void {
  waiting(x);
  record(x);
  x.b.call(MOVE_IF, x.c(st(i, 1, 1)), x.flags.condition(i.cc));
}

/** Moves TOP by n; C1 is cleared. */
function turn(n: 1 | 7): Lift {
  return (x) => {
    waiting(x);
    record(x);
    const c = new Code(x.b);
    c.put(FPU_TOP, c.get(FPU_TOP).add(n).and(7));
    c.put(FPU_STATUS, c.get(FPU_STATUS).and(~C1));
  };
}
function ffree(pop: boolean): Lift {
  return (x, i) => {
    waiting(x);
    record(x);
    const c = new Code(x.b);
    const r = physical(c, st(i, 0, 0));
    c.put(FPU_TAGS, c.get(FPU_TAGS).and(bitOf(r).xor(-1)));
    c.put(FPU_STATUS, c.get(FPU_STATUS).and(~C1));
    if (pop) x.b.call(POP);
  };
}

function fnstsw(x: Lifter, i: Instruction): void {
  present(x);
  const word = statusWord(new Code(x.b)).v;
  const m = memory(x, i, true);
  if (m) x.b.st16(m.address, word);
  else x.b.put16(EAX, word);
}
function fnstcw(x: Lifter, i: Instruction): void {
  present(x);
  x.b.st16(memory(x, i, true)!.address, x.b.get32(FPU_CONTROL));
}
function fldcw(x: Lifter, i: Instruction): void {
  waiting(x);
  const c = new Code(x.b);
  putControl(c, new Int(c, x.b.ld16(memory(x, i, false)!.address)));
}
/** fnstenv, fnsave, fldenv, frstor: one call, by operand size. */
function environment(table: Record<2 | 4, IrFunction>, wait: boolean, write: boolean): Lift {
  return (x, i) => {
    if (wait) waiting(x);
    else present(x);
    x.b.call(table[i.operandSize === 2 ? 2 : 4], memory(x, i, write)!.address);
  };
}

const table: Record<string, Lift> = {
  fld,
  fild,
  fbld,
  fbstp,
  fst: fst(false),
  fstp: fst(true),
  fstpnce,
  fist: fist(false),
  fistp: fist(true),
  fxch: (x, i) => {
    waiting(x);
    record(x);
    x.b.call(EXCHANGE, x.c(i.operands.length === 0 ? 1 : st(i, i.operands.length - 1, 1)));
  },
  fcom: compare(0, false, false, false),
  fcomp: compare(1, false, false, false),
  fcompp: compare(2, false, false, false),
  fucom: compare(0, true, false, false),
  fucomp: compare(1, true, false, false),
  fucompp: compare(2, true, false, false),
  ficom: compare(0, false, true, false),
  ficomp: compare(1, false, true, false),
  fcomi: compare(0, false, false, true),
  fcomip: compare(1, false, false, true),
  fucomi: compare(0, true, false, true),
  fucomip: compare(1, true, false, true),
  fcmovcc,
  fdecstp: turn(7),
  fincstp: turn(1),
  ffree: ffree(false),
  ffreep: ffree(true),
  fnop: (x) => {
    waiting(x);
    record(x);
  },
  /** What once was 8087 or 80287 control does nothing, and does not wait. */
  fnnop: present,
  fwait: (x) => waiting(x),
  fnstsw,
  fnstcw,
  fldcw,
  fnclex: (x) => {
    present(x);
    x.b.put32(FPU_STATUS, x.andC(x.b.get32(FPU_STATUS), 0x7f00 & ~BUSY));
  },
  fninit: (x) => {
    present(x);
    x.b.call(INIT);
  },
  fnstenv: environment(STORE_ENVIRONMENT, false, true),
  fnsave: environment(SAVE, false, true),
  fldenv: environment(LOAD_ENVIRONMENT, true, false),
  frstor: environment(RESTORE, true, false),
};
for (const name of Object.keys(BINARY)) {
  table[`f${name}`] = arithmetic(name, false, false);
  table[`f${name}p`] = arithmetic(name, true, false);
  table[`fi${name}`] = arithmetic(name, false, true);
}
for (const name of CONSTANT_NAMES) {
  table[name] = (x) => {
    waiting(x);
    record(x);
    const m: Long = constant(new Code(x.b), name);
    x.b.call(PUSH, m.v);
  };
}
for (const [name, f] of Object.entries({ ...SIMPLE, ...TRANSCENDENTAL })) {
  table[name] = (x) => {
    waiting(x);
    record(x);
    x.b.call(f);
  };
}

export const X87_LIFTS: LiftTable = table;

export const X87_FUNCTIONS: readonly IrFunction[] = [
  ROUND,
  OPERANDS,
  ...ARITHMETIC_FUNCTIONS,
  ...CONVERT_FUNCTIONS,
  ...STACK_FUNCTIONS,
  ...UNARY_FUNCTIONS,
  ...ENVIRONMENT_FUNCTIONS,
  ...TRANSCENDENTAL_FUNCTIONS,
];

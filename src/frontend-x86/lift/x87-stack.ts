/** The x87 register stack and status word: what an instruction does around its arithmetic. */
import { CR0_TS, FLAG_AUX, FLAG_RESULT, FPU_CONTROL, FPU_STATUS, FPU_TAGS, FPU_TOP } from '../cpu-state.js';
import { defineFunction } from '../../ir/builder.js';
import type { IrFunction } from '../../ir/ir.js';
import { ADD, COMPARE, DIV, MUL } from './x87-arith.js';
import { FROM_F32, FROM_F64 } from './x87-convert.js';
import { Code, fn, type Int, type Long } from './x87-code.js';
import {
  BUSY,
  C0,
  C1,
  C2,
  C3,
  DE,
  ES,
  EXPONENT,
  IE,
  INDEFINITE,
  INDEFINITE_SE,
  QUIET_BIT,
  R_FLAGS,
  R_SE,
  SF,
  SIGN,
  ZE,
  bitOf,
  inUse,
  mantissaOf,
  physical,
  seOf,
  writeRegister,
} from './x87-round.js';

/**
 * Raises what was found out before the instruction: #NM while CR0.TS is set, else #MF for an unmasked exception that
 * an earlier instruction left pending (CR0.NE is 1).
 */
export const NOT_READY = defineFunction('x87_not_ready', [], 'void', true, (b) => {
  const c = new Code(b);
  c.if(c.get(CR0_TS), () => b.raise(7, c.i(0).v));
  b.raise(16, c.i(0).v);
});

/**
 * Merges R_FLAGS into the status word, whose condition bits `clear` are cleared before. Returns the unmasked exceptions.
 */
export const SETTLE = fn('x87_settle', ['i32'], 'i32', (c, clear) => {
  const flags = c.get(R_FLAGS);
  const pending = flags.and(c.get(FPU_CONTROL).xor(-1)).and(0x3f);
  const status = c.get(FPU_STATUS).and(clear.xor(-1)).or(flags);
  c.put(FPU_STATUS, status.or(pending.ne(0).pick(ES | BUSY, 0)));
  c.return(pending);
});

/** Takes the recomputed summary bits after the control or status word was loaded. */
export const SUMMARIZE = fn('x87_summarize', [], 'void', (c) => {
  const status = c.get(FPU_STATUS);
  const pending = status.and(c.get(FPU_CONTROL).xor(-1)).and(0x3f);
  c.put(FPU_STATUS, status.and(~(ES | BUSY)).or(pending.ne(0).pick(ES | BUSY, 0)));
});

/** Exceptions whose unmasked response leaves destination and stack unchanged. */
const BEFORE = IE | DE | ZE;

/** Ends an operation: result m, R_SE to physical register r. Returns 1 if it took place, so the stack may be popped. */
export const COMPLETE = fn('x87_complete', ['i32', 'i64'], 'i32', (c, r, m) => {
  const pending = c.call(SETTLE, C1);
  c.if(pending.and(BEFORE), () => c.return(0));
  writeRegister(r, m, c.get(R_SE));
  c.put(FPU_TAGS, c.get(FPU_TAGS).or(bitOf(r)));
  c.return(1);
});

/** An empty register was read; the destination is r. */
export const UNDERFLOW = fn('x87_underflow', ['i32'], 'i32', (c, r) => {
  c.put(R_FLAGS, IE | SF);
  c.put(R_SE, INDEFINITE_SE);
  c.return(c.call(COMPLETE, r, INDEFINITE));
});

/** Pushes m, R_SE. */
export const PUSH = fn('x87_push', ['i64'], 'i32', (c, m) => {
  const r = physical(c, 7);
  const value = c.longVar(m);
  c.if(inUse(r), () => {
    // Of an empty source and a full stack the former counts.
    c.put(
      R_FLAGS,
      c
        .get(R_FLAGS)
        .and(SF)
        .ne(0)
        .pick(IE | SF, IE | SF | C1),
    );
    c.put(R_SE, INDEFINITE_SE);
    value.set(INDEFINITE);
  });
  // A denormal operand is loaded even where that exception is unmasked.
  const pending = c.call(SETTLE, C1);
  c.if(pending.and(IE), () => c.return(0));
  writeRegister(r, value.get(), c.get(R_SE));
  c.put(FPU_TAGS, c.get(FPU_TAGS).or(bitOf(r)));
  c.put(FPU_TOP, r);
  c.return(1);
});

export const POP = fn('x87_pop', [], 'void', (c) => {
  const top = c.get(FPU_TOP);
  c.put(FPU_TAGS, c.get(FPU_TAGS).and(bitOf(top).xor(-1)));
  c.put(FPU_TOP, top.add(1).and(7));
});

function loadQuiet(c: Code, m: Long): void {
  const signals = c.get(R_SE).and(EXPONENT).eq(EXPONENT).and(m.shl(1).ne(0n)).and(m.and(QUIET_BIT).not());
  const value = c.longVar(m);
  c.if(signals, () => {
    c.put(R_FLAGS, IE);
    value.set(m.or(QUIET_BIT));
  });
  c.return(c.call(PUSH, value.get()));
}
/** fld of a float in memory: signalling NaNs become quiet. */
export const LOAD_F32 = fn('x87_load_f32', ['i32'], 'i32', (c, bits) =>
  loadQuiet(c, c.callLong(FROM_F32, bits)),
);
export const LOAD_F64 = fn('x87_load_f64', ['i64'], 'i32', (c, bits) =>
  loadQuiet(c, c.callLong(FROM_F64, bits)),
);

/** fld st(i). */
export const LOAD_REGISTER = fn('x87_load_register', ['i32'], 'i32', (c, i) => {
  const r = physical(c, i);
  c.put(R_FLAGS, 0);
  c.put(R_SE, seOf(r));
  const m = c.longVar(mantissaOf(r));
  c.if(inUse(r).not(), () => {
    c.put(R_FLAGS, IE | SF);
    c.put(R_SE, INDEFINITE_SE);
    m.set(INDEFINITE);
  });
  c.return(c.call(PUSH, m.get()));
});

/** fst st(i): a copy, whatever it is. */
export const STORE_REGISTER = fn('x87_store_register', ['i32'], 'i32', (c, i) => {
  const from = physical(c, 0);
  const to = physical(c, i);
  c.if(inUse(from).not(), () => c.return(c.call(UNDERFLOW, to)));
  c.put(R_FLAGS, 0);
  c.put(R_SE, seOf(from));
  c.return(c.call(COMPLETE, to, mantissaOf(from)));
});

/** Copies st(0) to st(i); without an exception, an empty one is not copied. */
export const STORE_UNCHECKED = fn('x87_store_unchecked', ['i32'], 'void', (c, i) => {
  const from = physical(c, 0);
  const to = physical(c, i);
  c.put(R_FLAGS, 0);
  c.call(SETTLE, C1);
  c.if(inUse(from), () => {
    writeRegister(to, mantissaOf(from), seOf(from));
    c.put(FPU_TAGS, c.get(FPU_TAGS).or(bitOf(to)));
  });
});

export const EXCHANGE = fn('x87_exchange', ['i32'], 'void', (c, i) => {
  const p = physical(c, 0);
  const q = physical(c, i);
  const both = inUse(p).and(inUse(q));
  c.put(R_FLAGS, both.pick(0, IE | SF));
  const pending = c.call(SETTLE, C1);
  c.if(pending, () => c.return());
  // An empty one takes part as the indefinite NaN.
  const read = (r: Int): { m: Long; se: Int } => {
    const used = inUse(r);
    return {
      m: used.pickLong(mantissaOf(r), INDEFINITE),
      se: used.pick(seOf(r), INDEFINITE_SE),
    };
  };
  const a = read(p);
  const b = read(q);
  writeRegister(p, b.m, b.se);
  writeRegister(q, a.m, a.se);
  c.put(FPU_TAGS, c.get(FPU_TAGS).or(bitOf(p)).or(bitOf(q)));
});

type Operation = (c: Code, am: Long, ase: Int, bm: Long, bse: Int) => Long;
/** Destination a, source b; the reversed operations take their operands the other way round. */
const OPERATIONS: Record<string, Operation> = {
  add: (c, am, ase, bm, bse) => c.callLong(ADD, am, ase, bm, bse, 0),
  mul: (c, am, ase, bm, bse) => c.callLong(MUL, am, ase, bm, bse),
  sub: (c, am, ase, bm, bse) => c.callLong(ADD, am, ase, bm, bse, SIGN),
  subr: (c, am, ase, bm, bse) => c.callLong(ADD, bm, bse, am, ase, SIGN),
  div: (c, am, ase, bm, bse) => c.callLong(DIV, am, ase, bm, bse),
  divr: (c, am, ase, bm, bse) => c.callLong(DIV, bm, bse, am, ase),
};

/** By operation: st(d) = st(d) op st(s), for ST numbers d and s. */
export const BINARY: Record<string, IrFunction> = {};
/** By operation: st(0) = st(0) op (m, R_SE), with R_FLAGS as the conversion of a memory operand left it. */
export const BINARY_MEMORY: Record<string, IrFunction> = {};
for (const [name, operation] of Object.entries(OPERATIONS)) {
  BINARY[name] = fn(`x87_${name}`, ['i32', 'i32'], 'i32', (c, d, s) => {
    const a = physical(c, d);
    const b = physical(c, s);
    c.if(inUse(a).and(inUse(b)).not(), () => c.return(c.call(UNDERFLOW, a)));
    c.put(R_FLAGS, 0);
    const m = operation(c, mantissaOf(a), seOf(a), mantissaOf(b), seOf(b));
    c.return(c.call(COMPLETE, a, m));
  });
  BINARY_MEMORY[name] = fn(`x87_${name}_memory`, ['i64'], 'i32', (c, bm) => {
    const a = physical(c, 0);
    c.if(inUse(a).not(), () => c.return(c.call(UNDERFLOW, a)));
    const m = operation(c, mantissaOf(a), seOf(a), bm, c.get(R_SE));
    c.return(c.call(COMPLETE, a, m));
  });
}

const CONDITION = C0 | C2 | C3;
/**
 * Ends a comparison with `code` = C3 C2 C0. Unmasked exceptions forbid only the pop.
 * `to` 0: status word; 1: EFLAGS (ZF PF CF; the others cleared).
 */
const CONCLUDE = fn('x87_conclude', ['i32', 'i32'], 'i32', (c, code, to) => {
  // fcomi leaves C1 alone unless the stack was at fault.
  const fault = c.get(R_FLAGS).and(SF).ne(0);
  const pending = c.call(SETTLE, to.and(fault.not()).pick(0, C1));
  const done = pending.and(BEFORE).not();
  c.if(to, () => {
    const equal = code.and(C3).ne(0);
    // ZF is FLAG_RESULT == 0; PF of 0 is 1 and of 1 is 0, so that only "equal" needs its parity flipped.
    c.put(FLAG_RESULT, equal.pick(0, 1));
    c.put(
      FLAG_AUX,
      code
        .and(C0)
        .ne(0)
        .pick(0xc000_0000 | 0, equal.pick(0x100, 0)),
    );
    c.return(done);
  });
  c.put(FPU_STATUS, c.get(FPU_STATUS).and(~CONDITION).or(code));
  c.return(done);
});
/** Compares st(0) with st(i). `quiet`: quiet NaNs are not invalid. `to` as for CONCLUDE. Returns 1 if done. */
export const COMPARE_REGISTER = fn(
  'x87_compare_register',
  ['i32', 'i32', 'i32'],
  'i32',
  (c, i, quiet, to) => {
    const a = physical(c, 0);
    const b = physical(c, i);
    c.if(inUse(a).and(inUse(b)).not(), () => {
      c.put(R_FLAGS, IE | SF);
      c.return(c.call(CONCLUDE, CONDITION, to));
    });
    c.put(R_FLAGS, 0);
    const code = c.call(COMPARE, mantissaOf(a), seOf(a), mantissaOf(b), seOf(b), quiet);
    c.return(c.call(CONCLUDE, code, to));
  },
);
/** Compares st(0) with (m, R_SE). */
export const COMPARE_MEMORY = fn('x87_compare_memory', ['i64'], 'i32', (c, m) => {
  const a = physical(c, 0);
  c.if(inUse(a).not(), () => {
    c.put(R_FLAGS, IE | SF);
    c.return(c.call(CONCLUDE, CONDITION, 0));
  });
  const code = c.call(COMPARE, mantissaOf(a), seOf(a), m, c.get(R_SE), 0);
  c.return(c.call(CONCLUDE, code, 0));
});

/** By name of a one-operand operation: st(0) = f(st(0)). */
export function unary(name: string, f: (c: Code, m: Long, se: Int) => Long): IrFunction {
  return fn(`x87_${name}`, [], 'i32', (c) => {
    const r = physical(c, 0);
    c.if(inUse(r).not(), () => c.return(c.call(UNDERFLOW, r)));
    c.put(R_FLAGS, 0);
    const m = f(c, mantissaOf(r), seOf(r));
    c.return(c.call(COMPLETE, r, m));
  });
}

export const STACK_FUNCTIONS: readonly IrFunction[] = [
  NOT_READY,
  SETTLE,
  SUMMARIZE,
  COMPLETE,
  UNDERFLOW,
  PUSH,
  POP,
  LOAD_F32,
  LOAD_F64,
  LOAD_REGISTER,
  STORE_REGISTER,
  STORE_UNCHECKED,
  EXCHANGE,
  ...Object.values(BINARY),
  ...Object.values(BINARY_MEMORY),
  CONCLUDE,
  COMPARE_REGISTER,
  COMPARE_MEMORY,
];

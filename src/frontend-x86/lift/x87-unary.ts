/** x87 instructions on ST(0) alone and the like: signs, constants, classification, rounding, scaling, fcmov. */
import { FPU_STATUS, FPU_TAGS, FPU_TOP } from '../cpu-state.js';
import type { IrFunction } from '../../ir/ir.js';
import { COMPARE, REMAINDER, SQRT, normalize } from './x87-arith.js';
import { FROM_INT, toInteger } from './x87-convert.js';
import { fn, type Code, type Int, type Long } from './x87-code.js';
import {
  BIAS,
  C0,
  C1,
  C2,
  C3,
  EXPONENT,
  IE,
  INDEFINITE,
  INDEFINITE_SE,
  INTEGER_BIT,
  OPERANDS,
  PE,
  R_FLAGS,
  R_LONG,
  R_LONG2,
  R_SE,
  R_SE2,
  ROUND,
  SF,
  SIGN,
  UP,
  NEAREST,
  ZE,
  bitOf,
  inUse,
  invalid,
  mantissaOf,
  physical,
  raiseFlags,
  result,
  roundingControl,
  seOf,
  writeRegister,
} from './x87-round.js';
import { COMPLETE, SETTLE, UNDERFLOW, unary } from './x87-stack.js';

/** fchs and fabs take any bit pattern. */
const CHS = unary('chs', (c, m, se) => {
  c.put(R_SE, se.xor(SIGN));
  return m;
});
const ABS = unary('abs', (c, m, se) => {
  c.put(R_SE, se.and(EXPONENT));
  return m;
});
const SQRT_TOP = unary('sqrt', (c, m, se) => c.callLong(SQRT, m, se));

function nanOrDenormal(c: Code, m: Long, se: Int): void {
  c.if(c.call(OPERANDS, m, se, 0n, 0), () => c.return(c.getLong(R_LONG)));
}

const ROUND_INT = fn('f80_round_int', ['i64', 'i32'], 'i64', (c, m, se) => {
  nanOrDenormal(c, m, se);
  const sign = se.and(SIGN);
  c.if(m.not().or(se.and(EXPONENT).ge(BIAS + 63)), () => result(c, se, m));
  const x = toInteger(c, m, se);
  c.if(x.tail.ne(0n), () => raiseFlags(c, x.up.pick(PE | C1, PE)));
  c.if(x.value.not(), () => result(c, sign, 0n));
  const shift = x.value.clz();
  result(c, sign.or(c.i(BIAS + 63).sub(shift)), x.value.shl(shift));
});
const RNDINT = unary('rndint', (c, m, se) => c.callLong(ROUND_INT, m, se));

/** Constants: sign and exponent, significand rounded down, and 1 if rounding to nearest adds a unit (SDM vol. 2, FLD1). */
const CONSTANTS: Record<string, readonly [number, bigint, number]> = {
  fld1: [0x3fff, 0x8000_0000_0000_0000n, 0],
  fldl2t: [0x4000, 0xd49a_784b_cd1b_8afen, 0],
  fldl2e: [0x3fff, 0xb8aa_3b29_5c17_f0bbn, 1],
  fldpi: [0x4000, 0xc90f_daa2_2168_c234n, 1],
  fldlg2: [0x3ffd, 0x9a20_9a84_fbcf_f798n, 1],
  fldln2: [0x3ffe, 0xb172_17f7_d1cf_79abn, 1],
  fldz: [0, 0n, 0],
};
/** Significand of a constant, with R_SE; sets R_FLAGS to none. */
export function constant(c: Code, name: string): Long {
  const [se, down, nearest] = CONSTANTS[name]!;
  c.put(R_FLAGS, 0);
  c.put(R_SE, se);
  if (name === 'fld1' || name === 'fldz') return c.l(down);
  const rc = roundingControl(c);
  const more = rc.eq(UP);
  return c.l(down).add((nearest ? more.or(rc.eq(NEAREST)) : more).long());
}
export const CONSTANT_NAMES = Object.keys(CONSTANTS);

/** Puts C3..C0 and nothing else into the status word. */
function conditions(c: Code, code: Int): void {
  c.put(
    FPU_STATUS,
    c
      .get(FPU_STATUS)
      .and(~(C0 | C1 | C2 | C3))
      .or(code),
  );
}
const EXAMINE = fn('x87_examine', [], 'void', (c) => {
  const r = physical(c, 0);
  const m = mantissaOf(r);
  const se = seOf(r);
  const e = se.and(EXPONENT);
  const sign = se.and(SIGN).shr(6);
  const answer = (code: number): void => {
    conditions(c, sign.or(code));
    c.return();
  };
  c.if(inUse(r).not(), () => answer(C3 | C0));
  c.if(e.not(), () => {
    c.if(m.not(), () => answer(C3));
    answer(C3 | C2);
  });
  c.if(m.lt(0n).not(), () => answer(0));
  c.if(e.ne(EXPONENT), () => answer(C2));
  c.if(m.eq(INTEGER_BIT), () => answer(C2 | C0));
  answer(C0);
});

/** ftst: compares with +0; any NaN is invalid. */
const TEST = fn('x87_test', [], 'void', (c) => {
  const r = physical(c, 0);
  c.put(R_FLAGS, IE | SF);
  const code = c.intVar(C0 | C2 | C3);
  c.if(inUse(r), () => {
    c.put(R_FLAGS, 0);
    code.set(c.call(COMPARE, mantissaOf(r), seOf(r), 0n, 0, 0));
  });
  c.call(SETTLE, C1);
  conditions(c, code.get());
});

const MOVE_IF = fn('x87_move_if', ['i32', 'i32'], 'void', (c, i, condition) => {
  const to = physical(c, 0);
  const from = physical(c, i);
  c.if(inUse(to).and(inUse(from)).not(), () => {
    c.call(UNDERFLOW, to);
    c.return();
  });
  c.if(condition, () => writeRegister(to, mantissaOf(from), seOf(from)));
});

/** ST(0) × 2^trunc(ST(1)). */
const SCALE = fn('f80_scale', ['i64', 'i32', 'i64', 'i32'], 'i64', (c, am, ase, bm, bse) => {
  c.if(c.call(OPERANDS, am, ase, bm, bse), () => c.return(c.getLong(R_LONG)));
  const sign = ase.and(SIGN);
  const aInfinite = ase.and(EXPONENT).eq(EXPONENT);
  c.if(bse.and(EXPONENT).eq(EXPONENT), () => {
    c.if(bse.and(SIGN), () => {
      c.if(aInfinite, () => invalid(c));
      result(c, sign, 0n);
    });
    c.if(am.not(), () => invalid(c));
    result(c, sign.or(EXPONENT), INTEGER_BIT);
  });
  c.if(aInfinite.or(am.not()), () => result(c, ase, am));
  const a = normalize(am, ase.and(EXPONENT));
  const be = bse.and(EXPONENT);
  // Beyond ±2^17 every number overflows or vanishes, also with a wrapped exponent.
  const big = be.gt(BIAS + 16);
  const down = c.i(BIAS + 63).sub(be);
  const whole = be
    .lt(BIAS)
    .pickLong(0n, bm.shr(big.pick(47, down)))
    .int();
  const n = big.pick(0x20000, whole);
  const e = a.e.add(bse.and(SIGN).ne(0).pick(c.i(0).sub(n), n));
  const exact = bm.not().or(be.lt(BIAS));
  c.if(exact.and(a.e.gt(0)), () => result(c, sign.or(a.e), a.m));
  c.return(c.callLong(ROUND, sign, e, a.m, 0n, 64));
});

/** Exponent of ST(0) as a number (returned, R_SE) and the significand (R_LONG2, R_SE2). */
const EXTRACT = fn('f80_extract', ['i64', 'i32'], 'i64', (c, m, se) => {
  const second = (m2: Long | bigint, se2: Int | number): void => {
    c.putLong(R_LONG2, m2);
    c.put(R_SE2, se2);
  };
  c.if(c.call(OPERANDS, m, se, 0n, 0), () => {
    second(c.getLong(R_LONG), c.get(R_SE));
    c.return(c.getLong(R_LONG));
  });
  c.if(se.and(EXPONENT).eq(EXPONENT), () => {
    second(m, se);
    result(c, EXPONENT, INTEGER_BIT);
  });
  c.if(m.not(), () => {
    second(0n, se);
    raiseFlags(c, ZE);
    result(c, SIGN | EXPONENT, INTEGER_BIT);
  });
  const x = normalize(m, se.and(EXPONENT));
  second(x.m, se.and(SIGN).or(BIAS));
  const flags = c.get(R_FLAGS);
  const value = c.callLong(FROM_INT, x.e.sub(BIAS).longS());
  c.put(R_FLAGS, flags);
  c.return(value);
});
/** fxtract: ST(0) becomes the exponent, the significand is pushed. */
const XTRACT = fn('x87_xtract', [], 'void', (c) => {
  const r = physical(c, 0);
  const next = physical(c, 7);
  c.put(R_FLAGS, 0);
  const both = (flags: number): void => {
    c.put(R_FLAGS, flags);
    c.put(R_SE, INDEFINITE_SE);
    c.put(R_SE2, INDEFINITE_SE);
    c.putLong(R_LONG2, INDEFINITE);
  };
  const m = c.longVar(INDEFINITE);
  c.if(inUse(r).not(), () => both(IE | SF));
  c.if(inUse(r), () => {
    c.if(inUse(next), () => both(IE | SF | C1));
    c.if(inUse(next).not(), () => m.set(c.callLong(EXTRACT, mantissaOf(r), seOf(r))));
  });
  c.if(c.call(COMPLETE, r, m.get()), () => {
    writeRegister(next, c.getLong(R_LONG2), c.get(R_SE2));
    c.put(FPU_TAGS, c.get(FPU_TAGS).or(bitOf(next)));
    c.put(FPU_TOP, next);
  });
});

/** ST(0) = f(ST(0), ST(1)) that keeps the stack: fprem, fprem1, fscale. */
function withSecond(name: string, clear: number, f: (c: Code, a: Int, b: Int) => Long): IrFunction {
  return fn(`x87_${name}`, [], 'void', (c) => {
    const a = physical(c, 0);
    const b = physical(c, 1);
    if (clear) c.put(FPU_STATUS, c.get(FPU_STATUS).and(~clear));
    c.if(inUse(a).and(inUse(b)).not(), () => {
      c.call(UNDERFLOW, a);
      c.return();
    });
    c.put(R_FLAGS, 0);
    const m = f(c, a, b);
    c.call(COMPLETE, a, m);
  });
}
const remainder = (name: string, nearest: number): IrFunction =>
  withSecond(name, C2, (c, a, b) =>
    c.callLong(REMAINDER, mantissaOf(a), seOf(a), mantissaOf(b), seOf(b), nearest),
  );

/** Called without operands; the value, if any, does not matter. */
export const SIMPLE: Record<string, IrFunction> = {
  fchs: CHS,
  fabs: ABS,
  fsqrt: SQRT_TOP,
  frndint: RNDINT,
  fxam: EXAMINE,
  ftst: TEST,
  fprem: remainder('prem', 0),
  fprem1: remainder('prem1', 1),
  fscale: withSecond('scale', 0, (c, a, b) =>
    c.callLong(SCALE, mantissaOf(a), seOf(a), mantissaOf(b), seOf(b)),
  ),
  fxtract: XTRACT,
};
export { MOVE_IF };

export const UNARY_FUNCTIONS: readonly IrFunction[] = [
  ROUND_INT,
  SCALE,
  EXTRACT,
  ...Object.values(SIMPLE),
  MOVE_IF,
];

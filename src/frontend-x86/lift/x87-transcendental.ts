/** The transcendental instructions on the register stack (Intel SDM vol. 1, 8.3.7 to 8.3.10). */
import { FPU_STATUS, FPU_TAGS, FPU_TOP } from '../cpu-state.js';
import type { IrFunction } from '../../ir/ir.js';
import { fn, type Code, type Int, type Long } from './x87-code.js';
import { EXP2M1, LOG_EXP_FUNCTIONS, Y_LOG2_X, Y_LOG2_X1 } from './x87-log-exp.js';
import {
  BIAS,
  C1,
  C2,
  EXPONENT,
  IE,
  INDEFINITE,
  INDEFINITE_SE,
  INTEGER_BIT,
  R_FLAGS,
  R_LONG2,
  R_SE,
  R_SE2,
  SF,
  bitOf,
  inUse,
  mantissaOf,
  physical,
  seOf,
  writeRegister,
} from './x87-round.js';
import { COMPLETE, POP, UNDERFLOW, unary } from './x87-stack.js';
import { ATAN2, SIN_COS, TAN, TRIG_FUNCTIONS } from './x87-trig.js';
import { WIDE_FUNCTIONS } from './x87-wide.js';

/** ST(1) = f(ST(0), ST(1)), then pop. */
function popping(name: string, f: IrFunction): IrFunction {
  return fn(`x87_${name}`, [], 'void', (c) => {
    const a = physical(c, 0);
    const b = physical(c, 1);
    const done = c.intVar(0);
    const sound = inUse(a).and(inUse(b));
    c.if(
      sound,
      () => {
        c.put(R_FLAGS, 0);
        const m = c.callLong(f, mantissaOf(a), seOf(a), mantissaOf(b), seOf(b));
        done.set(c.call(COMPLETE, b, m));
      },
      () => done.set(c.call(UNDERFLOW, b)),
    );
    c.if(done.get(), () => c.b.call(POP));
  });
}

/**
 * C2 says that the operand is 2^63 or more and nothing was done; a stack without `room` for the second
 * result comes first. Infinities are invalid.
 */
function angle(c: Code, r: Int, room: Int): { m: Long; se: Int; infinite: Int } {
  const m = mantissaOf(r);
  const se = seOf(r);
  const e = se.and(EXPONENT);
  c.put(FPU_STATUS, c.get(FPU_STATUS).and(~(C1 | C2)));
  const large = e
    .ge(BIAS + 63)
    .and(e.ne(EXPONENT))
    .and(m.lt(0n));
  c.if(inUse(r).and(room).and(large), () => {
    c.put(FPU_STATUS, c.get(FPU_STATUS).or(C2));
    c.return();
  });
  return { m, se, infinite: e.eq(EXPONENT).and(m.eq(INTEGER_BIT)) };
}
function sinCos(name: string, turn: number): IrFunction {
  return fn(`x87_${name}`, [], 'void', (c) => {
    const r = physical(c, 0);
    const x = angle(c, r, c.i(1));
    c.if(inUse(r).not(), () => {
      c.call(UNDERFLOW, r);
      c.return();
    });
    c.put(R_FLAGS, 0);
    const m = c.longVar(INDEFINITE);
    c.if(
      x.infinite,
      () => {
        c.put(R_FLAGS, IE);
        c.put(R_SE, INDEFINITE_SE);
      },
      () => m.set(c.callLong(SIN_COS, x.m, x.se, turn)),
    );
    c.call(COMPLETE, r, m.get());
  });
}
/** fsincos and fptan: `first` replaces ST(0), and a second value (R_LONG2, R_SE2) is pushed. */
function pushing(name: string, compute: (c: Code, m: Long, se: Int) => Long): IrFunction {
  return fn(`x87_${name}`, [], 'void', (c) => {
    const r = physical(c, 0);
    const next = physical(c, 7);
    const x = angle(c, r, inUse(next).not());
    const m = c.longVar(INDEFINITE);
    const nan = (flags: number): void => {
      c.put(R_FLAGS, flags);
      c.put(R_SE, INDEFINITE_SE);
      c.put(R_SE2, INDEFINITE_SE);
      c.putLong(R_LONG2, INDEFINITE);
    };
    c.if(
      inUse(r).not(),
      () => nan(IE | SF),
      () =>
        c.if(
          inUse(next),
          () => nan(IE | SF | C1),
          () =>
            c.if(
              x.infinite,
              () => nan(IE),
              () => {
                c.put(R_FLAGS, 0);
                m.set(compute(c, x.m, x.se));
              },
            ),
        ),
    );
    c.if(c.call(COMPLETE, r, m.get()), () => {
      writeRegister(next, c.getLong(R_LONG2), c.get(R_SE2));
      c.put(FPU_TAGS, c.get(FPU_TAGS).or(bitOf(next)));
      c.put(FPU_TOP, next);
    });
  });
}

function isNan(se: Int, m: Long): Int {
  return se.and(EXPONENT).eq(EXPONENT).and(m.shl(1).ne(0n));
}

/** Called without operands. */
export const TRANSCENDENTAL: Record<string, IrFunction> = {
  f2xm1: unary('2xm1', (c, m, se) => c.callLong(EXP2M1, m, se)),
  fyl2x: popping('yl2x', Y_LOG2_X),
  fyl2xp1: popping('yl2xp1', Y_LOG2_X1),
  fpatan: popping('patan', ATAN2),
  fsin: sinCos('sin', 0),
  fcos: sinCos('cos', 1),
  fsincos: pushing('sincos', (c, m, se) => {
    // The cosine waits in variables: the sine's computation uses every second result.
    const cosM = c.callLong(SIN_COS, m, se, 1);
    const cosSe = c.get(R_SE);
    c.put(R_FLAGS, 0);
    const sin = c.callLong(SIN_COS, m, se, 0);
    c.putLong(R_LONG2, cosM);
    c.put(R_SE2, cosSe);
    return sin;
  }),
  fptan: pushing('ptan', (c, m, se) => {
    const tan = c.callLong(TAN, m, se);
    // A NaN is pushed again, any other result is followed by 1.
    const nan = isNan(c.get(R_SE), tan);
    c.putLong(R_LONG2, nan.pickLong(tan, INTEGER_BIT));
    c.put(R_SE2, nan.pick(c.get(R_SE), BIAS));
    return tan;
  }),
};

export const TRANSCENDENTAL_FUNCTIONS: readonly IrFunction[] = [
  ...WIDE_FUNCTIONS,
  ...LOG_EXP_FUNCTIONS,
  ...TRIG_FUNCTIONS,
  ...Object.values(TRANSCENDENTAL),
];

/**
 * The x87's number format and its rounding (Intel SDM vol. 1, 4.8 and 8.1.5): 80-bit values as an i64 significand with
 * an explicit integer bit and an i32 of sign (bit 15) and biased exponent.
 *
 * Functions that yield an 80-bit value return its significand and leave sign and exponent in `R_SE`; what happened
 * is collected in `R_FLAGS`, as bits of the status word.
 */
import { FPU_CONTROL, FPU_EXPONENT, FPU_MANTISSA, FPU_SCRATCH, FPU_TAGS, FPU_TOP } from '../cpu-state.js';
import { fn, type Code, type I, type Int, type L, type Long } from './x87-code.js';

/** Sign and exponent of the result. */
export const R_SE = FPU_SCRATCH;
/** Exceptions of the instruction in progress, and C1 when the result was rounded up in magnitude. */
export const R_FLAGS = FPU_SCRATCH + 4;
/** A 64-bit result besides the returned one: the chosen NaN, a quotient's remainder, a second value's significand. */
export const R_LONG = FPU_SCRATCH + 8;
export const R_LONG2 = FPU_SCRATCH + 16;
/** 1 if a value for memory may be stored and the stack popped. */
export const R_OK = FPU_SCRATCH + 24;
/** Sign and exponent of a second value. */
export const R_SE2 = FPU_SCRATCH + 28;

/** Status word bits (Intel SDM vol. 1, figure 8-4). */
export const IE = 0x01;
export const DE = 0x02;
export const ZE = 0x04;
export const OE = 0x08;
export const UE = 0x10;
export const PE = 0x20;
export const SF = 0x40;
export const ES = 0x80;
export const C0 = 0x100;
export const C1 = 0x200;
export const C2 = 0x400;
export const C3 = 0x4000;
export const BUSY = 0x8000;

export const SIGN = 0x8000;
export const EXPONENT = 0x7fff;
export const BIAS = 0x3fff;
/** What an unmasked overflow or underflow adds to the exponent (Intel SDM vol. 1, 8.5.4). */
const WRAP = 0x6000;
export const INTEGER_BIT = 1n << 63n;
export const QUIET_BIT = 1n << 62n;
/** Default NaN: "real indefinite" (Intel SDM vol. 1, 4.8.3.7). */
export const INDEFINITE = 0xc000_0000_0000_0000n;
export const INDEFINITE_SE = 0xffff;

/** Rounding control. */
export const NEAREST = 0;
export const DOWN = 1;
export const UP = 2;
export const CHOP = 3;

export function raiseFlags(c: Code, flags: I): void {
  c.put(R_FLAGS, c.get(R_FLAGS).or(flags));
}
/** Leaves sign and exponent, and returns the significand to `return`. */
export function result(c: Code, se: I, mantissa: L): void {
  c.put(R_SE, se);
  c.return(mantissa);
}
export function invalid(c: Code): void {
  raiseFlags(c, IE);
  result(c, INDEFINITE_SE, INDEFINITE);
}
export function roundingControl(c: Code): Int {
  return c.get(FPU_CONTROL).shr(10).and(3);
}
/** Bits of the significand that precision control asks for: 24, 53 or 64. */
export function precisionControl(c: Code): Int {
  const pc = c.get(FPU_CONTROL).and(0x300);
  return pc.not().pick(24, pc.eq(0x200).pick(53, 64));
}
/** Nonzero if exception `flag` is unmasked. */
export function unmasked(c: Code, flag: number): Int {
  return c.get(FPU_CONTROL).xor(-1).and(flag);
}
/** 1 if rounding goes away from zero, for a tail (the fraction after the last kept bit) that is not zero. */
export function roundsUp(c: Code, sign: Int, tail: Long, odd: Int): Int {
  const rc = roundingControl(c);
  const away = sign.ne(0).pick(rc.eq(DOWN), rc.eq(UP));
  const nearest = tail.gtU(INTEGER_BIT).or(tail.eq(INTEGER_BIT).and(odd));
  return rc.not().pick(nearest, away.and(tail.ne(0n)));
}

/** Physical register number of ST(i). */
export function physical(c: Code, i: I): Int {
  return c.get(FPU_TOP).add(i).and(7);
}
export function mantissaOf(r: Int): Long {
  const { c } = r;
  return c.peekLong(r.shl(3), FPU_MANTISSA);
}
export function seOf(r: Int): Int {
  const { c } = r;
  return c.peek16(r.shl(2), FPU_EXPONENT);
}
export function writeRegister(r: Int, mantissa: L, se: I): void {
  const { c } = r;
  c.pokeLong(r.shl(3), c.l(mantissa), FPU_MANTISSA);
  c.poke(r.shl(2), c.i(se), FPU_EXPONENT);
}
export function bitOf(r: Int): Int {
  return r.c.i(1).shl(r);
}
/** 1 if physical register r is in use. */
export function inUse(r: Int): Int {
  return r.c.get(FPU_TAGS).shr(r).and(1);
}

/**
 * Rounds sign × (hi:lo as a fraction with its integer bit at bit 127) × 2^(e - BIAS) to `precision` bits and to the
 * format's range, with the masked or unmasked response to overflow and underflow. lo's lowest bit may be sticky.
 */
export const ROUND = fn(
  'f80_round',
  ['i32', 'i32', 'i64', 'i64', 'i32'],
  'i64',
  (c, sign, exponent, hi0, lo0, precision) => {
    const full = precision.eq(64);
    const ulp = c.l(1n).shl(c.i(64).sub(precision));
    const mask = ulp.sub(1n);
    const e = c.intVar(exponent);
    const hi = c.longVar(hi0);
    const lo = c.longVar(lo0);
    const tailOf = (): Long => full.pickLong(lo.get(), hi.get().shl(precision).or(lo.get().sticky()));
    const upOf = (): Int => roundsUp(c, sign, tailOf(), hi.get().and(ulp).ne(0n));
    const kept = (): Long => hi.get().and(mask.xor(0xffff_ffff_ffff_ffffn));

    c.if(exponent.le(0), () => {
      // Tininess is detected after rounding, as if the exponent had no lower bound.
      const carries = kept().add(ulp).eq(0n).and(upOf());
      const tiny = exponent.lt(0).or(carries.not());
      c.if(tiny.and(unmasked(c, UE).ne(0)), () => {
        raiseFlags(c, UE);
        e.set(e.get().add(WRAP));
        c.if(e.get().le(0), () => {
          // Too small even for the wrapped exponent (fscale only).
          raiseFlags(c, PE);
          result(c, sign, 0n);
        });
      });
      c.if(e.get().le(0), () => {
        const distance = c.i(1).sub(e.get());
        const shifted = c.shiftRightSticky(
          { hi: hi.get(), lo: lo.get() },
          distance.gt(127).pick(127, distance),
        );
        hi.set(shifted.hi);
        lo.set(shifted.lo);
        e.set(0);
        const inexact = tailOf().ne(0n);
        c.if(tiny.and(inexact), () => raiseFlags(c, UE));
      });
    });

    const tail = tailOf();
    const up = upOf();
    const mantissa = c.longVar(kept());
    c.if(tail.ne(0n), () => {
      raiseFlags(c, up.pick(PE | C1, PE));
      c.if(up, () => {
        const sum = mantissa.get().add(ulp);
        mantissa.set(sum);
        c.if(sum.not(), () => {
          mantissa.set(INTEGER_BIT);
          e.set(e.get().add(1));
        });
      });
    });
    // A denormal that was rounded up to the smallest normal number.
    c.if(e.get().not().and(mantissa.get().shr(63).int()), () => e.set(1));

    c.if(e.get().ge(EXPONENT), () => {
      c.if(unmasked(c, OE).ne(0), () => {
        raiseFlags(c, OE);
        e.set(e.get().sub(WRAP));
        c.if(e.get().ge(EXPONENT), () => {
          raiseFlags(c, PE | C1);
          result(c, sign.or(EXPONENT), INTEGER_BIT);
        });
      });
      c.if(e.get().ge(EXPONENT), () => {
        const rc = roundingControl(c);
        const infinite = rc
          .eq(NEAREST)
          .or(rc.eq(UP).and(sign.eq(0)))
          .or(rc.eq(DOWN).and(sign.ne(0)));
        c.put(
          R_FLAGS,
          c
            .get(R_FLAGS)
            .and(~C1)
            .or(infinite.pick(OE | PE | C1, OE | PE)),
        );
        e.set(infinite.pick(EXPONENT, EXPONENT - 1));
        mantissa.set(infinite.pickLong(INTEGER_BIT, mask.xor(0xffff_ffff_ffff_ffffn)));
      });
    });
    result(c, sign.or(e.get()), mantissa.get());
  },
);

/**
 * Looks at an operand pair before an operation. Returns 0: two numbers; 1: the result is the NaN in R_LONG, R_SE
 * (and IE is set if that is an invalid operation); 2: an unmasked denormal-operand exception ends the operation.
 * R_FLAGS may come in with DE, from a denormal memory operand; a NaN result takes it away.
 */
export const OPERANDS = fn('f80_operands', ['i64', 'i32', 'i64', 'i32'], 'i32', (c, am, ase, bm, bse) => {
  const ae = ase.and(EXPONENT);
  const be = bse.and(EXPONENT);
  const unsupported = (m: Long, e: Int): Int => e.ne(0).and(m.lt(0n).not());
  const isNan = (m: Long, e: Int): Int => e.eq(EXPONENT).and(m.shl(1).ne(0n));
  const signals = (m: Long): Int => m.and(QUIET_BIT).not();
  const answer = (flags: I, se: I, m: L): void => {
    c.put(R_FLAGS, flags);
    c.put(R_SE, se);
    c.putLong(R_LONG, m);
    c.return(1);
  };
  c.if(unsupported(am, ae).or(unsupported(bm, be)), () => answer(IE, INDEFINITE_SE, INDEFINITE));
  const aNan = isNan(am, ae);
  const bNan = isNan(bm, be);
  c.if(aNan.or(bNan), () => {
    const aSignals = aNan.and(signals(am));
    const bSignals = bNan.and(signals(bm));
    const flags = aSignals.or(bSignals);
    const am1 = am.or(QUIET_BIT);
    const bm1 = bm.or(QUIET_BIT);
    c.if(bNan.not(), () => answer(flags, ase, am1));
    c.if(aNan.not(), () => answer(flags, bse, bm1));
    // Intel SDM vol. 1, table 4-7: a quiet one before a signalling one, else the larger significand, else the positive.
    const quietA = bSignals.and(aSignals.not());
    const quietB = aSignals.and(bSignals.not());
    const larger = am1.gtU(bm1).or(am1.eq(bm1).and(ase.ltU(bse)));
    const takeA = quietA.or(quietB.not().and(larger));
    answer(flags, takeA.pick(ase, bse), takeA.pickLong(am1, bm1));
  });
  const denormal = (m: Long, e: Int): Int => e.not().and(m.ne(0n));
  c.if(denormal(am, ae).or(denormal(bm, be)), () => raiseFlags(c, DE));
  c.return(c.get(R_FLAGS).and(unmasked(c, DE)));
});

/** f2xm1, fyl2x and fyl2xp1 on 80-bit values, within one unit of the last place. */
import { fn, type Code, type Int, type Long, type Wide } from './x87-code.js';
import { normalize } from './x87-arith.js';
import {
  BIAS,
  EXPONENT,
  INTEGER_BIT,
  OPERANDS,
  R_FLAGS,
  R_LONG,
  PE,
  ROUND,
  SIGN,
  ZE,
  invalid,
  raiseFlags,
  result,
} from './x87-round.js';
import { mulWide, normalizeWide, quotient, scaleDown, series, wide } from './x87-wide.js';

/** ln 2 as a fraction of 2^128. */
const LN2 = 0xb17217f7d1cf79abc9e3b39803f2f6afn;
/** 1 / (2 ln 2) as a fraction of 2^128. */
const HALF_LOG2E = 0xb8aa3b295c17f0bbbe87fed0691d3e89n;
/** sqrt(2) as a significand. */
const SQRT2 = 0xb504_f333_f9de_6484n;

/** (e^y - 1) / y = sum of y^k / (k+1)!, in units of 2^-127; y up to ln 2. */
const EXPM1: bigint[] = [];
for (let k = 0, factorial = 1n; k <= 24; k++) {
  factorial *= BigInt(k + 1);
  EXPM1.push((1n << 127n) / factorial);
}
/** atanh(s) / s = sum of s^2k / (2k+1), in units of 2^-127; s up to 1/3. */
const ATANH: bigint[] = [];
for (let k = 0; k <= 24; k++) ATANH.push((1n << 127n) / BigInt(2 * k + 1));

/** 1 unless NaN or unsupported. */
function isNumber(m: Long, se: Int): Int {
  const e = se.and(EXPONENT);
  return e.not().or(m.lt(0n).and(e.ne(EXPONENT).or(m.eq(INTEGER_BIT))));
}

function nanOrDenormal(c: Code, am: Long, ase: Int, bm: Long, bse: Int): void {
  c.if(c.call(OPERANDS, am, ase, bm, bse), () => c.return(c.getLong(R_LONG)));
}

/** 2^x - 1 for |x| <= 1. Beyond that the instruction is undefined; here x comes back (infinities as their limits). */
export const EXP2M1 = fn('f80_2xm1', ['i64', 'i32'], 'i64', (c, m, se) => {
  nanOrDenormal(c, m, se, c.l(0n), c.i(0));
  const sign = se.and(SIGN);
  c.if(m.not(), () => result(c, se, m));
  c.if(se.and(EXPONENT).ge(BIAS), () => {
    c.if(se.eq(EXPONENT), () => result(c, se, m));
    c.if(se.eq(SIGN | EXPONENT), () => result(c, SIGN | BIAS, INTEGER_BIT));
    // The processors call every finite result inexact; -1 gives -1/2.
    raiseFlags(c, PE);
    const one = se.eq(SIGN | BIAS).and(m.eq(INTEGER_BIT));
    c.if(one, () => result(c, SIGN | (BIAS - 1), INTEGER_BIT));
    result(c, se, m);
  });
  const x = normalize(m, se.and(EXPONENT));
  const y = mulWide(c, { hi: x.m, lo: c.l(0n) }, wide(c, LN2));
  const fraction = scaleDown(c, y, c.i(BIAS - 1).sub(x.e));
  const factor = series(c, fraction, EXPM1, sign.ne(0));
  const n = normalizeWide(c, mulWide(c, y, factor));
  // Powers of two aside 2^x is irrational.
  c.return(c.callLong(ROUND, sign, x.e.add(1).sub(n.shift), n.x.hi, n.x.lo.or(1n), 64));
});

/**
 * log2((1 + s) / (1 - s)) for s = (hi:lo) × 2^(e-127), hi with its top bit set: value × 2^(e-124), as MUL_WIDE.
 */
const LOG2_RATIO = fn('f80_log2_ratio', ['i64', 'i64', 'i32'], 'i64', (c, hi, lo, e) => {
  const s: Wide = { hi, lo };
  const fraction = scaleDown(c, s, c.i(-1).sub(e));
  const factor = series(c, mulWide(c, fraction, fraction), ATANH, false);
  const p = mulWide(c, mulWide(c, s, wide(c, HALF_LOG2E)), factor);
  c.putLong(R_LONG, p.lo);
  c.return(p.hi);
});
function log2Ratio(c: Code, s: Wide, e: Int): Wide {
  const hi = c.callLong(LOG2_RATIO, s.hi, s.lo, e);
  return { hi, lo: c.getLong(R_LONG) };
}

/** Rounds sign × y × l, where l has its top bit set and the exponent le. */
function timesY(c: Code, sign: Int, ym: Long, ye: Int, l: Wide, le: Int): void {
  const n = normalizeWide(c, mulWide(c, l, { hi: ym, lo: c.l(0n) }));
  c.return(c.callLong(ROUND, sign, ye.add(le).add(1).sub(n.shift), n.x.hi, n.x.lo, 64));
}

/** y × log2(x); x = (am, ase), y = (bm, bse). */
export const Y_LOG2_X = fn('f80_yl2x', ['i64', 'i32', 'i64', 'i32'], 'i64', (c, am, ase, bm, bse) => {
  const ae = ase.and(EXPONENT);
  const ySign = bse.and(SIGN);
  const yInfinite = bse.and(EXPONENT).eq(EXPONENT);
  // Numbers outside the domain do not count as denormal operands, nor does their partner.
  c.if(isNumber(am, ase).and(isNumber(bm, bse)), () => {
    c.if(am.not(), () => {
      c.if(bm.not(), () => invalid(c));
      c.if(yInfinite.not(), () => c.put(R_FLAGS, ZE));
      result(c, ySign.xor(SIGN | EXPONENT), INTEGER_BIT);
    });
    c.if(ase.and(SIGN), () => invalid(c));
  });
  nanOrDenormal(c, am, ase, bm, bse);
  const one = ase.eq(BIAS).and(am.eq(INTEGER_BIT));
  const below = ase.ltU(BIAS);
  const sign = ySign.xor(below.pick(SIGN, 0));
  c.if(yInfinite, () => {
    c.if(one, () => invalid(c));
    result(c, sign.or(EXPONENT), INTEGER_BIT);
  });
  c.if(ae.eq(EXPONENT), () => {
    c.if(bm.not(), () => invalid(c));
    result(c, sign.or(EXPONENT), INTEGER_BIT);
  });
  c.if(bm.not().or(one), () => result(c, sign, 0n));

  const x = normalize(am, ae);
  const y = normalize(bm, bse.and(EXPONENT));
  // x = 2^e × f with f from sqrt(1/2) to sqrt(2).
  const upper = x.m.gtU(SQRT2);
  const e = x.e.sub(BIAS).add(upper);
  const difference = upper.pickLong(x.m.negate(), x.m.sub(INTEGER_BIT));
  const whole = e.lt(0).pick(c.i(0).sub(e), e);
  c.if(difference.not(), () => {
    // The processors call a whole logarithm inexact, too.
    raiseFlags(c, PE);
    const n = whole.long().clz();
    const l: Wide = { hi: whole.long().shl(n), lo: c.l(0n) };
    timesY(c, sign, y.m, y.e, l, c.i(63).sub(n));
  });
  const n = difference.clz();
  const numerator: Wide = { hi: difference.shl(n), lo: c.l(0n) };
  const denominator: Wide = {
    hi: x.m.shr(1).add(upper.pickLong(1n << 63n, 1n << 62n)),
    lo: x.m.shl(63),
  };
  const s = normalizeWide(c, quotient(c, numerator, denominator));
  const se = c.i(-1).sub(n).sub(s.shift);
  const p = log2Ratio(c, s.x, se);
  c.if(e.not(), () => {
    const l = normalizeWide(c, p);
    timesY(c, sign, y.m, y.e, l.x, se.add(3).sub(l.shift));
  });
  // Integer part and logarithm in units of 2^-112.
  const fraction = scaleDown(c, p, c.i(12).sub(se));
  const integer: Wide = { hi: whole.long().shl(48), lo: c.l(0n) };
  const subtracts = upper.ne(e.lt(0));
  const sum = c.addWide(integer, fraction);
  const rest = c.subWide(integer, fraction);
  const l = normalizeWide(c, {
    hi: subtracts.pickLong(rest.hi, sum.hi),
    lo: subtracts.pickLong(rest.lo, sum.lo),
  });
  timesY(c, sign, y.m, y.e, l.x, c.i(15).sub(l.shift));
});

/** y × log2(x + 1). Outside -1/2 < x < 1 the instruction is undefined; here it goes through fyl2x. */
export const Y_LOG2_X1 = fn('f80_yl2xp1', ['i64', 'i32', 'i64', 'i32'], 'i64', (c, am, ase, bm, bse) => {
  const lowest = ase.eq(SIGN | EXPONENT).and(am.eq(INTEGER_BIT));
  c.if(lowest.and(isNumber(bm, bse)), () => invalid(c));
  nanOrDenormal(c, am, ase, bm, bse);
  const sign = ase.xor(bse).and(SIGN);
  const ae = ase.and(EXPONENT);
  const yInfinite = bse.and(EXPONENT).eq(EXPONENT);
  c.if(ae.eq(EXPONENT), () => {
    c.if(bm.not(), () => invalid(c));
    result(c, sign.or(EXPONENT), INTEGER_BIT);
  });
  c.if(yInfinite, () => {
    c.if(am.not(), () => invalid(c));
    result(c, sign.or(EXPONENT), INTEGER_BIT);
  });
  c.if(am.not().or(bm.not()), () => result(c, sign, 0n));
  const x = normalize(am, ae);
  const y = normalize(bm, bse.and(EXPONENT));
  const negative = ase.and(SIGN).ne(0);
  c.if(x.e.ge(negative.pick(BIAS - 1, BIAS)), () => {
    // Undefined; -1 and below stay as they are, the others are near enough to log2 of the rounded sum.
    c.if(negative.and(x.e.ge(BIAS)), () => {
      raiseFlags(c, PE);
      result(c, ase, am);
    });
    const t = scaleDown(c, { hi: x.m, lo: c.l(0n) }, negative.pick(c.i(BIAS).sub(x.e), 0));
    c.if(negative, () => {
      const d = INTEGER_BIT;
      const left = c.l(d).sub(t.hi);
      const shift = left.clz();
      c.return(c.callLong(Y_LOG2_X, left.shl(shift), c.i(BIAS).sub(shift), bm, bse));
    });
    const far = x.e.sub(BIAS);
    const unit = far.lt(64).pickLong(c.l(INTEGER_BIT).shr(far), 0n);
    const sum = x.m.add(unit);
    const carry = sum.ltU(x.m);
    const m = carry.pickLong(sum.shr(1).or(INTEGER_BIT), sum);
    c.return(c.callLong(Y_LOG2_X, m, x.e.add(carry), bm, bse));
  });
  // s = x / (2 + x).
  const t = c.shiftRightSticky({ hi: x.m, lo: c.l(0n) }, clip(c, c.i(BIAS + 1).sub(x.e)));
  const two: Wide = { hi: c.l(INTEGER_BIT), lo: c.l(0n) };
  const more = c.addWide(two, t);
  const less = c.subWide(two, t);
  const d = normalizeWide(c, {
    hi: negative.pickLong(less.hi, more.hi),
    lo: negative.pickLong(less.lo, more.lo),
  });
  const s = normalizeWide(c, quotient(c, { hi: x.m, lo: c.l(0n) }, d.x));
  const se = x.e
    .sub(BIAS + 1)
    .add(d.shift)
    .sub(s.shift);
  const l = normalizeWide(c, log2Ratio(c, s.x, se));
  // Irrational for every x but zero.
  timesY(c, sign, y.m, y.e, { hi: l.x.hi, lo: l.x.lo.or(1n) }, se.add(3).sub(l.shift));
});
function clip(c: Code, n: Int): Int {
  return n.gt(127).pick(c.i(127), n);
}

export const LOG_EXP_FUNCTIONS = [EXP2M1, LOG2_RATIO, Y_LOG2_X, Y_LOG2_X1];

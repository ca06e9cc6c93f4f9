/** x87 arithmetic on 80-bit values: add, subtract, multiply, divide, square root, remainder, compare. */
import { FPU_STATUS } from '../cpu-state.js';
import { fn, type Code, type Int, type L, type Long } from './x87-code.js';
import {
  BIAS,
  C0,
  C2,
  C3,
  DOWN,
  EXPONENT,
  IE,
  INTEGER_BIT,
  OPERANDS,
  R_FLAGS,
  R_LONG,
  ROUND,
  SIGN,
  ZE,
  invalid,
  precisionControl,
  raiseFlags,
  result,
  roundingControl,
} from './x87-round.js';

/** Biased exponent and significand of a finite nonzero operand, with its integer bit at bit 63. */
export function normalize(m: Long, e: Int): { m: Long; e: Int } {
  const shift = m.clz();
  return { m: m.shl(shift), e: e.not().pick(1, e).sub(shift) };
}

/** The NaN that OPERANDS chose, or nothing to be had: in both cases the operation is over. */
function specials(c: Code, am: Long, ase: Int, bm: L, bse: Int): void {
  const what = c.call(OPERANDS, am, ase, bm, bse);
  c.if(what, () => c.return(c.getLong(R_LONG)));
}

/** High half of the 128-bit product. */
export const MUL_HIGH = fn('u64_mul_high', ['i64', 'i64'], 'i64', (c, a, b) => {
  const low = 0xffff_ffffn;
  const a0 = a.and(low);
  const a1 = a.shr(32);
  const b0 = b.and(low);
  const b1 = b.shr(32);
  const middle = a1.mul(b0).add(a0.mul(b0).shr(32));
  const middle2 = a0.mul(b1).add(middle.and(low));
  c.return(a1.mul(b1).add(middle.shr(32)).add(middle2.shr(32)));
});

/**
 * (hi:lo) / d for d >= 2^63 and hi < d: the quotient, and the remainder in R_LONG. Two digits of 32 bits
 * (Knuth, The Art of Computer Programming vol. 2, 4.3.1, algorithm D).
 */
export const DIV_WIDE = fn('u128_div', ['i64', 'i64', 'i64'], 'i64', (c, hi, lo, d) => {
  const low = 0xffff_ffffn;
  const d1 = d.shr(32);
  const d0 = d.and(low);
  const digit = (rest: Long, next: Long): { q: Long; rest: Long } => {
    const q = c.longVar(rest.divU(d1));
    const r = c.longVar(rest.sub(q.get().mul(d1)));
    c.loop(() => {
      const again = c.intVar(0);
      const big = q
        .get()
        .gtU(low)
        .or(q.get().mul(d0).gtU(r.get().shl(32).or(next)));
      c.if(big, () => {
        q.set(q.get().sub(1n));
        const sum = r.get().add(d1);
        r.set(sum);
        again.set(sum.leU(low));
      });
      return again.get();
    });
    return { q: q.get(), rest: rest.shl(32).or(next).sub(q.get().mul(d)) };
  };
  const first = digit(hi, lo.shr(32));
  const second = digit(first.rest, lo.and(low));
  c.putLong(R_LONG, second.rest);
  c.return(first.q.shl(32).or(second.q));
});

function zero(c: Code, sign: Int): void {
  result(c, sign, 0n);
}
function infinity(c: Code, sign: Int): void {
  result(c, sign.or(EXPONENT), INTEGER_BIT);
}

/** a + b, or a - b if `flip` is 0x8000. */
export const ADD = fn('f80_add', ['i64', 'i32', 'i64', 'i32', 'i32'], 'i64', (c, am, ase, bm, bse0, flip) => {
  specials(c, am, ase, bm, bse0);
  const bse = bse0.xor(flip);
  const aSign = ase.and(SIGN);
  const bSign = bse.and(SIGN);
  const aInfinite = ase.and(EXPONENT).eq(EXPONENT);
  const bInfinite = bse.and(EXPONENT).eq(EXPONENT);
  c.if(aInfinite.and(bInfinite).and(aSign.ne(bSign)), () => invalid(c));
  c.if(aInfinite, () => infinity(c, aSign));
  c.if(bInfinite, () => infinity(c, bSign));

  const exactZero = (): Int => roundingControl(c).eq(DOWN).pick(SIGN, 0);
  c.if(am.or(bm).not(), () => zero(c, aSign.eq(bSign).pick(aSign, exactZero())));
  const round = (sign: Int, e: Int, hi: Long, lo: L): void =>
    c.return(c.callLong(ROUND, sign, e, hi, lo, precisionControl(c)));
  c.if(am.not(), () => {
    const b = normalize(bm, bse.and(EXPONENT));
    round(bSign, b.e, b.m, 0n);
  });
  const a = normalize(am, ase.and(EXPONENT));
  c.if(bm.not(), () => round(aSign, a.e, a.m, 0n));
  const b = normalize(bm, bse.and(EXPONENT));

  const aBigger = a.e.gt(b.e).or(a.e.eq(b.e).and(a.m.geU(b.m)));
  const big = aBigger.pickLong(a.m, b.m);
  const small = aBigger.pickLong(b.m, a.m);
  const e = aBigger.pick(a.e, b.e);
  const sign = aBigger.pick(aSign, bSign);
  const distance = e.sub(aBigger.pick(b.e, a.e));
  const y = c.shiftRightSticky({ hi: small, lo: c.l(0n) }, distance.gt(127).pick(127, distance));
  c.if(aSign.eq(bSign), () => {
    const sum = big.add(y.hi);
    c.if(sum.ltU(big), () => {
      const lo = y.lo.shr(1).or(y.lo.and(1n)).or(sum.shl(63));
      round(sign, e.add(1), sum.shr(1).or(INTEGER_BIT), lo);
    });
    round(sign, e, sum, y.lo);
  });
  const d = c.subWide({ hi: big, lo: c.l(0n) }, y);
  c.if(d.hi.or(d.lo).not(), () => zero(c, exactZero()));
  // A high half of zero happens only when the low half is a single bit: both exponents differ by at most one.
  c.if(d.hi.not(), () => {
    const shift = d.lo.clz();
    round(sign, e.sub(64).sub(shift), d.lo.shl(shift), 0n);
  });
  const shift = d.hi.clz();
  const n = c.shiftLeft(d, shift);
  round(sign, e.sub(shift), n.hi, n.lo);
});

export const MUL = fn('f80_mul', ['i64', 'i32', 'i64', 'i32'], 'i64', (c, am, ase, bm, bse) => {
  specials(c, am, ase, bm, bse);
  const sign = ase.xor(bse).and(SIGN);
  const aInfinite = ase.and(EXPONENT).eq(EXPONENT);
  const bInfinite = bse.and(EXPONENT).eq(EXPONENT);
  const aZero = am.not();
  const bZero = bm.not();
  c.if(aInfinite.and(bZero).or(bInfinite.and(aZero)), () => invalid(c));
  c.if(aInfinite.or(bInfinite), () => infinity(c, sign));
  c.if(aZero.or(bZero), () => zero(c, sign));
  const a = normalize(am, ase.and(EXPONENT));
  const b = normalize(bm, bse.and(EXPONENT));
  const hi = c.callLong(MUL_HIGH, a.m, b.m);
  const lo = a.m.mul(b.m);
  const e = a.e.add(b.e).sub(BIAS - 1);
  const precision = precisionControl(c);
  c.if(hi.lt(0n), () => c.return(c.callLong(ROUND, sign, e, hi, lo, precision)));
  const hi2 = hi.shl(1).or(lo.shr(63));
  c.return(c.callLong(ROUND, sign, e.sub(1), hi2, lo.shl(1), precision));
});

export const DIV = fn('f80_div', ['i64', 'i32', 'i64', 'i32'], 'i64', (c, am, ase, bm, bse) => {
  // A denormal divided by zero does not count as a denormal operand.
  const ae = ase.and(EXPONENT);
  const finite = ae
    .not()
    .and(am.ne(0n))
    .or(ae.ne(EXPONENT).and(am.lt(0n)));
  c.if(finite.and(bm.not()).and(bse.and(EXPONENT).not()), () => {
    c.put(R_FLAGS, ZE);
    infinity(c, ase.xor(bse).and(SIGN));
  });
  specials(c, am, ase, bm, bse);
  const sign = ase.xor(bse).and(SIGN);
  const aInfinite = ase.and(EXPONENT).eq(EXPONENT);
  const bInfinite = bse.and(EXPONENT).eq(EXPONENT);
  const aZero = am.not();
  const bZero = bm.not();
  c.if(aInfinite.and(bInfinite).or(aZero.and(bZero)), () => invalid(c));
  c.if(aInfinite, () => infinity(c, sign));
  c.if(bInfinite.or(aZero), () => zero(c, sign));

  const a = normalize(am, ase.and(EXPONENT));
  const b = normalize(bm, bse.and(EXPONENT));
  const less = a.m.ltU(b.m);
  const hi = less.pickLong(a.m, a.m.shr(1));
  const lo = less.pickLong(0n, a.m.shl(63));
  const e = a.e.sub(b.e).add(BIAS).sub(less);
  const q = c.callLong(DIV_WIDE, hi, lo, b.m);
  const r = c.getLong(R_LONG);
  // The tail only has to say: nothing, less than, exactly, or more than half.
  const other = b.m.sub(r);
  const tail = r.gtU(other).pickLong(INTEGER_BIT | 1n, r.eq(other).pickLong(INTEGER_BIT, r.sticky()));
  c.return(c.callLong(ROUND, sign, e, q, tail, precisionControl(c)));
});

/**
 * Square root. The upper 32 bits of the root bit by bit, the lower by one division
 * (Zimmermann, Karatsuba Square Root, INRIA RR-3805).
 */
export const SQRT = fn('f80_sqrt', ['i64', 'i32'], 'i64', (c, m, se) => {
  // Minus zero is its own root; minus anything else has none.
  const number = se.and(EXPONENT).ne(EXPONENT).or(m.eq(INTEGER_BIT));
  const supported = se.and(EXPONENT).not().or(m.lt(0n));
  const negative = se.and(SIGN).ne(0).and(number).and(supported).and(m.ne(0n));
  c.if(negative, () => invalid(c));
  specials(c, m, se, 0n, c.i(0));
  c.if(m.not(), () => zero(c, se));
  c.if(se.eq(EXPONENT), () => infinity(c, c.i(0)));
  const x = normalize(m, se);
  const unbiased = x.e.sub(BIAS);
  const odd = unbiased.and(1);
  // The radicand as 128 bits with an even exponent: m × 2^63 or m × 2^62 … its root has bit 63 set.
  const hi = odd.pickLong(x.m, x.m.shr(1));
  const lo = odd.pickLong(0n, x.m.shl(63));
  const root = c.longVar(0n);
  const rest = c.longVar(0n);
  const bits = c.longVar(hi);
  const count = c.intVar(32);
  c.loop(() => {
    const next = rest.get().shl(2).or(bits.get().shr(62));
    bits.set(bits.get().shl(2));
    const trial = root.get().shl(2).or(1n);
    const fits = next.geU(trial);
    rest.set(fits.pickLong(next.sub(trial), next));
    root.set(root.get().shl(1).or(fits.long()));
    const left = count.get().sub(1);
    count.set(left);
    return left;
  });
  const s = root.get();
  const r = rest.get();
  const a1 = lo.shr(32);
  // r may have 33 bits, so that r × 2^32 + a1 is halved before it is divided by half of 2s.
  const half = r.shl(31).or(a1.shr(1));
  const q = half.divU(s);
  const u = half.sub(q.mul(s)).shl(1).or(a1.and(1n));
  const low = c.addWide(
    { hi: u.shr(32), lo: u.shl(32).or(lo.and(0xffff_ffffn)) },
    { hi: c.l(0n), lo: c.l(0n) },
  );
  // q may be 2^32: then its square is 2^64.
  const square = { hi: q.shr(32), lo: q.mul(q) };
  const d = c.subWide(low, square);
  const guess = s.shl(32).add(q);
  const over = d.hi.lt(0n);
  const value = guess.sub(over.long());
  // Where the guess was one too large the remainder grows by 2 × value + 1.
  const more = { hi: over.pickLong(value.shr(63), 0n), lo: over.pickLong(value.shl(1).or(1n), 0n) };
  const remainder = c.addWide(d, more);
  const above = remainder.hi.ne(0n).or(remainder.lo.gtU(value));
  const tail = above.pickLong(INTEGER_BIT | 1n, remainder.lo.sticky());
  const e = unbiased.sub(odd).sar(1).add(BIAS);
  c.return(c.callLong(ROUND, 0, e, value, tail, precisionControl(c)));
});

/**
 * Compares. Returns C3 C2 C0 as status word bits: 0 greater, C0 less, C3 equal, all unordered. Unless `quiet`, any NaN
 * is an invalid operation.
 */
export const COMPARE = fn(
  'f80_compare',
  ['i64', 'i32', 'i64', 'i32', 'i32'],
  'i32',
  (c, am, ase, bm, bse, quiet) => {
    const what = c.call(OPERANDS, am, ase, bm, bse);
    c.if(what.eq(1), () => {
      c.put(R_FLAGS, c.get(R_FLAGS).or(quiet.pick(0, IE)));
      c.return(C0 | C2 | C3);
    });
    c.if(am.or(bm).not(), () => c.return(C3));
    const aSign = ase.and(SIGN);
    const bSign = bse.and(SIGN);
    c.if(aSign.ne(bSign), () => c.return(aSign.ne(0).pick(C0, 0)));
    // A pseudo-denormal has the value of the normal number with exponent 1.
    const exponent = (m: Long, se: Int): Int => {
      const e = se.and(EXPONENT);
      return e.not().and(m.shr(63).int()).or(e);
    };
    const ae = exponent(am, ase);
    const be = exponent(bm, bse);
    c.if(ae.eq(be).and(am.eq(bm)), () => c.return(C3));
    const smaller = ae.ltU(be).or(ae.eq(be).and(am.ltU(bm)));
    c.return(smaller.ne(aSign.ne(0)).pick(C0, 0));
  },
);

/**
 * fprem (`nearest` 0) and fprem1 (1): the remainder of a / b. Leaves C0 C3 C1 (quotient bits 2 1 0) or C2 (exponents
 * 64 or more apart: only reduced) in R_FLAGS.
 */
export const REMAINDER = fn(
  'f80_remainder',
  ['i64', 'i32', 'i64', 'i32', 'i32'],
  'i64',
  (c, am, ase, bm, bse, nearest) => {
    // Invalid operands do not count as denormal operands.
    const sound = (m: Long, e: Int): Int => e.not().or(e.ne(EXPONENT).and(m.lt(0n)));
    const infinite = (m: Long, e: Int): Int => e.eq(EXPONENT).and(m.eq(INTEGER_BIT));
    const ae = ase.and(EXPONENT);
    const be = bse.and(EXPONENT);
    const bad = infinite(am, ae).and(sound(bm, be).or(infinite(bm, be)));
    c.if(bad.or(bm.not().and(be.not()).and(sound(am, ae))), () => invalid(c));
    specials(c, am, ase, bm, bse);
    const sign = ase.and(SIGN);
    c.put(FPU_STATUS, c.get(FPU_STATUS).and(~(C0 | C3)));
    c.if(am.not(), () => zero(c, sign));
    const a = normalize(am, ase.and(EXPONENT));
    const round = (s: Int, e: Int, m: Long): void => c.return(c.callLong(ROUND, s, e, m, 0n, 64));
    c.if(bse.and(EXPONENT).eq(EXPONENT), () => round(sign, a.e, a.m));
    const b = normalize(bm, bse.and(EXPONENT));
    const distance = a.e.sub(b.e);
    // |a| < |b| / 2 is its own remainder.
    c.if(distance.lt(-1), () => round(sign, a.e, a.m));

    const finish = (q: Int, rest: Long, e: Int, s: Int, partial: boolean): void => {
      const bits = q.and(4).shl(6).or(q.and(2).shl(13)).or(q.and(1).shl(9));
      raiseFlags(c, partial ? C2 : bits);
      c.if(rest.not(), () => zero(c, sign));
      const n = rest.clz();
      round(s, e.sub(n), rest.shl(n));
    };
    c.if(distance.eq(-1), () => {
      // Only the rounded quotient can be 1 here: if a > b/2; r = a - b.
      c.if(nearest.and(a.m.gtU(b.m)), () => {
        // 2b - a in units of a's last place.
        const d = c.subWide({ hi: c.l(1n).and(b.m.shr(63)), lo: b.m.shl(1) }, { hi: c.l(0n), lo: a.m });
        finish(c.i(1), d.lo, a.e, sign.xor(SIGN), false);
      });
      round(sign, a.e, a.m);
    });
    const first = a.m.geU(b.m);
    const start = a.m.sub(first.pickLong(b.m, 0n));
    c.if(distance.lt(64), () => {
      // start × 2^distance / b; the first quotient bit stands above the others.
      const hi = start.shr(1).shr(distance.xor(63));
      const q0 = c.callLong(DIV_WIDE, distance.not().pickLong(0n, hi), start.shl(distance), b.m);
      const rest = c.getLong(R_LONG);
      const q = q0.int().or(first.shl(distance.lt(31).pick(distance, 31)));
      const other = b.m.sub(rest);
      const up = nearest.and(rest.gtU(other).or(rest.eq(other).and(q.and(1))));
      finish(q.add(up), up.pickLong(other, rest), b.e, up.pick(sign.xor(SIGN), sign), false);
    });
    // Reduce the exponent by 32 .. 63, so that the same remainder can be reached in further steps.
    const step = distance.and(31).or(32);
    const hi = start.shr(1).shr(step.xor(63));
    c.callLong(DIV_WIDE, hi, start.shl(step), b.m);
    finish(c.i(0), c.getLong(R_LONG), b.e.add(distance).sub(step), sign, true);
  },
);

export const ARITHMETIC_FUNCTIONS = [MUL_HIGH, DIV_WIDE, ADD, MUL, DIV, SQRT, COMPARE, REMAINDER];

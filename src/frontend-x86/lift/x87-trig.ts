/** fsin, fcos, fptan and fpatan on 80-bit values, within one unit of the last place. */
import { fn, type Code, type Int, type Long, type Wide } from './x87-code.js';
import { MUL_HIGH, normalize } from './x87-arith.js';
import {
  BIAS,
  EXPONENT,
  INTEGER_BIT,
  OPERANDS,
  R_LONG,
  R_LONG2,
  R_OK,
  R_SE2,
  ROUND,
  SIGN,
  result,
} from './x87-round.js';
import { isZero, mulWide, normalizeWide, pickWide, quotient, scaleDown, series, wide } from './x87-wide.js';

/** pi / 2 as the processors have it, 66 bits, in units of 2^-65 (Intel SDM vol. 1, 8.3.8). */
const HALF_PI_66 = 0x3_243f_6a88_85a3_08d3n;
/** pi in units of 2^-126, and so pi / 4 in units of 2^-128. */
const PI = 0xc90fdaa22168c234c4c6628b80dc1cd1n;
/** atan(k / 8), k = 1 .. 8, in units of 2^-128. */
const ATAN_EIGHTHS = [
  0n,
  0x1fd5ba9aac2f6dc65912f313e7d111dfn,
  0x3eb6ebf25901bac55b71e7bd7de885f9n,
  0x5bd86507937bc239c55190916e7f2242n,
  0x76b19c1586ed3da2b7f222f65e1d4682n,
  0x8f005d5ef7f59f9b5c835e1665c43748n,
  0xa4bc7d1934f7092419a87f2a457dac9fn,
  0xb8053e2bc2319e73cb2da55210a4443dn,
  PI,
];

/** 1/3! - z/5! + …, so that sin(r) = r (1 - z × this); 1/2! - z/4! + … for cos(r) = 1 - z × this; z = r². */
const SIN: bigint[] = [];
const COS: bigint[] = [];
for (let n = 2, factorial = 2n; n <= 29; n++, factorial *= BigInt(n)) {
  (n % 2 ? SIN : COS).push((1n << 128n) / factorial);
}
/** atan(s) / s = 1 - s²/3 + s⁴/5 …, in units of 2^-127; s up to 1/16. */
const ATAN: bigint[] = [];
for (let k = 0; k <= 12; k++) ATAN.push((1n << 127n) / BigInt(2 * k + 1));

/**
 * Reduces m × 2^(e-63), e < 63, to r in [-pi/4, pi/4] and the number of quarter turns taken away, which is returned
 * (its lower bits): r = ±(R_LONG:R_LONG2) × 2^(R_SE2 - 127), negative if R_OK. Exact for a pi of 66 bits.
 */
export const REDUCE = fn('f80_reduce', ['i64', 'i32'], 'i32', (c, m, e) => {
  const answer = (x: Wide, exponent: Int, q: Int, negative: Int): void => {
    c.putLong(R_LONG, x.hi);
    c.putLong(R_LONG2, x.lo);
    c.put(R_SE2, exponent);
    c.put(R_OK, negative);
    c.return(q);
  };
  const small = e.lt(-1).or(e.eq(-1).and(m.leU(PI >> 64n)));
  c.if(small, () => answer({ hi: m, lo: c.l(0n) }, e, c.i(0), c.i(0)));
  // Units of 2^-66 for the remainder, which starts as 8m × 2^(e-66) or, below 1, as 4m × 2^-66.
  const p = wide(c, HALF_PI_66 << 1n);
  const below = e.lt(0);
  const hi = c.longVar(below.pickLong(m.shr(62), m.shr(61)));
  const lo = c.longVar(below.pickLong(m.shl(2), m.shl(3)));
  const q = c.intVar(0);
  const left = c.intVar(below.pick(0, e));
  c.loop(() => {
    const r: Wide = { hi: hi.get(), lo: lo.get() };
    const fits = p.hi.ltU(r.hi).or(p.hi.eq(r.hi).and(p.lo.leU(r.lo)));
    const rest = pickWide(fits, c.subWide(r, p), r);
    q.set(q.get().shl(1).or(fits));
    const more = left.get().gt(0);
    const next = pickWide(more, c.shiftLeft(rest, c.i(1)), rest);
    hi.set(next.hi);
    lo.set(next.lo);
    left.set(left.get().sub(1));
    return more;
  });
  const r: Wide = { hi: hi.get(), lo: lo.get() };
  const other = c.subWide(p, r);
  const over = other.hi.ltU(r.hi).or(other.hi.eq(r.hi).and(other.lo.ltU(r.lo)));
  const n = normalizeWide(c, pickWide(over, other, r));
  answer(n.x, c.i(61).sub(n.shift), q.get().add(over), over);
});

/** r² as a fraction of 2^128. */
function square(c: Code, r: Wide, e: Int): Wide {
  const fraction = scaleDown(c, r, c.i(-1).sub(e));
  return mulWide(c, fraction, fraction);
}
/** x - y × x / 2^128 or, where that would be nothing, x less one unit: the value is irrational. */
function less(c: Code, x: Wide, y: Wide): Wide {
  const none = isZero(y);
  return c.subWide(x, { hi: y.hi, lo: y.lo.or(none.long()) });
}
/** sin((hi:lo) × 2^(e-127)) × 2^(127-e), as MUL_WIDE. */
const SIN_REDUCED = fn('f80_sin_reduced', ['i64', 'i64', 'i32'], 'i64', (c, hi, lo, e) => {
  const r: Wide = { hi, lo };
  const z = square(c, r, e);
  const value = less(c, r, mulWide(c, r, mulWide(c, z, series(c, z, SIN, true))));
  c.putLong(R_LONG, value.lo);
  c.return(value.hi);
});
/** cos of the same × 2^128. */
const COS_REDUCED = fn('f80_cos_reduced', ['i64', 'i64', 'i32'], 'i64', (c, hi, lo, e) => {
  const z = square(c, { hi, lo }, e);
  const value = less(c, wide(c, 0n), mulWide(c, z, series(c, z, COS, true)));
  c.putLong(R_LONG, value.lo);
  c.return(value.hi);
});

/** sin(x) for `turn` 0, cos(x) for 1; |x| < 2^63. */
export const SIN_COS = fn('f80_sin_cos', ['i64', 'i32', 'i32'], 'i64', (c, m, se, turn) => {
  c.if(c.call(OPERANDS, m, se, 0n, 0), () => c.return(c.getLong(R_LONG)));
  c.if(m.not(), () => {
    c.if(turn, () => result(c, BIAS, INTEGER_BIT));
    result(c, se, m);
  });
  const x = normalize(m, se.and(EXPONENT));
  const q = c.call(REDUCE, x.m, x.e.sub(BIAS)).add(turn);
  const hi = c.getLong(R_LONG);
  const lo = c.getLong(R_LONG2);
  const e = c.get(R_SE2);
  const negative = c.get(R_OK).ne(0);
  const half = q.and(2).ne(0);
  const xNegative = se.and(SIGN).ne(0).and(turn.not());
  const round = (v: Wide, exponent: Int, minus: Int): void => {
    const n = normalizeWide(c, v);
    const sign = minus.ne(xNegative).pick(SIGN, 0);
    c.return(c.callLong(ROUND, sign, exponent.sub(n.shift).add(BIAS), n.x.hi, n.x.lo, 64));
  };
  c.if(q.and(1), () => {
    const v = c.callLong(COS_REDUCED, hi, lo, e);
    round({ hi: v, lo: c.getLong(R_LONG) }, c.i(-1), half);
  });
  const v = c.callLong(SIN_REDUCED, hi, lo, e);
  round({ hi: v, lo: c.getLong(R_LONG) }, e, half.ne(negative));
});

/** tan(x), |x| < 2^63. */
export const TAN = fn('f80_tan', ['i64', 'i32'], 'i64', (c, m, se) => {
  c.if(c.call(OPERANDS, m, se, 0n, 0), () => c.return(c.getLong(R_LONG)));
  c.if(m.not(), () => result(c, se, m));
  const x = normalize(m, se.and(EXPONENT));
  // tan(x) = x + x³/3 + …: here x and a tail.
  c.if(x.e.lt(BIAS - 40), () => c.return(c.callLong(ROUND, se.and(SIGN), x.e, x.m, 1n, 64)));
  const q = c.call(REDUCE, x.m, x.e.sub(BIAS));
  const hi = c.getLong(R_LONG);
  const lo = c.getLong(R_LONG2);
  const e = c.get(R_SE2);
  const odd = q.and(1);
  const minus = c.get(R_OK).ne(0).ne(odd).ne(se.and(SIGN).ne(0));
  const sh = c.callLong(SIN_REDUCED, hi, lo, e);
  const sin = normalizeWide(c, { hi: sh, lo: c.getLong(R_LONG) });
  const ch = c.callLong(COS_REDUCED, hi, lo, e);
  const cos = normalizeWide(c, { hi: ch, lo: c.getLong(R_LONG) });
  const sinE = e.sub(sin.shift);
  const cosE = c.i(-1).sub(cos.shift);
  const v = quotient(c, pickWide(odd, cos.x, sin.x), pickWide(odd, sin.x, cos.x));
  const n = normalizeWide(c, v);
  const exponent = odd.pick(cosE.sub(sinE), sinE.sub(cosE));
  const sign = minus.pick(SIGN, 0);
  const biased = exponent.sub(n.shift).add(BIAS);
  c.return(c.callLong(ROUND, sign, biased, n.x.hi, n.x.lo.or(1n), 64));
});

/** a × k for small k. */
function times(c: Code, a: Wide, k: Long): Wide {
  return { hi: a.hi.mul(k).add(c.callLong(MUL_HIGH, a.lo, k)), lo: a.lo.mul(k) };
}

/** The angle of the point x = (am, ase), y = (bm, bse). */
export const ATAN2 = fn('f80_atan2', ['i64', 'i32', 'i64', 'i32'], 'i64', (c, am, ase, bm, bse) => {
  c.if(c.call(OPERANDS, am, ase, bm, bse), () => c.return(c.getLong(R_LONG)));
  const sign = bse.and(SIGN);
  const left = ase.and(SIGN).ne(0);
  const angle = (value: bigint, e: number): void => {
    const v = wide(c, value);
    c.return(c.callLong(ROUND, sign, BIAS + e, v.hi, v.lo, 64));
  };
  const xInfinite = ase.and(EXPONENT).eq(EXPONENT);
  c.if(bse.and(EXPONENT).eq(EXPONENT), () => {
    c.if(xInfinite.and(left), () => angle((3n * PI) / 4n, 1));
    c.if(xInfinite, () => angle(PI, -1));
    angle(PI, 0);
  });
  c.if(bm.not().or(xInfinite), () => {
    c.if(left, () => angle(PI, 1));
    result(c, sign, 0n);
  });
  c.if(am.not(), () => angle(PI, 0));

  const x = normalize(am, ase.and(EXPONENT));
  const y = normalize(bm, bse.and(EXPONENT));
  const steep = y.e.gt(x.e).or(y.e.eq(x.e).and(y.m.gtU(x.m)));
  const u = steep.pickLong(x.m, y.m);
  const v = steep.pickLong(y.m, x.m);
  const distance = steep.pick(y.e.sub(x.e), x.e.sub(y.e));
  // atan(u/v) = atan(k/8) + atan((8u - kv) / (8v + ku)), with k/8 the nearest to u/v.
  const near = distance.lt(5);
  const d = near.pick(distance, 0);
  const sixteenths = u.shr(32).shl(4).shr(d).divU(v.shr(32)).int();
  const k = near.pick(sixteenths.add(1).shr(1), 0);
  const wideU: Wide = { hi: c.l(0n), lo: u };
  const wideV = c.shiftLeft({ hi: c.l(0n), lo: v }, d);
  const eight = c.l(8n);
  const u8 = times(c, wideU, eight);
  const kv = times(c, wideV, k.long());
  const minus = u8.hi.ltU(kv.hi).or(u8.hi.eq(kv.hi).and(u8.lo.ltU(kv.lo)));
  const num = pickWide(minus, c.subWide(kv, u8), c.subWide(u8, kv));
  const den = c.addWide(times(c, wideV, eight), times(c, wideU, k.long()));
  const nothing = isZero(num);
  const n = normalizeWide(c, { hi: num.hi, lo: num.lo.or(nothing.long()) });
  const b = normalizeWide(c, den);
  const s = normalizeWide(c, quotient(c, n.x, b.x));
  const e = b.shift.sub(n.shift).sub(s.shift).sub(near.pick(0, distance));
  const fraction = scaleDown(c, s.x, c.i(-1).sub(e));
  const p = mulWide(c, s.x, series(c, mulWide(c, fraction, fraction), ATAN, true));
  c.if(k.or(steep).or(left).not(), () => {
    // Less than s by less than a unit where s² vanishes.
    const n = normalizeWide(c, c.subWide(p, wide(c, 1n)));
    c.return(c.callLong(ROUND, sign, e.add(BIAS + 1).sub(n.shift), n.x.hi, n.x.lo, 64));
  });
  // In units of 2^-126.
  const small = scaleDown(c, p, c.i(0).sub(e));
  const a = pickWide(nothing, wide(c, 0n), small);
  let base = wide(c, 0n);
  ATAN_EIGHTHS.forEach((value, index) => {
    if (index > 0) base = pickWide(k.eq(index), wide(c, value >> 2n), base);
  });
  const first = pickWide(minus, c.subWide(base, a), c.addWide(base, a));
  const second = pickWide(steep, c.subWide(wide(c, PI >> 1n), first), first);
  const third = normalizeWide(c, pickWide(left, c.subWide(wide(c, PI), second), second));
  const biased = c.i(BIAS + 1).sub(third.shift);
  c.return(c.callLong(ROUND, sign, biased, third.x.hi, third.x.lo, 64));
});

export const TRIG_FUNCTIONS = [REDUCE, SIN_REDUCED, COS_REDUCED, SIN_COS, TAN, ATAN2];

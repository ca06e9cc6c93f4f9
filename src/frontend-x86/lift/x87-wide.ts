/** 128-bit fixed point for the x87's transcendental functions: products, quotients, power series. */
import { DIV_WIDE, MUL_HIGH } from './x87-arith.js';
import { fn, type Code, type Int, type Wide } from './x87-code.js';
import { R_LONG } from './x87-round.js';

/** The upper 128 bits of a 256-bit product, at most 3 units too small; the lower half is left in R_LONG. */
export const MUL_WIDE = fn('u128_mul', ['i64', 'i64', 'i64', 'i64'], 'i64', (c, ah, al, bh, bl) => {
  const high = c.callLong(MUL_HIGH, ah, bh);
  const low = ah.mul(bh);
  const sum = low.add(c.callLong(MUL_HIGH, ah, bl));
  const sum2 = sum.add(c.callLong(MUL_HIGH, al, bh));
  c.putLong(R_LONG, sum2);
  c.return(high.add(sum.ltU(low).long()).add(sum2.ltU(sum).long()));
});
export function mulWide(c: Code, x: Wide, y: Wide): Wide {
  const hi = c.callLong(MUL_WIDE, x.hi, x.lo, y.hi, y.lo);
  return { hi, lo: c.getLong(R_LONG) };
}

/** a × 2^127 / b for a and b with their top bits set, a few units off; as MUL_WIDE. */
export const QUOTIENT = fn('u128_quotient', ['i64', 'i64', 'i64', 'i64'], 'i64', (c, ah, al, bh, bl) => {
  const hi = ah.shr(1);
  const lo = al.shr(1).or(ah.shl(63));
  const q = c.longVar(c.callLong(DIV_WIDE, hi, lo, bh));
  const rest = c.getLong(R_LONG);
  // What the lower half of b takes away may make the first digit up to two too large.
  const taken: Wide = { hi: c.callLong(MUL_HIGH, q.get(), bl), lo: q.get().mul(bl) };
  const r = c.subWide({ hi: rest, lo: c.l(0n) }, taken);
  const rh = c.longVar(r.hi);
  const rl = c.longVar(r.lo);
  const negative = c.intVar(rest.ltU(taken.hi).or(rest.eq(taken.hi).and(taken.lo.ne(0n))));
  c.if(negative.get(), () =>
    c.loop(() => {
      q.set(q.get().sub(1n));
      const before = rh.get();
      const sum = c.addWide({ hi: before, lo: rl.get() }, { hi: bh, lo: bl });
      rh.set(sum.hi);
      rl.set(sum.lo);
      // A carry out of the sum brings it back above zero.
      return sum.hi.ltU(before).not().and(sum.hi.ne(before));
    }),
  );
  const second = c.longVar(0xffff_ffff_ffff_ffffn);
  c.if(rh.get().ltU(bh), () => second.set(c.callLong(DIV_WIDE, rh.get(), rl.get(), bh)));
  c.putLong(R_LONG, second.get());
  c.return(q.get());
});
export function quotient(c: Code, a: Wide, b: Wide): Wide {
  const hi = c.callLong(QUOTIENT, a.hi, a.lo, b.hi, b.lo);
  return { hi, lo: c.getLong(R_LONG) };
}

/** Shifts a number that is not zero left until its top bit is set; tells by how much. */
export function normalizeWide(c: Code, x: Wide): { x: Wide; shift: Int } {
  const small = x.hi.not();
  const hi = small.pickLong(x.lo, x.hi);
  const lo = small.pickLong(0n, x.lo);
  const shift = hi.clz();
  return { x: c.shiftLeft({ hi, lo }, shift), shift: shift.add(small.shl(6)) };
}

/** A 128-bit constant. */
export function wide(c: Code, value: bigint): Wide {
  return { hi: c.l(BigInt.asUintN(64, value >> 64n)), lo: c.l(BigInt.asUintN(64, value)) };
}
export function pickWide(condition: Int, yes: Wide, no: Wide): Wide {
  return { hi: condition.pickLong(yes.hi, no.hi), lo: condition.pickLong(yes.lo, no.lo) };
}
export function isZero(x: Wide): Int {
  return x.hi.or(x.lo).not();
}
/** x / 2^n for n >= 0, rounded down but for a sticky lowest bit. */
export function scaleDown(c: Code, x: Wide, n: Int): Wide {
  return c.shiftRightSticky(x, n.gt(127).pick(127, n));
}

/**
 * coefficients[0] ∓ z × (coefficients[1] ∓ z × (…)): alternating if `minus` is nonzero, else a sum. z is a fraction of
 * 2^128; the scale of the coefficients is that of the result.
 */
export function series(c: Code, z: Wide, coefficients: readonly bigint[], minus: Int | boolean): Wide {
  let sum = wide(c, coefficients.at(-1)!);
  for (const coefficient of coefficients.slice(0, -1).reverse()) {
    const k = wide(c, coefficient);
    const p = mulWide(c, z, sum);
    if (minus === true) sum = c.subWide(k, p);
    else if (minus === false) sum = c.addWide(k, p);
    else sum = pickWide(minus, c.subWide(k, p), c.addWide(k, p));
  }
  return sum;
}

export const WIDE_FUNCTIONS = [MUL_WIDE, QUOTIENT];

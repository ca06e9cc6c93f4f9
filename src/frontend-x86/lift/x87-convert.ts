/** Conversions between the 80-bit format and those in memory (Intel SDM vol. 1, 4.8.3, 8.2 and 8.5). */
import { FPU_CONTROL } from '../cpu-state.js';
import type { IrFunction } from '../../ir/ir.js';
import { fn, type Code, type Int, type Long } from './x87-code.js';
import {
  BIAS,
  C1,
  DE,
  EXPONENT,
  IE,
  INDEFINITE,
  INDEFINITE_SE,
  INTEGER_BIT,
  OE,
  PE,
  QUIET_BIT,
  R_FLAGS,
  R_LONG,
  R_OK,
  R_SE,
  SF,
  SIGN,
  UE,
  inUse,
  mantissaOf,
  physical,
  raiseFlags,
  result,
  roundingControl,
  roundsUp,
  seOf,
  unmasked,
  DOWN,
  NEAREST,
  UP,
} from './x87-round.js';

/** An IEEE 754 interchange format: total bits, significand bits with the hidden one. */
interface Format {
  readonly bits: 32 | 64;
  readonly precision: 24 | 53;
}
const SINGLE: Format = { bits: 32, precision: 24 };
const DOUBLE: Format = { bits: 64, precision: 53 };
const exponentBits = (f: Format): number => f.bits - f.precision;
const bias = (f: Format): number => (1 << (exponentBits(f) - 1)) - 1;

/** Widens; exact. A denormal operand sets DE, and R_FLAGS anew; NaNs keep their quiet bit as it is. */
function widen(c: Code, f: Format, bits: Long): void {
  const top = (1 << exponentBits(f)) - 1;
  const e = bits
    .shr(f.precision - 1)
    .int()
    .and(top);
  const sign = bits
    .shr(f.bits - 16)
    .int()
    .and(SIGN);
  const fraction = bits
    .shl(64 - f.precision)
    .shl(1)
    .shr(1);
  c.put(R_FLAGS, 0);
  c.if(e.not(), () => {
    c.if(fraction.not(), () => result(c, sign, 0n));
    c.put(R_FLAGS, DE);
    const shift = fraction.clz();
    result(c, sign.or(c.i(BIAS - bias(f) + 1).sub(shift)), fraction.shl(shift));
  });
  const wide = e.eq(top).pick(EXPONENT, e.add(BIAS - bias(f)));
  result(c, sign.or(wide), fraction.or(INTEGER_BIT));
}
export const FROM_F32 = fn('f80_from_f32', ['i32'], 'i64', (c, bits) => widen(c, SINGLE, bits.long()));
export const FROM_F64 = fn('f80_from_f64', ['i64'], 'i64', (c, bits) => widen(c, DOUBLE, bits));

export const FROM_INT = fn('f80_from_int', ['i64'], 'i64', (c, value) => {
  c.put(R_FLAGS, 0);
  c.if(value.not(), () => result(c, 0, 0n));
  const negative = value.lt(0n);
  const magnitude = negative.pickLong(value.negate(), value);
  const shift = magnitude.clz();
  const sign = negative.pick(SIGN, 0);
  result(c, sign.or(c.i(BIAS + 63).sub(shift)), magnitude.shl(shift));
});

/** Packed BCD: 16 digits, then 2 digits and the sign byte. Digits above 9 have the value of their nibble. */
export const FROM_BCD = fn('f80_from_bcd', ['i64', 'i32'], 'i64', (c, low, high) => {
  const value = c.longVar(high.shr(4).and(15).mul(10).add(high.and(15)).long());
  const rest = c.longVar(low);
  const count = c.intVar(16);
  c.loop(() => {
    value.set(value.get().mul(10n).add(rest.get().shr(60)));
    rest.set(rest.get().shl(4));
    const left = count.get().sub(1);
    count.set(left);
    return left;
  });
  const m = c.callLong(FROM_INT, value.get());
  c.put(R_SE, c.get(R_SE).or(high.and(SIGN)));
  c.return(m);
});

/**
 * Starts a store of ST(0): `empty` returns what a masked stack underflow stores. R_OK is 0 if an unmasked exception
 * forbids the store and the pop.
 */
function storing(c: Code, empty: () => void, body: (m: Long, se: Int) => void): void {
  c.put(R_FLAGS, 0);
  c.put(R_OK, 1);
  const r = physical(c, 0);
  c.if(inUse(r).not(), () => {
    refuse(c, IE | SF);
    empty();
  });
  body(mantissaOf(r), seOf(r));
}
/** Raises exceptions that, unmasked, leave memory and stack as they are. */
function refuse(c: Code, flags: number): void {
  raiseFlags(c, flags);
  c.put(
    R_OK,
    c
      .get(FPU_CONTROL)
      .and(flags & 0x3f)
      .ne(0)
      .and(c.get(R_OK)),
  );
}

function narrow(c: Code, f: Format): void {
  const { precision } = f;
  const top = (1 << exponentBits(f)) - 1;
  const infinity = BigInt(top) << BigInt(precision - 1);
  const quiet = infinity | (1n << BigInt(precision - 2));
  const indefinite = quiet | (1n << BigInt(f.bits - 1));
  storing(
    c,
    () => c.return(indefinite),
    (m, se) => {
      const signBit = se
        .and(SIGN)
        .long()
        .shl(f.bits - 16);
      const e80 = se.and(EXPONENT);
      c.if(e80.ne(0).and(m.lt(0n).not()), () => {
        refuse(c, IE);
        c.return(indefinite);
      });
      c.if(e80.eq(EXPONENT), () => {
        c.if(m.eq(INTEGER_BIT), () => c.return(signBit.or(infinity)));
        c.if(m.and(QUIET_BIT).not(), () => refuse(c, IE));
        const payload = m
          .shl(1)
          .shr(1)
          .shr(64 - precision);
        c.return(signBit.or(quiet).or(payload));
      });
      c.if(m.not(), () => c.return(signBit));
      const shift = m.clz();
      const e = e80
        .not()
        .pick(1, e80)
        .sub(shift)
        .sub(BIAS - bias(f));
      const hi = c.longVar(m.shl(shift));
      const lo = c.longVar(0n);
      const biased = c.intVar(e);
      const tailOf = (): Long => hi.get().shl(precision).or(lo.get().sticky());
      const kept = (): Long => hi.get().shr(64 - precision);
      const upOf = (): Int => roundsUp(c, se.and(SIGN), tailOf(), kept().int().and(1));
      const tiny = c.intVar(0);
      c.if(e.le(0), () => {
        const carries = kept()
          .add(1n)
          .eq(1n << BigInt(precision))
          .and(upOf());
        tiny.set(e.lt(0).or(carries.not()));
        c.if(tiny.get().and(unmasked(c, UE).ne(0)), () => {
          refuse(c, UE);
          c.return(0n);
        });
        const distance = c.i(1).sub(e);
        const y = c.shiftRightSticky({ hi: hi.get(), lo: lo.get() }, distance.gt(127).pick(127, distance));
        hi.set(y.hi);
        lo.set(y.lo);
        // The integer bit, where there is one, adds 1 to the exponent field below.
        biased.set(1);
      });
      const tail = tailOf();
      const up = upOf();
      const flags = c.intVar(0);
      c.if(tail.ne(0n), () => {
        flags.set(up.pick(PE | C1, PE));
        c.if(tiny.get(), () => flags.set(flags.get().or(UE)));
      });
      const value = biased
        .get()
        .sub(1)
        .long()
        .shl(precision - 1)
        .add(kept())
        .add(up.long());
      const tooLarge = e.ge(top).or(value.geU(infinity));
      c.if(tooLarge, () => {
        c.if(unmasked(c, OE), () => {
          refuse(c, OE);
          c.return(0n);
        });
        const rc = roundingControl(c);
        const negative = se.and(SIGN).ne(0);
        const infinite = rc.eq(NEAREST).or(rc.eq(UP).and(negative.not())).or(rc.eq(DOWN).and(negative));
        raiseFlags(c, infinite.pick(OE | PE | C1, OE | PE));
        c.return(signBit.or(infinite.pickLong(infinity, infinity - 1n)));
      });
      raiseFlags(c, flags.get());
      c.return(signBit.or(value));
    },
  );
}
/** ST(0) as bits of a float for memory; status is untouched but for the R_ slots. */
export const TO_F32 = fn('x87_to_f32', [], 'i64', (c) => narrow(c, SINGLE));
export const TO_F64 = fn('x87_to_f64', [], 'i64', (c) => narrow(c, DOUBLE));

/** Significand of ST(0) unchanged, sign and exponent in R_SE. */
export const TO_F80 = fn('x87_to_f80', [], 'i64', (c) =>
  storing(
    c,
    () => result(c, INDEFINITE_SE, INDEFINITE),
    (m, se) => result(c, se, m),
  ),
);

/** |value| as an integer rounded by RC, and the tail: for exponents below 64. */
export function toInteger(c: Code, m: Long, se: Int): { value: Long; tail: Long; up: Int } {
  const distance = c.i(BIAS + 63).sub(se.and(EXPONENT));
  const y = c.shiftRightSticky({ hi: m, lo: c.l(0n) }, distance.gt(127).pick(127, distance));
  const up = roundsUp(c, se.and(SIGN), y.lo, y.hi.int().and(1));
  return { value: y.hi.add(up.long()), tail: y.lo, up };
}

/** ST(0) as an integer of 16, 32 or 64 bits, rounded by RC; "integer indefinite" if it does not fit. */
export const TO_INT = fn('x87_to_int', ['i32'], 'i64', (c, bits) => {
  const smallest = c.l(0xffff_ffff_ffff_ffffn).shl(bits.sub(1));
  storing(
    c,
    () => c.return(smallest),
    (m, se) => {
      const e = se.and(EXPONENT);
      const bad = (): void => {
        refuse(c, IE);
        c.return(smallest);
      };
      c.if(e.gt(BIAS + 63).or(e.ne(0).and(m.lt(0n).not())), bad);
      const x = toInteger(c, m, se);
      const negative = se.and(SIGN).ne(0);
      const limit = smallest.negate().sub(negative.not().long());
      // Rounding up from 2^64 - 1 wraps to 0 with a tail of zero bits lost: |x| >= 2^63 is seen by its top bit before.
      c.if(x.value.gtU(limit).or(x.value.not().and(e.ge(BIAS + 63))), bad);
      c.if(x.tail.ne(0n), () => raiseFlags(c, x.up.pick(PE | C1, PE)));
      c.return(negative.pickLong(x.value.negate(), x.value));
    },
  );
});

/** ST(0) as packed BCD: low 8 bytes returned, high 2 in R_LONG. */
export const TO_BCD = fn('x87_to_bcd', [], 'i64', (c) => {
  const indefinite = (): void => {
    c.putLong(R_LONG, 0xffffn);
    c.return(0xc000_0000_0000_0000n);
  };
  storing(c, indefinite, (m, se) => {
    const e = se.and(EXPONENT);
    const bad = (): void => {
      refuse(c, IE);
      indefinite();
    };
    c.if(e.gt(BIAS + 59).or(e.ne(0).and(m.lt(0n).not())), bad);
    const x = toInteger(c, m, se);
    c.if(x.value.gtU(999_999_999_999_999_999n), bad);
    c.if(x.tail.ne(0n), () => raiseFlags(c, x.up.pick(PE | C1, PE)));
    const rest = c.longVar(x.value);
    const low = c.longVar(0n);
    const count = c.intVar(16);
    c.loop(() => {
      const q = rest.get().divU(10n);
      const digit = rest.get().sub(q.mul(10n));
      low.set(low.get().shr(4).or(digit.shl(60)));
      rest.set(q);
      const left = count.get().sub(1);
      count.set(left);
      return left;
    });
    const tens = rest.get().divU(10n);
    const high = tens.shl(4).or(rest.get().sub(tens.mul(10n)));
    c.putLong(R_LONG, high.or(se.and(SIGN).long()));
    c.return(low.get());
  });
});

export const CONVERT_FUNCTIONS: readonly IrFunction[] = [
  FROM_F32,
  FROM_F64,
  FROM_INT,
  FROM_BCD,
  TO_F32,
  TO_F64,
  TO_F80,
  TO_INT,
  TO_BCD,
];

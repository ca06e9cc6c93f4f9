/** x87 states that find mistakes: every class of number, every rounding and precision, stack faults, pending exceptions. */
import type { X87 } from './case.js';
import { Random } from './random.js';

const ONES = (1n << 64n) - 1n;
const INTEGER_BIT = 1n << 63n;
const BIAS = 0x3fff;
const POOL = 512;

function mantissa(r: Random): bigint {
  const any = (BigInt(r.next()) << 32n) | BigInt(r.next());
  switch (r.below(6)) {
    case 0:
      return INTEGER_BIT;
    case 1:
      return ONES;
    case 2:
      // Few bits, or a tie for one of the precisions.
      return INTEGER_BIT | (1n << BigInt(r.below(63)));
    case 3:
      return INTEGER_BIT | (any & (ONES << BigInt(r.pick([11, 40, 32, 48]))));
    case 4:
      return INTEGER_BIT | (any & (ONES << 10n)) | 0x400n;
    default:
      return INTEGER_BIT | any;
  }
}

/** [mantissa, sign and exponent] */
function number(r: Random): [bigint, number] {
  const sign = r.chance(50) ? 0x8000 : 0;
  switch (r.below(24)) {
    case 0:
    case 1:
      return [0n, sign];
    case 2:
      return [INTEGER_BIT, sign | 0x7fff];
    case 3:
      return [INTEGER_BIT | (1n << 62n) | mantissa(r), sign | 0x7fff];
    case 4:
      return [(mantissa(r) & ~(1n << 62n)) | 1n, sign | 0x7fff];
    case 5:
      return [mantissa(r) & ~INTEGER_BIT, sign];
    case 6:
      // Pseudo-denormal.
      return [mantissa(r), sign];
    case 7:
      // Unnormal, pseudo-infinity, pseudo-NaN.
      return [mantissa(r) & ~INTEGER_BIT, sign | r.pick([0x7fff, BIAS, 1, 0x7ffe])];
    case 8:
      return [mantissa(r), sign | r.between(1, 80)];
    case 9:
      return [mantissa(r), sign | r.between(0x7fb0, 0x7ffe)];
    case 10:
      // Around the ranges of single and double.
      return [
        mantissa(r),
        sign | (BIAS + r.pick([-1023, -1022, -127, -126, 127, 128, 1023, 1024, -149, -150, -1074, -1075])),
      ];
    case 11:
      return [mantissa(r), sign | (r.next() % 0x7fff)];
    case 12:
    case 13:
    case 14:
      // Integers, also just beyond the integer formats.
      return [mantissa(r), sign | (BIAS + r.pick([15, 31, 63, 14, 30, 62, 16, 32, 64, 59, 7]))];
    case 15:
      return [INTEGER_BIT, sign | BIAS];
    default:
      return [mantissa(r), sign | (BIAS + r.between(-8, 70))];
  }
}

export function floatBytes(r: Random): Uint8Array {
  const [m, se] = number(r);
  const out = new Uint8Array(10);
  const view = new DataView(out.buffer);
  view.setBigUint64(0, m, true);
  view.setUint16(8, se, true);
  return out;
}

/** Register stacks that cases start from. */
export function x87Pool(seed: number): Uint8Array[] {
  const r = new Random(seed ^ 0x1b873593);
  return Array.from({ length: POOL }, () => {
    const st = new Uint8Array(80);
    for (let i = 0; i < 8; i++) st.set(floatBytes(r), 10 * i);
    return st;
  });
}

/** One of `pool`'s register stacks, half of the time with a new number or two on top. */
export function x87State(r: Random, pool: readonly Uint8Array[]): X87 {
  const control = r.chance(60)
    ? 0x37f
    : 0x40 | (r.pick([0, 2, 3]) << 8) | (r.below(4) << 10) | (r.chance(80) ? 0x3f : r.below(64));
  const st = r.pick(pool).slice();
  if (r.chance(50)) st.set(floatBytes(r), 0);
  if (r.chance(15)) st.set(floatBytes(r), 10);
  // Near operands, for comparisons and cancellation.
  if (r.chance(15)) st.copyWithin(10, 0, 10);
  if (r.chance(10)) st[19]! ^= 0x80;
  let status = (r.below(8) << 11) | (r.next() & 0x4700);
  if (r.chance(10)) status |= r.below(64);
  if (status & ~control & 0x3f) status |= 0x8080;
  const tags = r.chance(75) ? 0xff : r.next() & 0xff;
  return { control, status, tags, st };
}

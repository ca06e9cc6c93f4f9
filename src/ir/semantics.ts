/**
 * What every pure op computes, on scalars: an i32 is a JS number in int32 range, an i64 a bigint in 0 .. 2^64-1.
 * The evaluator and the constant folder both read this table; `semantics.test.ts` holds it against WebAssembly.
 */
import { OPS, type OpName } from './ops.js';

/** An i32 as int32 number, or an i64 as bigint 0 .. 2^64-1. */
export type Scalar = number | bigint;

/** Takes and returns scalars of the types in `OPS`. Throws `RangeError` where the WebAssembly instruction traps. */
export type ScalarFunction = (a: never, b: never, c: never) => Scalar;

type Unary32 = (a: number) => number;
type Binary32 = (a: number, b: number) => number;
type Binary64 = (a: bigint, b: bigint) => bigint;
type Compare64 = (a: bigint, b: bigint) => number;

const u64 = (a: bigint): bigint => BigInt.asUintN(64, a);
const s64 = (a: bigint): bigint => BigInt.asIntN(64, a);

const INT32_MIN = -0x80000000;
const INT64_MIN = -(1n << 63n);

function divisor32(b: number): number {
  if (b === 0) throw new RangeError('integer divide by zero');
  return b;
}
function divisor64(b: bigint): bigint {
  if (b === 0n) throw new RangeError('integer divide by zero');
  return b;
}

const unary32: Record<string, Unary32> = {
  'i32.eqz': (a) => (a === 0 ? 1 : 0),
  'i32.clz': (a) => Math.clz32(a),
  'i32.ctz': (a) => (a === 0 ? 32 : 31 - Math.clz32(a & -a)),
  'i32.popcnt': (a) => {
    let n = 0;
    for (let x = a; x !== 0; x &= x - 1) n++;
    return n;
  },
  'i32.ext8_s': (a) => (a << 24) >> 24,
  'i32.ext16_s': (a) => (a << 16) >> 16,
};

const binary32: Record<string, Binary32> = {
  'i32.add': (a, b) => (a + b) | 0,
  'i32.sub': (a, b) => (a - b) | 0,
  'i32.mul': (a, b) => Math.imul(a, b),
  'i32.and': (a, b) => a & b,
  'i32.or': (a, b) => a | b,
  'i32.xor': (a, b) => a ^ b,
  'i32.shl': (a, b) => a << b,
  'i32.shr_u': (a, b) => (a >>> b) | 0,
  'i32.shr_s': (a, b) => a >> b,
  'i32.rotl': (a, b) => (a << b) | (a >>> -b),
  'i32.rotr': (a, b) => (a >>> b) | (a << -b),
  'i32.div_u': (a, b) => ((a >>> 0) / (divisor32(b) >>> 0)) | 0,
  'i32.div_s': (a, b) => {
    if (a === INT32_MIN && b === -1) throw new RangeError('integer overflow');
    return (a / divisor32(b)) | 0;
  },
  'i32.rem_u': (a, b) => ((a >>> 0) % (divisor32(b) >>> 0)) | 0,
  'i32.rem_s': (a, b) => (a % divisor32(b)) | 0,
  'i32.eq': (a, b) => (a === b ? 1 : 0),
  'i32.ne': (a, b) => (a !== b ? 1 : 0),
  'i32.lt_u': (a, b) => (a >>> 0 < b >>> 0 ? 1 : 0),
  'i32.lt_s': (a, b) => (a < b ? 1 : 0),
  'i32.le_u': (a, b) => (a >>> 0 <= b >>> 0 ? 1 : 0),
  'i32.le_s': (a, b) => (a <= b ? 1 : 0),
};

const binary64: Record<string, Binary64> = {
  'i64.add': (a, b) => u64(a + b),
  'i64.sub': (a, b) => u64(a - b),
  'i64.mul': (a, b) => u64(a * b),
  'i64.and': (a, b) => a & b,
  'i64.or': (a, b) => a | b,
  'i64.xor': (a, b) => a ^ b,
  'i64.shl': (a, b) => u64(a << (b & 63n)),
  'i64.shr_u': (a, b) => a >> (b & 63n),
  'i64.shr_s': (a, b) => u64(s64(a) >> (b & 63n)),
  'i64.rotl': (a, b) => u64((a << (b & 63n)) | (a >> ((64n - (b & 63n)) & 63n))),
  'i64.div_u': (a, b) => a / divisor64(b),
  'i64.div_s': (a, b) => {
    if (s64(a) === INT64_MIN && s64(b) === -1n) throw new RangeError('integer overflow');
    return u64(s64(a) / s64(divisor64(b)));
  },
  'i64.rem_u': (a, b) => a % divisor64(b),
  'i64.rem_s': (a, b) => u64(s64(a) % s64(divisor64(b))),
};

const compare64: Record<string, Compare64> = {
  'i64.eq': (a, b) => (a === b ? 1 : 0),
  'i64.ne': (a, b) => (a !== b ? 1 : 0),
  'i64.lt_u': (a, b) => (a < b ? 1 : 0),
  'i64.lt_s': (a, b) => (s64(a) < s64(b) ? 1 : 0),
  'i64.le_u': (a, b) => (a <= b ? 1 : 0),
  'i64.le_s': (a, b) => (s64(a) <= s64(b) ? 1 : 0),
};

/** Number of zero bits above the highest one, 64 for 0. */
function clz64(a: bigint): bigint {
  const high = Number(a >> 32n);
  return BigInt(high !== 0 ? Math.clz32(high) : 32 + Math.clz32(Number(a & 0xffffffffn)));
}
/** Number of zero bits below the lowest one, 64 for 0. */
function ctz64(a: bigint): bigint {
  return a === 0n ? 64n : 63n - clz64(a & u64(-a));
}

const others: Record<string, ScalarFunction> = {
  'i32.select': (c: number, a: number, b: number) => (c !== 0 ? a : b),
  'i64.select': (c: number, a: bigint, b: bigint) => (c !== 0 ? a : b),
  'i64.eqz': (a: bigint) => (a === 0n ? 1 : 0),
  'i64.clz': (a: bigint) => clz64(a),
  'i64.ctz': (a: bigint) => ctz64(a),
  'i64.extend_i32_u': (a: number) => BigInt(a >>> 0),
  'i64.extend_i32_s': (a: number) => u64(BigInt(a)),
  'i32.wrap_i64': (a: bigint) => Number(BigInt.asIntN(32, a)),
};

/** The scalar function of each pure op; none for constants, `field` and `pcrel`, which depend on their imm. */
export const SCALAR: { readonly [K in OpName]?: ScalarFunction } = {
  ...unary32,
  ...binary32,
  ...binary64,
  ...compare64,
  ...others,
};

/** Names of the ops in `SCALAR`. */
export const SCALAR_OPS: readonly OpName[] = (Object.keys(OPS) as OpName[]).filter((n) => SCALAR[n]);

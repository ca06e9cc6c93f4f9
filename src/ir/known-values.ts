/** What folding can tell of a value from the op that makes it: constants, and bits that cannot be set. */
import type { Op, Value } from './ir.js';
import type { OpName } from './ops.js';
import type { Scalar } from './semantics.js';

/** -1 as an i64. */
export const ONES64 = 0xffff_ffff_ffff_ffffn;

/** The scalar if the op is a constant. */
export function scalarOf(op: Op): Scalar | undefined {
  return op.name === 'i32.const' || op.name === 'i64.const' ? (op.imm as Scalar) : undefined;
}
/** What makes values. */
interface Ops {
  readonly ops: readonly Op[];
}

/** The int32 if `v` is an i32 constant. */
export function const32Of(b: Ops, v: Value): number | undefined {
  const op = b.ops[v]!;
  return op.name === 'i32.const' ? (op.imm as number) : undefined;
}
export function isConstant(b: Ops, v: Value): boolean {
  const { name } = b.ops[v]!;
  return name === 'i32.const' || name === 'i64.const';
}
function is(b: Ops, v: Value, n32: number, n64: bigint): boolean {
  const op = b.ops[v]!;
  return op.name === 'i32.const' ? op.imm === n32 : op.name === 'i64.const' && op.imm === n64;
}
export const isZero = (b: Ops, v: Value): boolean => is(b, v, 0, 0n);
export const isOne = (b: Ops, v: Value): boolean => is(b, v, 1, 1n);
export const isOnes = (b: Ops, v: Value): boolean => is(b, v, -1, ONES64);

/** Bits that can be set in the results of ops that yield small numbers. */
const RESULT_BITS: { readonly [K in OpName]?: number } = {
  get8: 0xff,
  ld8: 0xff,
  peek8: 0xff,
  get16: 0xffff,
  ld16: 0xffff,
  peek16: 0xffff,
  'i32.eqz': 1,
  'i32.eq': 1,
  'i32.ne': 1,
  'i32.lt_u': 1,
  'i32.lt_s': 1,
  'i32.le_u': 1,
  'i32.le_s': 1,
  'i64.eqz': 1,
  'i64.eq': 1,
  'i64.ne': 1,
  'i64.lt_u': 1,
  'i64.lt_s': 1,
  'i64.le_u': 1,
  'i64.le_s': 1,
  'i32.clz': 63,
  'i32.ctz': 63,
  'i32.popcnt': 63,
};

/** A mask (int32) that contains every bit that can be set in the i32 value `v`. */
export function possibleBits(b: Ops, v: Value, depth = 4): number {
  const op = b.ops[v]!;
  if (op.name === 'i32.const') return op.imm as number;
  const known = RESULT_BITS[op.name];
  if (known !== undefined) return known;
  if (depth === 0) return -1;
  switch (op.name) {
    case 'i32.and':
      return possibleBits(b, op.args[0]!, depth - 1) & possibleBits(b, op.args[1]!, depth - 1);
    case 'i32.or':
    case 'i32.xor':
      return possibleBits(b, op.args[0]!, depth - 1) | possibleBits(b, op.args[1]!, depth - 1);
    case 'i32.select':
      return possibleBits(b, op.args[1]!, depth - 1) | possibleBits(b, op.args[2]!, depth - 1);
    case 'i32.shl': {
      const count = const32Of(b, op.args[1]!);
      return count === undefined ? -1 : possibleBits(b, op.args[0]!, depth - 1) << count;
    }
    case 'i32.shr_u': {
      const count = const32Of(b, op.args[1]!);
      return count === undefined ? -1 : possibleBits(b, op.args[0]!, depth - 1) >>> count;
    }
    default:
      return -1;
  }
}

/** Whether the i32 value `v` can only be 0 or 1. */
export function isBoolean(b: Ops, v: Value): boolean {
  return (possibleBits(b, v) & ~1) === 0;
}

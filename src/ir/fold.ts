/**
 * Constant folding and algebraic identities, used while building. Every rule holds for all operand values; a field
 * (a number unknown until the form is instantiated) is an opaque value like any other.
 *
 * Canonical shapes the rules lead to: constants on the right of commutative ops, `x - c` as `x + -c`,
 * comparisons with zero as `eqz`, no mask that changes nothing.
 */
import type { Builder } from './builder.js';
import type { Op, Value } from './ir.js';
import { OPS, type OpName } from './ops.js';
import { SCALAR, type Scalar } from './semantics.js';

type Rule = (b: Builder, args: readonly Value[]) => Value | undefined;

const ONES64 = 0xffff_ffff_ffff_ffffn;
const INT64_MIN = 1n << 63n;

function scalarOf(op: Op): Scalar | undefined {
  return op.name === 'i32.const' || op.name === 'i64.const' ? (op.imm as Scalar) : undefined;
}
/** The int32 if `v` is an i32 constant. */
function const32Of(b: Builder, v: Value): number | undefined {
  const op = b.ops[v]!;
  return op.name === 'i32.const' ? (op.imm as number) : undefined;
}
function isConstant(b: Builder, v: Value): boolean {
  const { name } = b.ops[v]!;
  return name === 'i32.const' || name === 'i64.const';
}
function is(b: Builder, v: Value, n32: number, n64: bigint): boolean {
  const op = b.ops[v]!;
  return op.name === 'i32.const' ? op.imm === n32 : op.name === 'i64.const' && op.imm === n64;
}
const isZero = (b: Builder, v: Value): boolean => is(b, v, 0, 0n);
const isOne = (b: Builder, v: Value): boolean => is(b, v, 1, 1n);
const isOnes = (b: Builder, v: Value): boolean => is(b, v, -1, ONES64);

/** Division of these constants traps, so it must stay as it is. */
function traps(name: OpName, divisor: Scalar, dividend: Scalar): boolean {
  switch (name) {
    case 'i32.div_s':
      return divisor === 0 || (divisor === -1 && dividend === -0x80000000);
    case 'i64.div_s':
      return divisor === 0n || (divisor === ONES64 && dividend === INT64_MIN);
    case 'i32.div_u':
    case 'i32.rem_u':
    case 'i32.rem_s':
      return divisor === 0;
    case 'i64.div_u':
    case 'i64.rem_u':
    case 'i64.rem_s':
      return divisor === 0n;
    default:
      return false;
  }
}

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
export function possibleBits(b: Builder, v: Value, depth = 4): number {
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

function isBoolean(b: Builder, v: Value): boolean {
  return (possibleBits(b, v) & ~1) === 0;
}

/** (x op c1) op c2 = x op (c1 op c2), and the constant to the right. */
function commutative(name: OpName): Rule {
  const scalar = SCALAR[name]! as unknown as (a: Scalar, b: Scalar) => Scalar;
  return (b, args) => {
    const [x, y] = args as [Value, Value];
    if (isConstant(b, x)) return b.pure(name, y, x);
    const c2 = scalarOf(b.ops[y]!);
    const inner = b.ops[x]!;
    if (c2 === undefined || inner.name !== name) return undefined;
    const c1 = scalarOf(b.ops[inner.args[1]!]!);
    if (c1 === undefined) return undefined;
    return b.pure(name, inner.args[0]!, constant(b, scalar(c1, c2)));
  };
}

function constant(b: Builder, value: Scalar): Value {
  return typeof value === 'number' ? b.const32(value) : b.const64(value);
}

const COMMUTATIVE = {
  add: { i32: commutative('i32.add'), i64: commutative('i64.add') },
  mul: { i32: commutative('i32.mul'), i64: commutative('i64.mul') },
  and: { i32: commutative('i32.and'), i64: commutative('i64.and') },
  or: { i32: commutative('i32.or'), i64: commutative('i64.or') },
  xor: { i32: commutative('i32.xor'), i64: commutative('i64.xor') },
};

/** Drops a mask of the count that leaves the low `bits` alone: counts are modulo the width anyway. */
function stripCountMask(b: Builder, count: Value): Value {
  const op = b.ops[count]!;
  if (op.name === 'i32.and') {
    const mask = const32Of(b, op.args[1]!);
    if (mask !== undefined && (mask & 31) === 31) return op.args[0]!;
  } else if (op.name === 'i64.and') {
    const mask = scalarOf(b.ops[op.args[1]!]!);
    if (mask !== undefined && ((mask as bigint) & 63n) === 63n) return op.args[0]!;
  }
  return count;
}

function shift(name: OpName): Rule {
  const wide = name.startsWith('i64');
  const adds = name.endsWith('.shl') || name.endsWith('.shr_u');
  return (b, args) => {
    const [x, count] = args as [Value, Value];
    const stripped = stripCountMask(b, count);
    if (stripped !== count) return b.pure(name, x, stripped);
    if (isZero(b, x)) return x;
    const c = scalarOf(b.ops[count]!);
    if (c === undefined) return undefined;
    const n = wide ? Number((c as bigint) & 63n) : (c as number) & 31;
    if (n === 0) return x;
    const inner = b.ops[x]!;
    if (adds && inner.name === name) {
      const c1 = scalarOf(b.ops[inner.args[1]!]!);
      if (c1 === undefined) return undefined;
      const total = n + (wide ? Number((c1 as bigint) & 63n) : (c1 as number) & 31);
      if (total >= (wide ? 64 : 32)) return wide ? b.const64(0n) : b.const32(0);
      return b.pure(name, inner.args[0]!, wide ? b.const64(BigInt(total)) : b.const32(total));
    }
    return undefined;
  };
}

/** The comparison that is true where this one is false, with `swap` of its operands. */
const INVERSE: { readonly [K in OpName]?: { readonly name: OpName; readonly swap: boolean } } = {
  'i32.eq': { name: 'i32.ne', swap: false },
  'i32.ne': { name: 'i32.eq', swap: false },
  'i32.lt_u': { name: 'i32.le_u', swap: true },
  'i32.lt_s': { name: 'i32.le_s', swap: true },
  'i32.le_u': { name: 'i32.lt_u', swap: true },
  'i32.le_s': { name: 'i32.lt_s', swap: true },
  'i64.eq': { name: 'i64.ne', swap: false },
  'i64.ne': { name: 'i64.eq', swap: false },
  'i64.lt_u': { name: 'i64.le_u', swap: true },
  'i64.lt_s': { name: 'i64.le_s', swap: true },
  'i64.le_u': { name: 'i64.lt_u', swap: true },
  'i64.le_s': { name: 'i64.lt_s', swap: true },
};

function equal(type: 'i32' | 'i64', negated: boolean): Rule {
  const name: OpName = `${type}.${negated ? 'ne' : 'eq'}`;
  const zero: OpName = `${type}.eqz`;
  return (b, args) => {
    const [x, y] = args as [Value, Value];
    if (x === y) return b.const32(negated ? 0 : 1);
    if (isConstant(b, x)) return b.pure(name, y, x);
    if (isZero(b, y)) {
      if (!negated) return b.pure(zero, x);
      return type === 'i32' && isBoolean(b, x) ? x : undefined;
    }
    if (type === 'i32' && isConstant(b, y)) {
      const c = const32Of(b, y)!;
      const bits = possibleBits(b, x);
      if ((c & ~bits) !== 0) return b.const32(negated ? 1 : 0);
      if (c === 1 && (bits & ~1) === 0) return negated ? b.pure('i32.eqz', x) : x;
    }
    return undefined;
  };
}

function compare(type: 'i32' | 'i64', orEqual: boolean, signed: boolean): Rule {
  return (b, args) => {
    const [x, y] = args as [Value, Value];
    if (x === y) return b.const32(orEqual ? 1 : 0);
    if (signed) return undefined;
    if (isZero(b, y)) return orEqual ? b.pure(`${type}.eqz`, x) : b.const32(0);
    if (isZero(b, x)) return orEqual ? b.const32(1) : b.pure(`${type}.ne`, y, x);
    if (isOnes(b, y) && orEqual) return b.const32(1);
    if (isOne(b, y) && !orEqual) return b.pure(`${type}.eqz`, x);
    if (type === 'i32') {
      const c = const32Of(b, y);
      if (c !== undefined) {
        const most = possibleBits(b, x) >>> 0;
        if (most < c >>> 0 || (orEqual && most === c >>> 0)) return b.const32(1);
      }
    }
    return undefined;
  };
}

function divide(remainder: boolean): Rule {
  return (b, args) => {
    const [x, y] = args as [Value, Value];
    if (!isOne(b, y)) return undefined;
    return remainder ? b.pure(b.ops[x]!.type === 'i32' ? 'i32.xor' : 'i64.xor', x, x) : x;
  };
}

function extendSign(name: 'i32.ext8_s' | 'i32.ext16_s', mask: number): Rule {
  return (b, args) => {
    const x = args[0]!;
    const op = b.ops[x]!;
    if (op.name === 'i32.ext8_s') return x;
    if (op.name === 'i32.ext16_s') return name === 'i32.ext16_s' ? x : b.pure(name, op.args[0]!);
    if (op.name === 'i32.and') {
      const c = const32Of(b, op.args[1]!);
      if (c !== undefined && (c & mask) === mask) return b.pure(name, op.args[0]!);
    }
    return (possibleBits(b, x) & ~(mask >>> 1)) === 0 ? x : undefined;
  };
}

function eqz(type: 'i32' | 'i64'): Rule {
  return (b, args) => {
    const x = args[0]!;
    const op = b.ops[x]!;
    const inverse = INVERSE[op.name];
    if (inverse) {
      const [p, q] = op.args as [Value, Value];
      return inverse.swap ? b.pure(inverse.name, q, p) : b.pure(inverse.name, p, q);
    }
    switch (op.name) {
      case 'i32.eqz':
        return isBoolean(b, op.args[0]!) ? op.args[0] : undefined;
      case 'i64.extend_i32_s':
      case 'i64.extend_i32_u':
        return b.pure('i32.eqz', op.args[0]!);
      case 'i32.sub':
      case 'i64.sub':
      case 'i32.xor':
      case 'i64.xor':
        return b.pure(`${type}.eq`, op.args[0]!, op.args[1]!);
      case 'i32.add': {
        const c = const32Of(b, op.args[1]!);
        return c === undefined ? undefined : b.pure('i32.eq', op.args[0]!, b.const32(-c));
      }
      default:
        return undefined;
    }
  };
}

function select(type: 'i32' | 'i64'): Rule {
  const name: OpName = `${type}.select`;
  return (b, args) => {
    const [condition, x, y] = args as [Value, Value, Value];
    const c = const32Of(b, condition);
    if (c !== undefined) return c !== 0 ? x : y;
    if (x === y) return x;
    const op = b.ops[condition]!;
    if (op.name === 'i32.eqz') return b.pure(name, op.args[0]!, y, x);
    if (op.name === 'i32.ne' && isZero(b, op.args[1]!)) return b.pure(name, op.args[0]!, x, y);
    if (type === 'i32') {
      if (isOne(b, x) && isZero(b, y) && isBoolean(b, condition)) return condition;
      if (isZero(b, x) && isOne(b, y)) return b.pure('i32.eqz', condition);
    }
    return undefined;
  };
}

function rulesOf(type: 'i32' | 'i64'): Record<string, Rule> {
  const zero = (b: Builder): Value => (type === 'i32' ? b.const32(0) : b.const64(0n));
  return {
    [`${type}.add`]: (b, args) => (isZero(b, args[1]!) ? args[0] : COMMUTATIVE.add[type](b, args)),
    [`${type}.sub`]: (b, args) => {
      const [x, y] = args as [Value, Value];
      if (x === y) return zero(b);
      const c = scalarOf(b.ops[y]!);
      return c === undefined
        ? undefined
        : b.pure(`${type}.add`, x, typeof c === 'number' ? b.const32(-c) : b.const64(-c));
    },
    [`${type}.mul`]: (b, args) => {
      const [x, y] = args as [Value, Value];
      if (isZero(b, y) || isOne(b, x)) return y;
      return isOne(b, y) ? x : COMMUTATIVE.mul[type](b, args);
    },
    [`${type}.or`]: (b, args) => {
      const [x, y] = args as [Value, Value];
      if (x === y || isZero(b, y)) return x;
      return isOnes(b, y) ? y : COMMUTATIVE.or[type](b, args);
    },
    [`${type}.xor`]: (b, args) => {
      const [x, y] = args as [Value, Value];
      if (x === y) return zero(b);
      return isZero(b, y) ? x : COMMUTATIVE.xor[type](b, args);
    },
    [`${type}.shl`]: shift(`${type}.shl`),
    [`${type}.shr_u`]: shift(`${type}.shr_u`),
    [`${type}.shr_s`]: shift(`${type}.shr_s`),
    [`${type}.rotl`]: shift(`${type}.rotl`),
    [`${type}.div_u`]: divide(false),
    [`${type}.div_s`]: divide(false),
    [`${type}.rem_u`]: divide(true),
    [`${type}.rem_s`]: divide(true),
    [`${type}.eq`]: equal(type, false),
    [`${type}.ne`]: equal(type, true),
    [`${type}.lt_u`]: compare(type, false, false),
    [`${type}.lt_s`]: compare(type, false, true),
    [`${type}.le_u`]: compare(type, true, false),
    [`${type}.le_s`]: compare(type, true, true),
    [`${type}.eqz`]: eqz(type),
    [`${type}.select`]: select(type),
  };
}

const and32: Rule = (b, args) => {
  const [x, y] = args as [Value, Value];
  if (x === y) return x;
  const c = const32Of(b, y);
  if (c === undefined) return COMMUTATIVE.and.i32(b, args);
  if (c === 0) return y;
  if ((possibleBits(b, x) & ~c) === 0) return x;
  const op = b.ops[x]!;
  const narrow = op.name === 'i32.ext8_s' ? 0xff : op.name === 'i32.ext16_s' ? 0xffff : 0;
  if (narrow !== 0 && (c & ~narrow) === 0) return b.pure('i32.and', op.args[0]!, y);
  return COMMUTATIVE.and.i32(b, args);
};

const and64: Rule = (b, args) => {
  const [x, y] = args as [Value, Value];
  if (x === y || isOnes(b, y)) return x;
  if (isZero(b, y)) return y;
  const c = scalarOf(b.ops[y]!);
  if (
    c !== undefined &&
    b.ops[x]!.name === 'i64.extend_i32_u' &&
    ((c as bigint) & 0xffffffffn) === 0xffffffffn
  ) {
    return x;
  }
  return COMMUTATIVE.and.i64(b, args);
};

const wrap: Rule = (b, args) => {
  const op = b.ops[args[0]!]!;
  if (op.name === 'i64.extend_i32_u' || op.name === 'i64.extend_i32_s') return op.args[0];
  if (op.name === 'i64.and') {
    const c = scalarOf(b.ops[op.args[1]!]!);
    if (c !== undefined && ((c as bigint) & 0xffffffffn) === 0xffffffffn) {
      return b.pure('i32.wrap_i64', op.args[0]!);
    }
  }
  return undefined;
};

const RULES: { readonly [K in OpName]?: Rule } = {
  ...rulesOf('i32'),
  ...rulesOf('i64'),
  'i32.rotr': shift('i32.rotr'),
  'i32.and': and32,
  'i64.and': and64,
  'i32.ext8_s': extendSign('i32.ext8_s', 0xff),
  'i32.ext16_s': extendSign('i32.ext16_s', 0xffff),
  'i32.wrap_i64': wrap,
};

/** The constant that `name(args)` is if all its arguments are constants. */
function foldConstants(b: Builder, name: OpName, args: readonly Value[]): Value | undefined {
  const scalar = SCALAR[name] as unknown as ((a: Scalar, b: Scalar, c: Scalar) => Scalar) | undefined;
  if (scalar === undefined) return undefined;
  const x = scalarOf(b.ops[args[0]!]!)!;
  const y = args.length > 1 ? scalarOf(b.ops[args[1]!]!)! : 0;
  const z = args.length > 2 ? scalarOf(b.ops[args[2]!]!)! : 0;
  if (traps(name, y, x)) return undefined;
  const value = scalar(x, y, z);
  return OPS[name].result === 'i32' ? b.const32(value as number) : b.const64(value as bigint);
}

/**
 * The value that `name(args)` is known to have, or undefined to emit the op. May emit other, simpler ops.
 */
export function foldOp(b: Builder, name: OpName, args: readonly Value[]): Value | undefined {
  let constants = 0;
  for (let i = 0; i < args.length; i++) if (isConstant(b, args[i]!)) constants++;
  if (constants === args.length && constants > 0) {
    const folded = foldConstants(b, name, args);
    if (folded !== undefined) return folded;
  }
  const rule = RULES[name];
  return rule === undefined ? undefined : rule(b, args);
}

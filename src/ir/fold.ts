/**
 * Constant folding and algebraic identities, used while building. Every rule holds for all operand values; a field
 * (a number unknown until the form is instantiated) is an opaque value like any other.
 *
 * Canonical shapes the rules lead to: constants on the right of commutative ops, `x - c` as `x + -c`,
 * comparisons with zero as `eqz`, no mask that changes nothing. The rules of comparisons stand in `fold-comparisons.ts`,
 * what they ask of values in `known-values.ts`.
 */
import type { Builder } from './builder.js';
import { compare, equal, eqz, select } from './fold-comparisons.js';
import type { Value } from './ir.js';
import {
  const32Of,
  isConstant,
  isOne,
  isOnes,
  isZero,
  ONES64,
  possibleBits,
  scalarOf,
} from './known-values.js';
import { OPS, type OpName } from './ops.js';
import { SCALAR, type Scalar } from './semantics.js';

/** What an op with these arguments may be replaced with; undefined if there is nothing better. May emit ops. */
export type Rule = (b: Builder, args: readonly Value[]) => Value | undefined;

const INT64_MIN = 1n << 63n;

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

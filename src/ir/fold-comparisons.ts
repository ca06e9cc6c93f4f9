/** Folding rules of comparisons and selections; see `fold.ts`. */
import type { Rule } from './fold.js';
import type { Value } from './ir.js';
import { const32Of, isBoolean, isConstant, isOne, isOnes, isZero, possibleBits } from './known-values.js';
import type { OpName } from './ops.js';

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

/** `eq`, or `ne` if `negated`. */
export function equal(type: 'i32' | 'i64', negated: boolean): Rule {
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

/** `lt`, or `le` if `orEqual`. */
export function compare(type: 'i32' | 'i64', orEqual: boolean, signed: boolean): Rule {
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

export function eqz(type: 'i32' | 'i64'): Rule {
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

export function select(type: 'i32' | 'i64'): Rule {
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

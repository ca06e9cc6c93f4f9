/** Shorthand for IR functions of many constants. */
import type { Builder } from '../ir/builder.js';
import type { Value } from '../ir/ir.js';
import { possibleBits } from '../ir/known-values.js';

/** Small helpers over a builder. */
export class Code {
  constructor(readonly b: Builder) {}
  k(n: number): Value {
    return this.b.const32(n);
  }
  and(a: Value, n: number): Value {
    return this.b.pure('i32.and', a, this.k(n));
  }
  or(a: Value, c: Value): Value {
    return this.b.pure('i32.or', a, c);
  }
  add(a: Value, n: number): Value {
    return this.b.pure('i32.add', a, this.k(n));
  }
  sum(a: Value, c: Value): Value {
    return this.b.pure('i32.add', a, c);
  }
  shr(a: Value, n: number): Value {
    return this.b.pure('i32.shr_u', a, this.k(n));
  }
  shl(a: Value, n: number): Value {
    return this.b.pure('i32.shl', a, this.k(n));
  }
  eqz(a: Value): Value {
    return this.b.pure('i32.eqz', a);
  }
}

/** A value that meets one of the `PLACEHOLDERS` of the data TLB. Folding must not know anything of it: it would take the placeholder's bits for true. */
export function opaque(b: Builder, value: Value): Value {
  if (possibleBits(b, value) !== -1) throw new Error('a placeholder meets a value that is partly known');
  return value;
}

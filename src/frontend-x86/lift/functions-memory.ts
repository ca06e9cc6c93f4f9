/** Segment limit and type checks of memory operands, out of line: only segments that are not flat need them. */
import { defineFunction } from '../../ir/builder.js';
import type { Value } from '../../ir/ir.js';
import { SEGMENT_ATTR, SEGMENT_BASE, SEGMENT_LIMIT, SS } from '../cpu-state.js';

const GP = 13;
const STACK_FAULT = 12;

/**
 * (segment 0..5, offset, access) -> linear address. `access`: bits 0..15 bytes - 1, bit 16 write.
 * Raises #GP(0), or #SS(0) for SS, as Intel SDM vol. 3, 5.3 (limit) and 5.5 (type) say.
 */
export const SEGMENT_LINEAR = defineFunction(
  'segment_linear',
  ['i32', 'i32', 'i32'],
  'i32',
  true,
  (b, segment, offset, access) => {
    const c = (n: number) => b.const32(n);
    const and = (p: Value, n: number) => b.pure('i32.and', p, c(n));
    const slot = b.pure('i32.shl', segment, c(2));
    const attr = b.peek32(slot, SEGMENT_ATTR);
    const limit = b.peek32(slot, SEGMENT_LIMIT);
    const write = b.pure('i32.shr_u', access, c(16));
    const last = b.pure('i32.add', offset, and(access, 0xffff));
    const isCode = b.pure('i32.ne', and(attr, 8), c(0));

    // Readable: data, or code with bit 1. Writable: data with bit 1. A null selector has attributes 0.
    const bit1 = b.pure('i32.shr_u', and(attr, 2), c(1));
    const writeAllowed = b.pure('i32.and', bit1, b.pure('i32.xor', isCode, c(1)));
    const readAllowed = b.pure('i32.or', bit1, b.pure('i32.xor', isCode, c(1)));
    const allowed = b.pure('i32.select', write, writeAllowed, readAllowed);
    const usable = b.pure('i32.and', allowed, b.pure('i32.ne', attr, c(0)));

    // Offsets within a 4 GiB segment wrap; elsewhere the last byte must not.
    const whole = b.pure('i32.eq', limit, c(-1));
    const wraps = b.pure('i32.lt_u', last, offset);
    const above = b.pure('i32.lt_u', limit, last);
    const badUp = b.pure('i32.and', b.pure('i32.or', wraps, above), b.pure('i32.xor', whole, c(1)));
    // Expand-down: limit + 1 .. 0xffff or 0xffffffff (B bit).
    const top = b.pure('i32.select', and(attr, 0x4000), c(-1), c(0xffff));
    const badDown = b.pure(
      'i32.or',
      b.pure('i32.or', wraps, b.pure('i32.le_u', offset, limit)),
      b.pure('i32.lt_u', top, last),
    );
    const down = b.pure('i32.eq', and(attr, 0xc), c(4));
    const outside = b.pure('i32.select', down, badDown, badUp);

    b.if(b.pure('i32.or', b.pure('i32.eqz', usable), outside), () => {
      b.if(
        b.pure('i32.eq', segment, c(SS)),
        () => b.raise(STACK_FAULT, c(0)),
        () => b.raise(GP, c(0)),
      );
    });
    b.return(b.pure('i32.add', b.peek32(slot, SEGMENT_BASE), offset));
  },
);

/**
 * `rep movs` and `rep stos` with flat segments and 32-bit addresses, out of line. One call does as many iterations as
 * the counter, the budget and the directly accessible bytes of the two pages allow, in the order of the iterations, so that overlapping
 * operands come out right; or one iteration through the faulting path.
 */
import { defineFunction, type Builder } from '../../ir/builder.js';
import type { IrFunction, Value } from '../../ir/ir.js';
import { DIRECTION, EAX, ECX, EDI, ESI } from '../cpu-state.js';
import { Lifter, type Size } from './context.js';
import { PAGE } from '../limits.js';

const SHIFT = { 1: 0, 2: 1, 4: 2 } as const;

function peek(b: Builder, address: Value, size: Size): Value {
  if (size === 4) return b.peek32(address);
  return size === 2 ? b.peek16(address) : b.peek8(address);
}
function poke(b: Builder, address: Value, size: Size, v: Value): void {
  if (size === 4) b.poke32(address, v);
  else if (size === 2) b.poke16(address, v);
  else b.poke8(address, v);
}
function minimum(x: Lifter, p: Value, q: Value): Value {
  return x.select(x.ltU(p, q), p, q);
}

/** Address of the first byte to ask `span` about: going down, the page's; then the whole page must be accessible. */
function spanBase(x: Lifter, address: Value, down: boolean): Value {
  return down ? x.andC(address, -PAGE) : address;
}
/** How many whole elements from `address` on, in the direction, are directly accessible. */
function elements(x: Lifter, address: Value, write: boolean, down: boolean, size: Size): Value {
  const bytes = x.b.span(spanBase(x, address, down), write);
  if (!down) return x.shrC(bytes, SHIFT[size]);
  const offset = x.andC(address, PAGE - 1);
  // The first element itself must not reach into the next page.
  const inside = x.and(x.op('i32.ne', bytes, x.c(0)), x.leU(offset, x.c(PAGE - size)));
  return x.select(inside, x.shrC(x.addC(offset, size), SHIFT[size]), x.c(0));
}
function direct(x: Lifter, address: Value, write: boolean, down: boolean): Value {
  const at = x.b.direct(spanBase(x, address, down), write);
  return down ? x.add(at, x.andC(address, PAGE - 1)) : at;
}

/** Runs `body` with pointers from their starts to `end` of the first, in steps. */
function walk(
  x: Lifter,
  starts: readonly Value[],
  end: Value,
  step: number,
  body: (...pointers: Value[]) => void,
): void {
  const b = x.b;
  const vars = starts.map((start) => {
    const v = b.newVar('i32');
    b.varSet(v, start);
    return v;
  });
  b.if(x.op('i32.ne', starts[0]!, end), () => {
    b.loopWhile(() => {
      const pointers = vars.map((v) => b.varGet(v));
      body(...pointers);
      const moved = pointers.map((p) => x.addC(p, step));
      moved.forEach((p, n) => b.varSet(vars[n]!, p));
      return x.op('i32.ne', moved[0]!, end);
    });
  });
}

/** Does `n` >= 2 iterations of movs. */
function copy(x: Lifter, n: Value, size: Size, down: boolean): void {
  const b = x.b;
  const from = direct(x, b.get32(ESI), false, down);
  const to = direct(x, b.get32(EDI), true, down);
  const bytes = x.shlC(n, SHIFT[size]);
  const one = (p: Value, q: Value) => poke(b, q, size, peek(b, p, size));
  if (down) {
    walk(x, [from, to], x.sub(from, bytes), -size, one);
    return;
  }
  const end = x.add(from, bytes);
  // Eight bytes at a time unless an element would read what one of the seven bytes before has written.
  const apart = x.leU(x.c(8), x.sub(to, from));
  const whole = x.select(apart, x.andC(bytes, -8), x.c(0));
  const middle = x.add(from, whole);
  walk(x, [from, to], middle, 8, (p, q) => b.poke64(q, b.peek64(p)));
  walk(x, [middle, x.add(to, whole)], end, size, one);
}
/** Does `n` >= 2 iterations of stos. */
function fill(x: Lifter, n: Value, size: Size, down: boolean): void {
  const b = x.b;
  const to = direct(x, b.get32(EDI), true, down);
  const bytes = x.shlC(n, SHIFT[size]);
  const v = x.getReg(EAX, size);
  if (down) {
    walk(x, [to], x.sub(to, bytes), -size, (q) => poke(b, q, size, v));
    return;
  }
  const factor = { 1: 0x0101010101010101n, 2: 0x0001000100010001n, 4: 0x0000000100000001n };
  const wide = b.pure('i64.mul', b.pure('i64.extend_i32_u', v), b.const64(factor[size]));
  const middle = x.add(to, x.andC(bytes, -8));
  walk(x, [to], middle, 8, (q) => b.poke64(q, wide));
  walk(x, [middle], x.add(to, bytes), size, (q) => poke(b, q, size, v));
}

function define(name: string, size: Size, moves: boolean): IrFunction {
  return defineFunction(`${name}${8 * size}`, [], 'void', true, (b) => {
    const x = new Lifter(b);
    const count = b.get32(ECX);
    b.if(x.eqz(count), () => b.return());
    const advance = (n: Value, step: Value) => {
      const distance = x.op('i32.mul', n, step);
      const edi = x.add(b.get32(EDI), distance);
      if (moves) b.put32(ESI, x.add(b.get32(ESI), distance));
      b.put32(EDI, edi);
      b.put32(ECX, x.sub(b.get32(ECX), n));
    };
    const many = (down: boolean) => {
      const to = elements(x, b.get32(EDI), true, down, size);
      const both = moves ? minimum(x, to, elements(x, b.get32(ESI), false, down, size)) : to;
      const n = minimum(x, minimum(x, count, both), x.addC(b.fuel(), 1));
      b.if(x.ltU(x.c(1), n), () => {
        if (moves) copy(x, n, size, down);
        else fill(x, n, size, down);
        b.charge(x.subC(n, 1));
        advance(n, x.c(down ? -size : size));
        b.return();
      });
    };
    b.if(x.ltU(x.c(1), count), () => {
      b.if(
        x.op('i32.lt_s', x.c(0), b.get32(DIRECTION)),
        () => many(false),
        () => many(true),
      );
    });
    const v = moves ? x.load(b.get32(ESI), size) : x.getReg(EAX, size);
    x.store(b.get32(EDI), size, v);
    advance(x.c(1), x.shlC(b.get32(DIRECTION), SHIFT[size]));
  });
}

export const REP_MOVS: Readonly<Record<Size, IrFunction>> = {
  1: define('rep_movs', 1, true),
  2: define('rep_movs', 2, true),
  4: define('rep_movs', 4, true),
};
export const REP_STOS: Readonly<Record<Size, IrFunction>> = {
  1: define('rep_stos', 1, false),
  2: define('rep_stos', 2, false),
  4: define('rep_stos', 4, false),
};

export const STRING_FUNCTIONS: readonly IrFunction[] = [
  ...Object.values(REP_MOVS),
  ...Object.values(REP_STOS),
];

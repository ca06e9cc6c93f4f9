import { Builder } from './builder.js';
import { parseBlock } from './parse.js';
import { optimize } from './passes/optimize.js';
import type { Value } from './ir.js';

/** The ops that compute the last line's value once the text has been folded and cleaned up. */
function folded(text: string): string {
  const after = optimize(
    parseBlock(`block {\nx = get32 0\ny = get32 4\nb = get8 8\n${text}\nput32 0 r\ngoto 0\n}`),
  );
  const show = (v: Value): string => {
    const op = after.ops[v]!;
    const names: Record<string, string> = { get320: 'x', get324: 'y', get88: 'b' };
    const leaf = names[op.name + String(op.imm)];
    if (leaf !== undefined) return leaf;
    if (op.name === 'i32.const') return String(op.imm);
    return `${op.name.slice(4)}(${op.args.map(show).join(' ')})`;
  };
  const put = after.ops.find((op) => op.name === 'put32')!;
  return show(put.args[0]!);
}

test.each([
  ['c = i32.const 0\nr = i32.add c x', 'x'],
  ['c = i32.const 3\nd = i32.sub x c\ne = i32.const 5\nr = i32.add e d', 'add(x 2)'],
  ['r = i32.sub x x', '0'],
  ['c = i32.const -1\nr = i32.and x c', 'x'],
  ['c = i32.const 255\nr = i32.and b c', 'b'],
  ['c = i32.const 254\nr = i32.and b c', 'and(b 254)'],
  ['c = i32.const 31\nd = i32.and y c\nr = i32.shl x d', 'shl(x y)'],
  ['c = i32.const 15\nd = i32.and y c\nr = i32.shl x d', 'shl(x and(y 15))'],
  ['c = i32.const 20\nd = i32.shl x c\nr = i32.shl d c', '0'],
  ['c = i32.const 20\nd = i32.shr_s x c\nr = i32.shr_s d c', 'shr_s(shr_s(x 20) 20)'],
  ['c = i32.const 255\nr = i32.le_u b c', '1'],
  ['c = i32.const 255\nr = i32.lt_u b c', 'lt_u(b 255)'],
  ['c = i32.const 256\nr = i32.lt_u b c', '1'],
  ['c = i32.const -1\nr = i32.le_u x c', '1'],
  ['c = i32.const 256\nr = i32.eq b c', '0'],
  ['c = i32.const 7\nd = i32.sub x c\nr = i32.eqz d', 'eq(x 7)'],
  ['d = i32.lt_s x y\nr = i32.eqz d', 'le_s(y x)'],
  ['d = i32.eqz x\nr = i32.select d x y', 'select(x y x)'],
  ['c = i32.const 0xff\nd = i32.and x c\nr = i32.ext8_s d', 'ext8_s(x)'],
  ['c = i32.const 0x7f\nd = i32.and x c\nr = i32.ext8_s d', 'and(x 127)'],
  ['c = i32.const 0\nr = i32.div_u x c', 'div_u(x 0)'],
  ['e = i64.extend_i32_u x\nr = i32.wrap_i64 e', 'x'],
])('%s', (text, expected) => {
  expect(folded(text)).toBe(expected);
});

test('fields are opaque: nothing is known of their values', () => {
  const b = parseBlock('block {\nf = field {rm:1}\nc = i32.const 255\nm = i32.and f c\nput32 0 m\ngoto 0\n}');
  expect(optimize(b).ops.map((op) => op.name)).toContain('i32.and');
});

test('an if with a known condition keeps one part', () => {
  const b = new Builder();
  const part = (n: number) => (): void => b.put32(n, b.const32(n));
  b.if(b.const32(1), part(4), part(8));
  b.if(b.const32(0), part(12), part(16));
  b.if(b.const32(0), part(20));
  expect(b.ops.filter((op) => op.name === 'put32').map((op) => op.imm)).toEqual([4, 16]);
  expect(b.ops.some((op) => op.name === 'if')).toBe(false);
});

test('narrow writes drop masks, branches drop what only makes booleans', () => {
  const b = new Builder();
  const x = b.get32(0);
  b.put8(4, b.pure('i32.and', x, b.const32(0xff)));
  b.put16(4, b.pure('i32.ext16_s', x));
  b.st8(x, b.pure('i32.and', x, b.const32(0x7f)));
  b.branch(b.pure('i32.ne', x, b.const32(0)), 1, 2);
  const args = b.ops.filter((op) => op.type === 'void').map((op) => op.args);
  expect(args[0]).toEqual([x]);
  expect(args[1]).toEqual([x]);
  expect(args[2]![1]).not.toBe(x);
  expect(args[3]).toEqual([x]);
});

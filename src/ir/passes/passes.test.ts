import { parseBlock, parseText } from '../parse.js';
import { printBlock } from '../print.js';
import { forwardGets } from './get-forwarding.js';
import { optimize } from './optimize.js';
import { compact } from './dead-code.js';
import { findDeadPuts } from './dead-puts.js';

const { functions } = parseText('function helper() {\n}');
const options = { functionNamed: (name: string) => functions.find((f) => f.name === name) };

function body(text: string): string {
  return `block {\n${text.trim()}\ngoto 4\n}`;
}
/** How many gets are left after get-forwarding. */
function gets(text: string): number {
  return forwardGets(parseBlock(body(text), options)).ops.filter((op) => op.name.startsWith('get')).length;
}
/** Indices among the puts of those found dead. */
function deadPuts(text: string): number[] {
  const block = parseBlock(body(text), options);
  const dropped = new Uint8Array(block.ops.length);
  findDeadPuts(block, dropped);
  return block.ops
    .flatMap((op, i) => (op.name.startsWith('put') ? [dropped[i]!] : []))
    .flatMap((d, k) => (d ? [k] : []));
}

test.each([
  ['a get after a get', 'a = get32 0\nb = get32 0', 1],
  ['a part of a register', 'a = get32 0\nb = get8 1\nc = get16 2', 1],
  ['a get wider than what is known', 'a = get8 0\nb = get32 0', 2],
  ['a put in between, elsewhere', 'a = get32 0\nput32 4 a\nb = get32 0', 1],
  ['a put over a part', 'a = get32 0\nput8 3 a\nb = get32 0', 2],
  ['a put through a field', 'a = get32 0\nput8 {rm:1} a\nb = get32 0', 2],
  ['a put through a field, slot out of its reach', 'a = get32 512\nput8 {rm:1} a\nb = get32 512', 1],
  ['a poke', 'a = get32 0\npoke8 0 a a\nb = get32 0', 2],
  ['a call', 'a = get32 0\ncall helper\nb = get32 0', 2],
  ['a guest load', 'a = get32 0\nl = ld32 0 a\nb = get32 0', 1],
  ['known before an if', 'a = get32 0\nif a\nb = get32 0\nelse\nc = get32 0\nend\nd = get32 0', 1],
  ['written in the then part', 'a = get32 0\nif a\nput32 0 a\nend\nd = get32 0', 2],
  ['written in the else part', 'a = get32 0\nif a\nelse\nput32 0 a\nend\nd = get32 0', 2],
  ['first known in an if', 'a = get32 4\nif a\nb = get32 0\nend\nd = get32 0', 3],
  [
    'first known in an else whose then part faults',
    'a = get32 4\nif a\nraise 6 a\nelse\nb = get32 0\nend\nd = get32 0',
    3,
  ],
  ['written where the path ends', 'a = get32 0\nif a\nput32 0 a\nraise 6 a\nend\nd = get32 0', 1],
  [
    'written behind, in a loop',
    'a = get32 0\nloop\nb = get32 0\nput32 0 b\nc = get32 4\ncontinue_if c\nend',
    3,
  ],
  ['first known in a loop', 'loop\nb = get32 0\ncontinue_if b\nend\nc = get32 0', 2],
])('gets that stay: %s', (_, text, expected) => {
  expect(gets(text)).toBe(expected);
});

const one = 'a = i32.const 1\n';
test.each([
  ['the same slot', 'put32 40 a\nput32 40 a', [0]],
  ['parts of a wider put', 'put8 40 a\nput16 42 a\nput32 40 a', [0, 1]],
  ['a wider put after its parts', 'put32 40 a\nput16 40 a\nput16 42 a', [0]],
  ['a wider put after one part', 'put32 40 a\nput16 40 a', []],
  ['a get in between', 'put32 40 a\nb = get8 43\nput32 40 a', []],
  ['a get of another slot', 'put32 40 a\nb = get8 44\nput32 40 a', [0]],
  ['a get through a field', 'put32 40 a\nb = get8 {rm:1}\nput32 40 a', []],
  ['a peek', 'put32 40 a\nb = peek32 0 a\nput32 40 a', []],
  ['a poke', 'put32 40 a\npoke32 0 a a\nput32 40 a', [0]],
  ['a guest store', 'put32 40 a\nst32 a a\nput32 40 a', []],
  ['an instruction that stores', '.mark 0 2\nst32 a a\nput32 40 a\n.mark 2 1\nput32 40 a', []],
  ['an instruction that does not store', '.mark 0 2\nput32 40 a\n.mark 2 1\nput32 40 a', [0]],
  ['a probe', 'put32 40 a\nprobe 4 a\nput32 40 a', []],
  ['a call', 'put32 40 a\ncall helper\nput32 40 a', []],
  ['overwritten on one way', 'put32 40 a\nif a\nput32 40 a\nend', []],
  ['overwritten on both ways', 'put32 40 a\nif a\nput32 40 a\nelse\nput32 40 a\nend', [0]],
  ['overwritten behind an if', 'put32 40 a\nif a\nput32 40 a\nend\nput32 40 a', [0, 1]],
  ['a leave on one way', 'put32 40 a\nif a\nleave 3 a\nend\nput32 40 a', []],
  ['a fault on one way', 'put32 40 a\nif a\nraise 0 a\nend\nput32 40 a', []],
  [
    'read at the start of the next round',
    'loop\nb = get32 40\nput32 40 a\ncontinue_if b\nput32 40 a\nend',
    [],
  ],
])('puts that die: %s', (_, text, expected) => {
  expect(deadPuts(one + text)).toEqual(expected);
});

test('two additions: the flags of the first one go, and all that made them', () => {
  const block = parseBlock(`block {
    .mark 0 2
    a = get32 0
    b = get32 4
    r = i32.add a b
    x = i32.xor a r
    put32 40 r
    put32 44 x
    put32 0 r
    .mark 2 2
    c = get32 0
    d = get32 4
    s = i32.add c d
    y = i32.xor c s
    put32 40 s
    put32 44 y
    put32 0 s
    goto 2
  }`);
  expect(printBlock(optimize(block))).toBe(`block {
  .mark 0 2
  v0 = get32 0
  v1 = get32 4
  v2 = i32.add v0 v1
  .mark 2 2
  v3 = i32.add v2 v1
  v4 = i32.xor v2 v3
  put32 40 v3
  put32 44 v4
  put32 0 v3
  goto 2
}`);
});

test('an if that became empty goes with its condition and its variables', () => {
  const block = parseBlock(`block {
    .var i32
    a = get32 0
    if a
      var.set 0 a
    else
      b = get32 4
    end
    goto 0
  }`);
  expect(optimize(block).ops.map((op) => op.name)).toEqual(['goto']);
});

test('compaction keeps ops that did not change', () => {
  const block = parseBlock('block {\na = get32 0\nput32 4 a\nb = get32 8\ngoto 0\n}');
  const after = compact(block, Uint8Array.of(0, 0, 1, 0));
  expect(after.ops).toEqual([block.ops[0], block.ops[1], block.ops[3]]);
});

/** Properties that hold for random IR: printing, folding, passes. */
import fc from 'fast-check';
import { bindFields } from './bind.js';
import { Builder } from './builder.js';
import type { Block, Value } from './ir.js';
import { OPS, type OpName, type Type } from './ops.js';
import { parseBlock, parseText } from './parse.js';
import { compact, findDeadCode } from './passes/dead-code.js';
import { findDeadPuts } from './passes/dead-puts.js';
import { forwardGets } from './passes/get-forwarding.js';
import { optimize } from './passes/optimize.js';
import { printBlock, printFunction } from './print.js';
import { traceOf } from './testing/fixture.js';
import { NUMBER_FIELDS, RANDOM_FUNCTIONS, randomBlock, SLOT_FIELDS } from './testing/random-block.js';
import { verifyBlock, verifyFunction } from './verify.js';

// Without bias: small numbers would mean the same few ops over and over.
const numbers = fc.noBias(fc.array(fc.nat(0xffff), { minLength: 1, maxLength: 250, size: 'max' }));
const seed = fc.integer({ min: 1, max: 0x7fffffff });
const runs = { numRuns: 400 };

class PlainBuilder extends Builder {
  override pure(name: OpName, ...args: Value[]): Value {
    return this.emit(name, OPS[name].result as Type, args);
  }
}

function deadPuts(block: Block): Block {
  const dropped = new Uint8Array(block.ops.length);
  findDeadPuts(block, dropped);
  return compact(block, dropped);
}
function deadCode(block: Block): Block {
  const dropped = new Uint8Array(block.ops.length);
  findDeadCode(block, dropped);
  return compact(block, dropped);
}

test('random blocks and their functions are valid', () => {
  for (const f of RANDOM_FUNCTIONS) expect(verifyFunction(f)).toEqual([]);
  fc.assert(
    fc.property(numbers, fc.boolean(), (n, fields) => {
      expect(verifyBlock(randomBlock(n, { fields }))).toEqual([]);
    }),
    runs,
  );
});

test('folding while building changes no value', () => {
  const options = { expressions: true };
  fc.assert(
    fc.property(numbers, seed, (n, s) => {
      const plain = randomBlock(n, { ...options, builder: new PlainBuilder() });
      expect(traceOf(randomBlock(n, options), s)).toEqual(traceOf(plain, s));
    }),
    { numRuns: 3000 },
  );
});

test('folding while building changes no outcome', () => {
  fc.assert(
    fc.property(numbers, seed, (n, s) => {
      const plain = randomBlock(n, { builder: new PlainBuilder() });
      expect(verifyBlock(plain)).toEqual([]);
      expect(traceOf(randomBlock(n), s)).toEqual(traceOf(plain, s));
    }),
    runs,
  );
});

test('what is printed parses back to the same block', () => {
  const named = new Map(RANDOM_FUNCTIONS.map((f) => [f.name, f]));
  const fields = new Map([...SLOT_FIELDS, ...NUMBER_FIELDS].map((f) => [f.name, f]));
  const options = { functionNamed: (x: string) => named.get(x), fieldNamed: (x: string) => fields.get(x) };
  fc.assert(
    fc.property(numbers, fc.boolean(), (n, withFields) => {
      const block = randomBlock(n, { fields: withFields });
      const text = printBlock(block);
      const parsed = parseBlock(text, options);
      expect(parsed).toEqual(block);
      expect(printBlock(parsed)).toBe(text);
    }),
    runs,
  );
  const text = RANDOM_FUNCTIONS.map((f) => printFunction(f)).join('\n');
  expect(parseText(text).functions).toEqual(RANDOM_FUNCTIONS);
});

describe.each([
  ['get-forwarding', forwardGets],
  ['dead puts', deadPuts],
  ['dead code', deadCode],
  ['all passes', optimize],
])('%s', (_, pass) => {
  test('keeps outcome, state and guest memory of blocks', () => {
    fc.assert(
      fc.property(numbers, seed, fc.boolean(), (n, s, plain) => {
        const block = randomBlock(n, plain ? { builder: new PlainBuilder() } : {});
        const before = printBlock(block);
        const after = pass(block);
        expect(verifyBlock(after)).toEqual([]);
        expect(printBlock(block)).toBe(before);
        expect(traceOf(after, s)).toEqual(traceOf(block, s));
      }),
      runs,
    );
  });

  test('keeps those of forms, whatever the fields are and alias', () => {
    const slots = fc.array(fc.nat(20), { minLength: 3, maxLength: 3 });
    fc.assert(
      fc.property(numbers, seed, slots, fc.integer(), (n, s, slot, immediate) => {
        const form = randomBlock(n, { fields: true });
        const value = new Map<unknown, number>();
        SLOT_FIELDS.forEach((f, k) => value.set(f, slot[k]!));
        NUMBER_FIELDS.forEach((f) => value.set(f, immediate));
        const after = pass(form);
        expect(verifyBlock(after)).toEqual([]);
        const bound = (b: Block): Block => bindFields(b, (f) => value.get(f)!);
        expect(traceOf(bound(after), s)).toEqual(traceOf(bound(form), s));
      }),
      runs,
    );
  });
});

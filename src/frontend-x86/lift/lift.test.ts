import { Builder } from '../../ir/builder.js';
import { verifyFaultOrder } from '../../ir/fault-order.js';
import type { Block, CallTarget } from '../../ir/ir.js';
import { verifyBlock, verifyFunction } from '../../ir/verify.js';
import { OPS } from '../../ir/ops.js';
import { formEndsBlock } from '../block-ends.js';
import { allForms, formName } from '../forms.js';
import { FUNCTIONS } from './functions.js';
import { lift, LIFTS } from './lift.js';

/** Stores behind a probe of the same bytes, or a function that raises only before it writes. */
const PROBED = new Set(['pusha', 'callf', 'sgdt', 'sidt', 'enter']);

test('every form lifts to valid IR, with a terminator exactly if it ends the block', () => {
  const problems: string[] = [];
  for (const form of allForms()) {
    const name = formName(form);
    const b = new Builder();
    b.mark(0, 0);
    try {
      lift(b, form);
    } catch (e) {
      problems.push(`${name}: ${(e as Error).message}`);
      continue;
    }
    const last = b.ops.at(-1);
    const ended = last !== undefined && OPS[last.name].effect === 'end';
    if (ended !== formEndsBlock(form)) problems.push(`${name}: ended ${ended}`);
    for (const v of verifyBlock(b.block(), { mayFallThrough: true })) {
      problems.push(`${name}: op ${v.op} ${v.message}`);
    }
    // x87 operations leave intermediate results in scratch slots.
    if (PROBED.has(form.op) || form.op.startsWith('f')) continue;
    for (const v of verifyFaultOrder(b.block())) problems.push(`${name}: op ${v.op} ${v.message}`);
  }
  expect(problems).toEqual([]);
});

test('the list of functions has all that lifted code calls, and that they call', () => {
  // The last is JavaScript's.
  const listed = new Set([...FUNCTIONS.map((f) => f.name), 'segments_not_flat']);
  const missing = new Set<string>();
  const look = ({ ops }: Block): void => {
    for (const { name, imm } of ops)
      if (name === 'call' && !listed.has((imm as CallTarget).name)) missing.add((imm as CallTarget).name);
  };
  for (const form of allForms()) {
    const b = new Builder();
    b.mark(0, 0);
    lift(b, form);
    look(b.block());
  }
  for (const { body } of FUNCTIONS) look(body);
  expect([...missing]).toEqual([]);
});

test('the out-of-line functions are valid and have names of their own', () => {
  for (const f of FUNCTIONS) expect([f.name, verifyFunction(f)]).toEqual([f.name, []]);
  expect(new Set(FUNCTIONS.map((f) => f.name)).size).toBe(FUNCTIONS.length);
  expect(Object.keys(LIFTS).length).toBeGreaterThan(100);
});

/** How much of what a guest executes runs in regions, as `--stats` says. */
import { expect, test } from '@jest/globals';
import * as L from '../backend-wasm/memory-layout.js';
import { InterpreterEngine } from './interpreter-engine.js';
import { ADD_EAX, CODE, Guest, RET } from './testing/code-guest.js';

const CALLS = 10_000;

test.each(['jit', 'auto'] as const)('%s counts what regions execute, and nothing else', (kind) => {
  const guest = new Guest(kind);
  guest.put(CODE, [...ADD_EAX(1), ...RET]);
  const { engine } = guest;
  const inRegions = (): number => engine.counters()['instructions in regions']!;
  expect(inRegions()).toBe(0);
  guest.heat();
  const [before, from] = [engine.instructions, inRegions()];
  guest.call(CALLS);
  const executed = engine.instructions - before;
  const there = inRegions() - from;
  // The call, what is called, and the loop's two.
  expect(executed).toBe(5 * CALLS);
  expect(there).toBeLessThanOrEqual(executed);
  expect(there).toBeGreaterThan(0.99 * executed);
});

test('they are counted over 2^32', () => {
  const guest = new Guest('jit');
  guest.put(CODE, RET);
  guest.heat();
  const { engine } = guest;
  if (!(engine instanceof InterpreterEngine)) throw new TypeError('an engine without regions');
  const inRegions = (): number => engine.counters()['instructions in regions']!;
  engine.memory.i32[L.REGION_INSTRUCTIONS >> 2] = 0xffffff00;
  const before = inRegions();
  expect(before).toBe(0xffffff00);
  guest.call(CALLS);
  expect(inRegions()).toBeGreaterThan(2 ** 32);
});

test('the interpreter alone has none to count', () => {
  expect(new Guest('interp').engine.counters()).not.toHaveProperty('instructions in regions');
});

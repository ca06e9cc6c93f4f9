/** What engines ask their translator for. */
import { describe, expect, test } from '@jest/globals';
import { HeldTranslator } from './testing/held-translator.js';
import { STEP } from './heating.js';
import { InterpreterEngine } from './interpreter-engine.js';
import { ADD_EAX, CODE, DATA, Guest, JMP, OFTEN, PAGE, RET } from './testing/code-guest.js';
import { regionName } from './translator-bug.js';

/** Blocks that jump one to the next, the last of which returns. */
const BLOCKS = 6;
const APART = 32;
const JMP_EBX = [0xff, 0xe3];

test('while a region is translated none of its blocks is asked for again', () => {
  const guest = new Guest('auto');
  for (let i = 0; i < BLOCKS; i++) {
    const at = CODE + i * APART;
    const add = ADD_EAX(i);
    guest.put(at, [...add, ...(i + 1 < BLOCKS ? JMP(at + add.length, at + APART) : RET)]);
  }
  guest.call(20_000);
  const { held } = guest.translations;
  const asked = held.map(({ request }) => request.leaders.length);
  // What is called, and, as it returns to a computed place, who calls it.
  expect(held.length).toBeLessThanOrEqual(2);
  expect(Math.max(...asked)).toBeGreaterThanOrEqual(BLOCKS);
  guest.translations.finish();
  guest.call(20_000);
  expect(guest.engine.counters()['regions entered']).toBeGreaterThan(0);
});

/** Names of what is under way. */
const asked = ({ translations }: Guest): string[] => translations.held.map(({ request }) => request.name);
/** All predecoded code goes. */
function flush({ engine }: Guest): void {
  if (!(engine instanceof InterpreterEngine)) throw new TypeError('an engine without predecoded code');
  engine.code.flush();
}

test('a block in two regions is not asked for again when the first of them is there', () => {
  const [A, B, BOTH] = [CODE + PAGE, CODE + 2 * PAGE, CODE + 3 * PAGE];
  const guest = new Guest('auto');
  guest.put(CODE, JMP_EBX);
  guest.put(A, JMP(A, BOTH));
  guest.put(B, JMP(B, BOTH));
  guest.put(BOTH, RET);
  const [nameOfA, nameOfB, nameOfBoth] = [A, B, BOTH].map((eip) => regionName(eip, undefined));
  guest.call(OFTEN.auto, DATA, A);
  guest.call(OFTEN.auto, DATA, B);
  expect(asked(guest)).toEqual(expect.arrayContaining([nameOfA, nameOfB]));
  guest.translations.deliver(({ name }) => name !== nameOfB);
  guest.call(OFTEN.auto, DATA, B);
  expect(asked(guest)).toContain(nameOfB);
  expect(asked(guest)).not.toContain(nameOfBoth);
});

test('what was asked for before all records went is asked for again', () => {
  const guest = new Guest('auto');
  guest.put(CODE, RET);
  guest.call(OFTEN.auto);
  const before = asked(guest);
  expect(before).not.toEqual([]);
  flush(guest);
  guest.call(OFTEN.auto);
  expect(asked(guest)).toEqual([...before, ...before]);
  // Answers to what was asked before change nothing of that.
  const { held } = guest.translations;
  const [first] = held;
  guest.translations.deliver((request) => request === first!.request);
  guest.call(OFTEN.auto);
  expect(asked(guest)).toEqual([...before.slice(1), ...before]);
});

test('records are no warmer for those that stood there before all went', () => {
  const guest = new Guest('auto', { heat: undefined, punctual: true });
  guest.put(CODE, RET);
  // Two of them are 10/12 of what makes blocks of two instructions warm.
  const step = (): void => void guest.call((5 * STEP) / 12);
  step();
  step();
  flush(guest);
  step();
  step();
  expect(asked(guest)).toEqual([]);
  step();
  expect(asked(guest)).not.toEqual([]);
});

test('what a boot executes makes nothing warm', () => {
  const guest = new Guest('auto', { heat: undefined });
  guest.put(CODE, RET);
  guest.call(10 * STEP);
  guest.engine.instructions = 1e8;
  // One more step, where two would make it warm.
  guest.call(STEP / 2 + 1);
  expect(asked(guest)).toEqual([]);
  guest.call(STEP);
  expect(asked(guest)).not.toEqual([]);
});

describe.each([
  ['translated', true],
  ['being translated', false],
])('what is %s of the same page', (_, delivered) => {
  test.each([
    ['goes with a block if it became warm not long ago', 0, [0, APART]],
    ['does not if that was in other times', 1e9, [APART]],
  ])('%s', (_, pause, leaders) => {
    const [A, B] = [CODE + PAGE, CODE + PAGE + APART];
    const guest = new Guest('auto', { heat: undefined });
    // Earlier nothing is asked for.
    guest.engine.instructions = 1e8;
    guest.put(CODE, JMP_EBX);
    guest.put(A, RET);
    guest.put(B, RET);
    const [nameOfA, nameOfB] = [A, B].map((eip) => regionName(eip, undefined));
    guest.call(4 * STEP, DATA, A);
    expect(asked(guest)).toContain(nameOfA);
    if (delivered) guest.translations.finish();
    guest.engine.instructions += pause;
    guest.call(4 * STEP, DATA, B);
    const held = guest.translations.held.find(({ request }) => request.name === nameOfB);
    expect(held?.request.leaders).toEqual(leaders);
  });
});

test('what a newer region has asked for as well is not of other times', () => {
  const [A, B, C] = [CODE + PAGE, CODE + PAGE + APART, CODE + 2 * PAGE];
  const guest = new Guest('auto', { heat: undefined });
  guest.engine.instructions = 1e8;
  guest.put(CODE, JMP_EBX);
  guest.put(A, RET);
  guest.put(B, RET);
  guest.put(C, JMP(C, A));
  guest.call(4 * STEP, DATA, A);
  guest.translations.finish();
  guest.engine.instructions += 1e9;
  guest.call(4 * STEP, DATA, C);
  guest.translations.finish();
  guest.call(4 * STEP, DATA, B);
  const held = guest.translations.held.find(({ request }) => request.name === regionName(B, undefined));
  expect(held?.request.leaders).toEqual([0, APART]);
});

test('the interpreter asks for nothing, however often a block runs', () => {
  const translator = new HeldTranslator();
  const guest = new Guest('interp', { heat: 50, translator });
  guest.put(CODE, [...ADD_EAX(1), ...RET]);
  guest.call(1000);
  expect(translator.held).toEqual([]);
});

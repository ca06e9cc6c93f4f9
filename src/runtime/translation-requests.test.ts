/** What engines ask their translator for. */
import { expect, test } from '@jest/globals';
import { HeldTranslator } from './testing/held-translator.js';
import { ADD_EAX, CODE, Guest, JMP, RET } from './testing/code-guest.js';

/** Blocks that jump one to the next, the last of which returns. */
const BLOCKS = 6;
const APART = 32;

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

test('the interpreter asks for nothing, however often a block runs', () => {
  const translator = new HeldTranslator();
  const guest = new Guest('interp', { heat: 50, translator });
  guest.put(CODE, [...ADD_EAX(1), ...RET]);
  guest.call(1000);
  expect(translator.held).toEqual([]);
});

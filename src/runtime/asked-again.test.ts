/** Code whose translation came to nothing, as something else was written meanwhile, is asked for again. */
import { expect, test } from '@jest/globals';
import { CODE, COPY, Guest, JMP, MOV_EAX, NEW, OLD, RET } from './testing/code-guest.js';

const FEW = 20;
const MANY = 100_000;

// mov esi, edx; loop: dec esi; jnz loop; jmp COPY
const LOOP = [0x89, 0xd6, 0x4e, 0x75, 0xfd];

test('a loop whose translation was refused because of another page becomes hot again', () => {
  const guest = new Guest('auto');
  guest.put(CODE, [...LOOP, ...JMP(CODE + LOOP.length, COPY)]);
  guest.put(COPY, [...MOV_EAX(OLD), ...RET]);
  // The loop is hot in the end, and what follows it warm.
  guest.call(FEW, 4);
  expect(guest.translations.held.map(({ request }) => request.pages.size)).toContain(2);
  guest.put(COPY, [...MOV_EAX(NEW), ...RET]);
  guest.translations.finish();
  expect(guest.engine.counters()['not translated: page was written meanwhile']).toBeGreaterThan(0);
  for (let i = 0; i < 10; i++) {
    expect(guest.call(1, MANY)).toBe(NEW);
    guest.translations.finish();
  }
  expect(guest.engine.counters()['regions live']).toBeGreaterThan(0);
});

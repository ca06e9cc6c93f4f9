/** Straight code that is longer than a block: all ways into it meet, so that regions know them. */
import { expect, test } from '@jest/globals';
import { MAX_BLOCK } from '../frontend-x86/limits.js';
import { CODE, DATA, Guest, OFTEN, RET } from './testing/code-guest.js';

const INC_EAX = 0x40;
const MOV_EAX_0 = [0xb8, 0, 0, 0, 0];
const JMP_EBX = [0xff, 0xe3];
const COUNT = 1000;
const STRAIGHT = CODE + 0x100;
/** Somewhere in its first block. */
const INSIDE = STRAIGHT + MOV_EAX_0.length + 20;

function guestWith(kind: 'interp' | 'auto'): Guest {
  const guest = new Guest(kind);
  guest.put(CODE, JMP_EBX);
  guest.put(STRAIGHT, [...MOV_EAX_0, ...new Array<number>(COUNT).fill(INC_EAX), ...RET]);
  return guest;
}

test('who comes into the middle of a block decodes no more than one', () => {
  const guest = guestWith('interp');
  expect(guest.call(1, DATA, STRAIGHT)).toBe(COUNT);
  const before = guest.engine.counters()['blocks decoded']!;
  expect(before).toBeGreaterThan(COUNT / MAX_BLOCK);
  expect(guest.call(1, DATA, INSIDE)).toBe(COUNT + COUNT - 20);
  expect(guest.engine.counters()['blocks decoded']).toBe(before + 1);
});

test('who comes into the middle of a block goes on in the region', () => {
  const guest = guestWith('auto');
  for (let i = 0; i < 5; i++) {
    guest.call(OFTEN.auto, DATA, STRAIGHT);
    guest.translations.finish();
  }
  /** Entries of regions, of which the calling code has some, in a call of a place. */
  const enteredFor = (place: number): number => {
    const entered = (): number => guest.engine.counters()['regions entered']!;
    const before = entered();
    guest.call(1, DATA, place);
    return entered() - before;
  };
  const END = STRAIGHT + MOV_EAX_0.length + COUNT;
  enteredFor(INSIDE);
  expect(enteredFor(STRAIGHT)).toBeGreaterThan(enteredFor(END));
  expect(enteredFor(INSIDE)).toBeGreaterThan(enteredFor(END));
});

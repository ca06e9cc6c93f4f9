/** What is not translated. */
import { translate, type TranslationRequest } from './translator.js';

const PAGE = 4096;
const NOP = 0x90;
const BLOCK = 64;

/** A straight way of so many instructions through pages of nops. */
function straight(instructions: number): TranslationRequest {
  const leaders = Array.from({ length: instructions / BLOCK }, (_, i) => BLOCK * i);
  const pages = new Map([0, 1].map((delta) => [delta, new Uint8Array(PAGE).fill(NOP)]));
  return { leaders, entries: [0], name: 'guest:0', pages };
}

test('a way that is too long to be counted in an entry row', () => {
  expect(translate(straight(PAGE - BLOCK))?.entries).toEqual([{ place: 0, need: PAGE - BLOCK }]);
  expect(translate(straight(PAGE + BLOCK))).toBeUndefined();
});

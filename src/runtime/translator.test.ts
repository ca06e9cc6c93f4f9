/** What is not translated. */
import { dataTlbFor } from '../backend-wasm/data-tlb.js';
import { causeOfNothing, translate, type TranslationRequest } from './translator.js';
import { PAGE } from '../frontend-x86/limits.js';

const NOP = 0x90;
const BLOCK = 64;

/** A straight way of so many instructions through pages of nops. */
function straight(instructions: number): TranslationRequest {
  const leaders = Array.from({ length: instructions / BLOCK }, (_, i) => BLOCK * i);
  const pages = new Map([0, 1].map((delta) => [delta, new Uint8Array(PAGE).fill(NOP)]));
  return { leaders, entries: [0], name: 'guest:0', dataTlb: dataTlbFor(1), pages };
}

test('a way that is too long to be counted in an entry row', () => {
  expect(translate(straight(PAGE - BLOCK))?.entries).toEqual([{ place: 0, need: PAGE - BLOCK }]);
  expect(translate(straight(PAGE + BLOCK))).toBeUndefined();
  expect(causeOfNothing(straight(PAGE + BLOCK))).toBe('a way without a loop is too long');
});

test('bytes that are no instruction, or not wholly there', () => {
  const request = straight(BLOCK);
  // The first byte of one that goes on in the next page.
  const pages = new Map([[0, new Uint8Array(PAGE).fill(0xe8, PAGE - 1)]]);
  const cut = { ...request, leaders: [PAGE - 1], entries: [PAGE - 1], pages };
  expect(translate(cut)).toBeUndefined();
  expect(causeOfNothing(cut)).toBe('no decodable instruction');
});

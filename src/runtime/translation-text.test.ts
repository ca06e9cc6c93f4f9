import { expect, test } from '@jest/globals';
import { dataTlbFor } from '../backend-wasm/data-tlb.js';
import { translationText } from './translation-text.js';
import type { TranslationRequest } from './translator.js';
import { PAGE } from '../frontend-x86/limits.js';

const JNE_BYTES = 6;

/** So many `jne` to the same place, one behind the other: each block is inside those before. */
function chain(length: number): TranslationRequest {
  const page = new Uint8Array(PAGE).fill(0x90);
  const end = PAGE - 1;
  const leaders = [end];
  for (let i = 0; i < length; i++) {
    const at = i * JNE_BYTES;
    leaders.push(at);
    page.set([0x0f, 0x85], at);
    new DataView(page.buffer).setInt32(at + 2, end - (at + JNE_BYTES), true);
  }
  page[end] = 0xc3;
  return {
    leaders: leaders.sort((a, b) => a - b),
    entries: [0],
    name: 'guest:0',
    dataTlb: dataTlbFor(1),
    pages: new Map([[0, page]]),
  };
}

test('the text of hundreds of blocks, one inside the other', async () => {
  expect(await translationText(chain(600))).toContain('(func $region');
}, 30_000);

test('nothing to translate', async () => {
  expect(await translationText({ ...chain(1), leaders: [], entries: [] })).toBeUndefined();
});

test('what goes wrong in the translator is told', async () => {
  const broken = { ...chain(1), pages: undefined } as unknown as TranslationRequest;
  await expect(translationText(broken)).rejects.toMatchObject({ name: 'TypeError' });
});

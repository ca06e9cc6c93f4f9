/** Of the blocks that wait the one is next that runs most. */
import { expect, test } from '@jest/globals';
import type { CodePageView } from './code-page.js';
import { STEP } from './heating.js';
import { CODE, DATA, Guest, PAGE, RET } from './testing/code-guest.js';
import { regionName } from './translator-bug.js';
import { type CodeBlock, WaitingBlocks } from './waiting-blocks.js';

const block = (record: number): CodeBlock => ({ record, linear: 0, page: {} as CodePageView });
const here = (): 'here' => 'here';

test('the block with the largest rate, of those that are here', () => {
  const waiting = new WaitingBlocks();
  const rate = (record: number): number => record;
  expect(waiting.hottest(rate, here)).toBeUndefined();
  for (const record of [2, 5, 3, 4]) waiting.add(block(record));
  expect(waiting.hottest(rate, here)?.record).toBe(5);
  expect(waiting.hottest(rate, ({ record }) => (record === 5 ? 'elsewhere' : 'here'))?.record).toBe(4);
  expect(waiting.hottest(rate, here)?.record).toBe(5);
  expect(waiting.hottest(rate, ({ record }) => (record === 5 ? 'gone' : 'here'))?.record).toBe(4);
  expect(waiting.hottest(rate, here)?.record).toBe(4);
  waiting.delete(4);
  expect(waiting.hottest(rate, here)?.record).toBe(3);
  expect(waiting.hottest(() => 0, here)).toBeUndefined();
});

const NOP = 0x90;
const JMP_EBX = [0xff, 0xe3];
const [LONG, SHORT] = [CODE + PAGE, CODE + 2 * PAGE];

test('when the translator is idle that is asked for which ran most, whatever ran last', () => {
  const guest = new Guest('auto', { heat: undefined });
  const { translations } = guest;
  guest.engine.instructions = 1e8;
  guest.put(CODE, JMP_EBX);
  guest.put(LONG, [...new Array<number>(50).fill(NOP), ...RET]);
  guest.put(SHORT, RET);
  translations.idle = false;
  guest.call(STEP / 6, DATA, LONG);
  guest.call(2 * STEP, DATA, SHORT);
  expect(translations.held).toEqual([]);
  translations.idle = true;
  guest.call(STEP, DATA, SHORT);
  expect(translations.held[0]!.request.name).toBe(regionName(LONG, undefined));
});

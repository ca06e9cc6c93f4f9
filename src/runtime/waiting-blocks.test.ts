/** Of the blocks that wait the one is next that runs most. */
import { expect, test } from '@jest/globals';
import type { CodePageView } from './code-page.js';
import { STEP } from './heating.js';
import {
  CODE,
  COPY,
  DATA,
  DIRECTORY,
  Guest,
  JMP,
  OTHER_DIRECTORY,
  OTHER_TABLE,
  PAGE,
  RET,
} from './testing/code-guest.js';
import { regionName } from './translator-bug.js';
import { type CodeBlock, MOST_WAITING, WaitingBlocks } from './waiting-blocks.js';

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

test('too many are forgotten, but not for one that is there', () => {
  const waiting = new WaitingBlocks();
  const rate = (record: number): number => record + 1;
  for (let record = 0; record < MOST_WAITING; record++) waiting.add(block(record));
  waiting.add(block(7));
  expect(waiting.hottest(rate, here)?.record).toBe(MOST_WAITING - 1);
  waiting.add(block(-0.5));
  expect(waiting.hottest(rate, here)?.record).toBe(-0.5);
});

const NOP = 0x90;
const JMP_EBX = [0xff, 0xe3];
const [LONG, SHORT, LAST] = [CODE + PAGE, CODE + 2 * PAGE, CODE + 3 * PAGE];

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

test('what is part of a region that was asked for does not wait any more', () => {
  const guest = new Guest('auto', { heat: undefined });
  const { translations } = guest;
  guest.engine.instructions = 1e8;
  guest.put(CODE, JMP_EBX);
  guest.put(LONG, [...new Array<number>(50).fill(NOP), ...JMP(LONG + 50, SHORT)]);
  guest.put(SHORT, [...new Array<number>(40).fill(NOP), ...RET]);
  guest.put(LAST, RET);
  translations.idle = false;
  guest.call(STEP / 6, DATA, LONG);
  translations.idle = true;
  guest.call(4 * STEP, DATA, LAST);
  const starts = translations.held.map(({ request }) => request.name);
  expect(starts).toContain(regionName(LONG, undefined));
  expect(starts).not.toContain(regionName(SHORT, undefined));
});

test('what another address space has in its place waits for its own', () => {
  const guest = new Guest('auto', { heat: undefined });
  const { translations, engine } = guest;
  engine.instructions = 1e8;
  guest.paging();
  guest.put(CODE, JMP_EBX);
  for (const at of [LONG, COPY]) guest.put(at, [...new Array<number>(50).fill(NOP), ...RET]);
  for (const at of [SHORT, LAST]) guest.put(at, RET);
  guest.map(LONG, COPY, OTHER_DIRECTORY, OTHER_TABLE);
  const asked = (): string[] => translations.held.map(({ request }) => request.name);
  translations.idle = false;
  guest.call(STEP / 6, DATA, LONG);
  translations.idle = true;
  engine.mmu.setPageTable(OTHER_DIRECTORY, false);
  guest.call(3 * STEP, DATA, SHORT);
  expect(asked()).toContain(regionName(SHORT, undefined));
  expect(asked()).not.toContain(regionName(LONG, undefined));
  engine.mmu.setPageTable(DIRECTORY, false);
  guest.call(1, DATA, LONG);
  guest.call(3 * STEP, DATA, LAST);
  expect(asked()).toContain(regionName(LONG, undefined));
});

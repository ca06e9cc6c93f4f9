/** How much blocks have executed, by their counters. */
import { BlockHeat } from './block-heat.js';
import type { CodePageView } from './code-page.js';
import { MachineMemory } from './machine-memory.js';
import * as L from '../backend-wasm/memory-layout.js';
import { RECORD_HEAT } from '../backend-wasm/record.js';

const RECORD = L.RECORDS + 0x100;
const never = (): boolean => false;
const unknown = (): undefined => undefined;

/** A page with a block at its first byte, whose code changed so often. */
function blockOf(unrest: number): {
  heat: BlockHeat;
  page: CodePageView;
  execute: (instructions: number) => void;
} {
  const memory = new MachineMemory(0x100000, 0);
  const heat = new BlockHeat(memory);
  heat.threshold = 12_000;
  const page = { pfn: 0, map: L.CODE_MAPS, unrest, onDrop: new Set() } as unknown as CodePageView;
  memory.i32[page.map >> 2] = RECORD;
  heat.start(RECORD, page);
  const execute = (instructions: number): void => {
    memory.i32[(RECORD + RECORD_HEAT) >> 2]! -= instructions;
  };
  return { heat, page, execute };
}

test('a block is warm when it has executed so much', () => {
  const { heat, page, execute } = blockOf(0);
  execute(1400);
  expect(heat.isWarm(page, 0, 1500, never)).toBe(false);
  execute(100);
  expect(heat.isWarm(page, 0, 1500, never)).toBe(true);
  expect(heat.warmBlocks(page, 1500, unknown)).toEqual([0]);
});

test('a block that is looked at early is not warm for that', () => {
  const { heat, page, execute } = blockOf(0);
  heat.startEarly(RECORD, page);
  expect(heat.left(RECORD)).toBe(500);
  execute(500);
  expect(heat.isWarm(page, 0, 1500, never)).toBe(false);
  expect(heat.warmBlocks(page, 1500, unknown)).toEqual([]);
  heat.start(RECORD, page);
  expect(heat.takeEarly(RECORD)).toBeUndefined();
  execute(1500);
  expect(heat.isWarm(page, 0, 1500, never)).toBe(true);
});

test('what it had executed before counts on', () => {
  const { heat, page, execute } = blockOf(0);
  execute(1400);
  heat.startEarly(RECORD, page);
  expect(heat.isWarm(page, 0, 1500, never)).toBe(false);
  expect(heat.isWarm(page, 0, 1400, never)).toBe(true);
  execute(500);
  heat.goOn(RECORD, heat.takeEarly(RECORD)!);
  expect(heat.takeEarly(RECORD)).toBeUndefined();
  expect(heat.left(RECORD)).toBe(12_000 - 1400 - 500);
});

test('blocks of pages that change often, and those that do not count, are not looked at early', () => {
  const restless = blockOf(5);
  restless.heat.startEarly(RECORD, restless.page);
  expect(restless.heat.left(RECORD)).toBe(24_000);
  const { heat, page } = blockOf(0);
  heat.never(RECORD);
  heat.startEarly(RECORD, page);
  expect(heat.takeEarly(RECORD)).toBeUndefined();
});

test('what has become part of a region is warm, whatever it was before', () => {
  const { heat, page } = blockOf(0);
  heat.startEarly(RECORD, page);
  heat.never(RECORD);
  expect(heat.isWarm(page, 0, 1500, never)).toBe(true);
});

test('a page that is forgiven starts anew, but for what never counts', () => {
  const { heat, page } = blockOf(1000);
  const needed = heat.of(page);
  expect(heat.left(RECORD)).toBe(needed);
  heat.forgive(page);
  heat.restart(RECORD, page, needed);
  expect(heat.left(RECORD)).toBe(12_000);
  heat.never(RECORD);
  const never = heat.left(RECORD);
  heat.restart(RECORD, page, needed);
  expect(heat.left(RECORD)).toBe(never);
});

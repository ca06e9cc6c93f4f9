import { describe, expect, test } from '@jest/globals';
import { Heating, heatThresholds, STEP } from './heating.js';

const BLOCK = 0x1000;
const MILLION = 1_000_000;

/** What is said of a block at the end of each of so many steps, which are so many instructions apart. */
function steps(heating: Heating, count: number, apart: number, from = 0): string[] {
  return Array.from({ length: count }, (_, i) => heating.note(BLOCK, from + i * apart, STEP));
}

test('a block that comes to step after step at once is warm, and then hot', () => {
  const said = steps(new Heating(), 15, MILLION);
  expect(said[0]).toBe('cold');
  expect(said.slice(1, 14)).toEqual(new Array(13).fill('warm'));
  expect(said[14]).toBe('hot');
});

test('what takes too long for hot is warm', () => {
  expect(new Set(steps(new Heating(), 60, 2 * MILLION))).toEqual(new Set(['cold', 'warm']));
});

test('what comes as far by and by stays cold', () => {
  expect(new Set(steps(new Heating(), 60, 250 * MILLION))).toEqual(new Set(['cold']));
});

test('a long pause makes a hot block start anew', () => {
  const heating = new Heating();
  steps(heating, 14, MILLION);
  expect(heating.note(BLOCK, 500 * MILLION, STEP)).toBe('cold');
});

test('a block that is forgotten starts anew, others do not', () => {
  const heating = new Heating();
  steps(heating, 14, MILLION);
  for (let i = 0; i < 14; i++) heating.note(BLOCK + 64, i * MILLION, STEP);
  heating.forget(BLOCK);
  expect(heating.has(BLOCK)).toBe(false);
  expect(heating.note(BLOCK, 14 * MILLION, STEP)).toBe('cold');
  expect(heating.note(BLOCK + 64, 14 * MILLION, STEP)).toBe('hot');
});

test('recent is what took a step, or was asked for, not long ago', () => {
  const heating = new Heating();
  expect(heating.isRecent(BLOCK, 0)).toBeUndefined();
  heating.note(BLOCK, MILLION, STEP);
  expect(heating.isRecent(BLOCK, 400 * MILLION)).toBe(true);
  expect(heating.isRecent(BLOCK, 600 * MILLION)).toBe(false);
  heating.include(BLOCK, 600 * MILLION);
  expect(heating.isRecent(BLOCK, 600 * MILLION)).toBe(true);
  // That is no step.
  expect(heating.note(BLOCK, 600 * MILLION, STEP)).toBe('cold');
});

test('instructions are counted over all steps, in whatever time', () => {
  const heating = new Heating();
  expect(heating.executedOf(BLOCK)).toBe(0);
  steps(heating, 3, 300 * MILLION);
  expect(heating.note(BLOCK, 900 * MILLION, 2 * STEP)).toBe('cold');
  expect(heating.executedOf(BLOCK)).toBe(5 * STEP);
  heating.forget(BLOCK);
  expect(heating.executedOf(BLOCK)).toBe(0);
});

test('thresholds in instructions are those in steps', () => {
  const { hot, warm } = heatThresholds(STEP);
  const executed = (heat: string): number => {
    const heating = new Heating();
    for (let now = 0; heating.note(BLOCK, now, STEP) !== heat;) now++;
    return heating.executedOf(BLOCK);
  };
  expect(executed('hot')).toBe(hot.instructions);
  expect(executed('warm')).toBe(warm.instructions);
});

describe('rates', () => {
  const OTHER = 0x2000;

  test('are those of what runs on, not of what has ended', () => {
    const heating = new Heating();
    for (let i = 0; i < 20; i++) heating.note(BLOCK, i * MILLION, STEP);
    for (let i = 0; i < 8; i++) heating.note(OTHER, i * 10 * MILLION, STEP);
    expect(heating.rateOf(BLOCK, 20 * MILLION)).toBeGreaterThan(heating.rateOf(OTHER, 20 * MILLION));
    expect(heating.rateOf(BLOCK, 75 * MILLION)).toBeLessThan(heating.rateOf(OTHER, 75 * MILLION));
  });

  test('of what runs evenly stay what they are', () => {
    const heating = new Heating();
    const rates: number[] = [];
    for (let now = 0; now < 1000 * MILLION; now += 5 * MILLION) {
      heating.note(BLOCK, now, STEP);
      if (now > 100 * MILLION) rates.push(heating.rateOf(BLOCK, now));
    }
    expect(Math.max(...rates) / Math.min(...rates)).toBeLessThan(1.3);
  });

  test('of what nobody has seen, and of what was just asked for, are 0', () => {
    const heating = new Heating();
    expect(heating.rateOf(BLOCK, MILLION)).toBe(0);
    heating.note(BLOCK, MILLION, STEP);
    heating.include(BLOCK, 2 * MILLION);
    expect(heating.rateOf(BLOCK, 2 * MILLION)).toBe(0);
  });
});

import { fileURLToPath } from 'node:url';
import type { EngineKind } from '../runtime/create-engine.js';
import { Machine } from './machine.js';
import { statsText, totals } from './stats.js';

function statsOf(engine: EngineKind): { text: string; counters: Readonly<Record<string, number>> } {
  const kernel = fileURLToPath(new URL('../../test/roms/hello/hello.elf', import.meta.url));
  const machine = new Machine({ kernel, memoryMiB: 16, engine });
  machine.runFor(1e9);
  machine.close();
  return { text: statsText(machine.stats), counters: machine.stats.counters };
}

test('the interpreter alone says nothing of regions', () => {
  const { text } = statsOf('interp');
  expect(text).toMatch(/^engine +interp\n/);
  expect(text).not.toMatch(/region|translat/);
});

test('with the translator: regions, bytes, time, ways out', () => {
  const { text, counters } = statsOf('jit');
  expect(text).toMatch(/^engine +jit\n/);
  expect(counters['regions installed']).toBeGreaterThan(0);
  expect(counters['translations asked for']).toBeGreaterThanOrEqual(counters['regions installed']!);
  expect(counters['regions live']).toBe(counters['regions installed']! - counters['regions dropped']!);
  expect(counters['region bytes live']).toBeLessThanOrEqual(counters['region bytes']!);
  expect(counters['translation ms in the worker']).toBeGreaterThanOrEqual(0);
  expect(text).toMatch(/region exits: /);
});

test('what is live ends with its engine', () => {
  expect(totals({ 'regions live': 3, 'regions installed': 5 })).toEqual({ 'regions installed': 5 });
});

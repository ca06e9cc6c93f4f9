/** `auto` translates in the background, and yet a comparison with it is the same each time. */
import { join } from 'node:path';
import { packageRoot } from '../runtime/load-interpreter.js';
import { compare } from './compare.js';

function comparison(): Record<string, unknown> {
  const { counters, ...rest } = compare({
    machine: {
      memoryMiB: 16,
      kernel: join(packageRoot(), 'test/roms/default/default.elf'),
      args: 'run=bench_crc_20;bench_qsort_20;smc_300;poweroff',
    },
    subject: 'auto',
    every: 3_000_000,
  });
  // What the host's clock measured is not, nor what the worker, which all machines share, remembers of earlier ones.
  const repeatable = Object.entries(counters).filter(
    ([name]) => !/ ms/.test(name) && name !== 'translations made before',
  );
  return { ...rest, counters: Object.fromEntries(repeatable) };
}

test('translations are installed at the same counts', () => {
  const first = comparison();
  expect(first).toMatchObject({ exit: { reason: 'poweroff' } });
  expect(first['sighting']).toBeUndefined();
  const { counters } = first as { counters: Record<string, number> };
  expect(counters['regions entered']).toBeGreaterThan(0);
  expect(comparison()).toEqual(first);
});

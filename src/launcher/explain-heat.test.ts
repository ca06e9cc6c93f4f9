/** What is said of a block's entries is what made it hot or warm (`runtime/heating.ts`), not one step towards that. */
import { expect, test } from '@jest/globals';
import { fileURLToPath } from 'node:url';
import { heatThresholds, STEP } from '../runtime/heating.js';
import { InterpreterEngine } from '../runtime/interpreter-engine.js';
import { explain } from './explain.js';
import { Machine } from './machine.js';

const KERNEL = fileURLToPath(new URL('../../test/roms/default/default.elf', import.meta.url));

test('regions of auto were formed after as many entries as are told', async () => {
  let engine: unknown;
  const machine = new Machine({
    ...{ kernel: KERNEL, memoryMiB: 16, args: 'run=bench_crc;poweroff', engine: 'auto', clock: 'virtual' },
    ...{ punctual: true, watchRegions: true },
    onPowerOn: (powered) => (engine = powered),
  });
  machine.runFor(1e9);
  machine.close();
  if (!(engine instanceof InterpreterEngine)) throw new Error('no engine');
  const regions = [...engine.regions.regions()];
  expect(regions).not.toHaveLength(0);
  for (const { origin } of regions) {
    const text = await explain(engine, (origin.linear + origin.start) >>> 0, true);
    const [, heat, times] = /was (hot|warm): it had been entered (\d+) times/.exec(text)!;
    const { entries } = heatThresholds(STEP)[heat as 'hot' | 'warm'];
    expect(Number(times)).toBeGreaterThanOrEqual(entries);
    expect(Number(times)).toBeLessThanOrEqual(origin.instructions);
  }
});

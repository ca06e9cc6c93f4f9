/** What is said of a block's instructions is what made it hot or warm (`runtime/heating.ts`), not one step towards that. */
import { expect, test } from '@jest/globals';
import { fileURLToPath } from 'node:url';
import { heatThresholds, STEP } from '../runtime/heating.js';
import { InterpreterEngine } from '../runtime/interpreter-engine.js';
import { explain } from './explain.js';
import { Machine } from './machine.js';

const KERNEL = fileURLToPath(new URL('../../test/roms/default/default.elf', import.meta.url));

/** The default guest's, until it has powered off. */
async function regionsOf(run: (machine: Machine) => unknown): Promise<InterpreterEngine> {
  let engine: unknown;
  const machine = new Machine({
    ...{ kernel: KERNEL, memoryMiB: 16, args: 'run=bench_crc;poweroff', engine: 'auto', clock: 'virtual' },
    ...{ punctual: true, watchRegions: true },
    onPowerOn: (powered) => (engine = powered),
  });
  await run(machine);
  machine.close();
  if (!(engine instanceof InterpreterEngine)) throw new Error('no engine');
  expect([...engine.regions.regions()]).not.toHaveLength(0);
  return engine;
}

test('regions of auto were formed after as many instructions as are told', async () => {
  const engine = await regionsOf((machine) => machine.runFor(1e9));
  const regions = [...engine.regions.regions()];
  for (const { origin } of regions) {
    const text = await explain(engine, (origin.linear + origin.start) >>> 0, true);
    const [, heat, spent] = /was (hot|warm): the interpreter had spent (\d+) of them on it/.exec(text)!;
    const { instructions } = heatThresholds(STEP)[heat as 'hot' | 'warm'];
    expect(Number(spent)).toBeGreaterThanOrEqual(instructions);
    expect(Number(spent)).toBeLessThanOrEqual(origin.instructions);
  }
});

test('every run of a punctual machine has the same regions, entered as often', async () => {
  const explained = async (): Promise<string[]> => {
    const engine = await regionsOf((machine) => machine.run());
    const texts = [...engine.regions.regions()].map(({ origin }) =>
      explain(engine, (origin.linear + origin.start) >>> 0, true),
    );
    return Promise.all(texts);
  };
  const first = await explained();
  expect(await explained()).toEqual(first);
});

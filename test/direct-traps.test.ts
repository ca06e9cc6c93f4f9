/**
 * System calls and page faults that the engine delivers by itself, and hypercalls that are served inside its runs, leave
 * the guest in the same state, at the same instruction counts, as those that end a run.
 */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Engine } from '../src/runtime/engine.js';
import type { EngineKind } from '../src/runtime/create-engine.js';
import { packageRoot } from '../src/runtime/load-interpreter.js';
import { Machine } from '../src/launcher/machine.js';

const rom = (name: string): string => join(packageRoot(), 'test', 'roms', name, `${name}.elf`);

function play(name: string, args: string, engine: EngineKind, directTraps: boolean) {
  const output: Uint8Array[] = [];
  let last: Engine | undefined;
  const machine = new Machine({
    memoryMiB: 16,
    kernel: rom(name),
    args,
    clock: 'virtual',
    engine,
    directTraps,
    onConsole: (bytes) => void output.push(bytes.slice()),
    onPowerOn: (e) => void (last = e),
  });
  machine.endInput();
  while (machine.runFor(50_000) === 'budget');
  machine.close();
  const { counters, instructions } = machine.stats;
  const ram = last!.memory.view(0, 16 << 20);
  return {
    end: {
      exit: machine.exit,
      instructions,
      output: Buffer.concat(output).toString(),
      memory: createHash('sha256').update(ram).digest('hex'),
      served: Object.fromEntries(
        Object.entries(counters).filter(([key]) => /^(trap|interrupt|hypercall|ring hypercall) /.test(key)),
      ),
    },
    direct: last!.directTraps(),
    exits: counters['exit int'] ?? 0,
  };
}

test.each([
  ['default', 'run=test;poweroff', 'interp'],
  ['default', 'run=test;poweroff', 'auto'],
  ['traps-user', '', 'interp'],
  ['traps-user', '', 'jit'],
  ['traps-kernel', '', 'interp'],
  ['paging', '', 'interp'],
  ['paging', '', 'jit'],
] as const)('%s %s with %s', (name, args, engine) => {
  const direct = play(name, args, engine, true);
  const byHost = play(name, args, engine, false);
  expect(direct.end).toEqual(byHost.end);
  expect(byHost.direct).toEqual({ systemCalls: 0, pageFaults: 0 });
  expect(direct.exits).toBeLessThan(byHost.exits);
  if (name === 'default') expect(direct.direct.systemCalls).toBeGreaterThan(0);
  if (name === 'traps-user') expect(direct.direct.pageFaults).toBeGreaterThan(0);
});

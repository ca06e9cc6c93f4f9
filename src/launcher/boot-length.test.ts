/** What is reckoned for a guest's boot, and that engines heed it. */
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { InterpreterEngine } from '../runtime/interpreter-engine.js';
import { beginOfTranslation, BOOT_INSTRUCTIONS } from '../runtime/tiers.js';
import { bootInstructions } from './boot-length.js';
import type { KernelImage } from './load-elf.js';
import { Machine } from './machine.js';

const PLAIN = new Uint8Array(5000).map((_, i) => i * i);
const PACKED = gzipSync(PLAIN);

const kernel = (gzipBytes: number): KernelImage => ({
  ...{ format: 'ELF', note: '', segments: [], entry: 0, end: 0 },
  gzipBytes,
});

test('what the guest has to unpack counts, what it need not does not', () => {
  expect(bootInstructions(kernel(0))).toBe(BOOT_INSTRUCTIONS);
  expect(bootInstructions(kernel(0), PLAIN)).toBe(BOOT_INSTRUCTIONS);
  const packed = bootInstructions(kernel(0), PACKED);
  expect(packed).toBeGreaterThan(BOOT_INSTRUCTIONS);
  expect(bootInstructions(kernel(1000), PACKED)).toBeGreaterThan(packed);
});

test('nothing is translated before that', () => {
  const path = fileURLToPath(new URL('../../test/roms/default/default.elf', import.meta.url));
  const firstRequest = (initrd?: Uint8Array): number => {
    let engine: unknown;
    const machine = new Machine({
      ...{ kernel: path, memoryMiB: 16, engine: 'auto', ...(initrd && { initrd }) },
      onPowerOn: (powered) => (engine = powered),
    });
    machine.close();
    if (!(engine instanceof InterpreterEngine)) throw new Error('no engine');
    return engine.tierUp.firstRequest;
  };
  expect(firstRequest()).toBe(beginOfTranslation().firstRequest);
  expect(firstRequest(PACKED)).toBe(beginOfTranslation(bootInstructions(kernel(0), PACKED)).firstRequest);
});

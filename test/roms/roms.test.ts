/** Runs every row of `roms.json` on a whole machine, with every engine. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { EngineKind } from '../../src/runtime/create-engine.js';
import { Machine, type MachineExit } from '../../src/launcher/machine.js';

interface RomRow {
  name: string;
  /** ELF file, relative to this directory. */
  image: string;
  /** Kernel command line. */
  args?: string;
  /** Content of a disk of 64 sectors: byte i of sector n is (7n + i) mod 256, or zero. */
  disk?: 'pattern' | 'zero';
  /** The machine has an entropy device. */
  rng?: boolean;
  /** What is typed on the console. */
  input?: string;
  /** Lines that must be printed, in this order; others may stand between them. */
  expect: string[];
  /** Exit status, and for deaths and panics what the machine says about it. */
  status: number;
  message?: string;
}

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const ROWS = JSON.parse(readFileSync(here('roms.json'), 'utf8')) as RomRow[];
const SECTORS = 64;
const SECTOR_BYTES = 512;

function diskOf(kind: 'pattern' | 'zero'): Uint8Array {
  const data = new Uint8Array(SECTORS * SECTOR_BYTES);
  if (kind === 'pattern')
    data.forEach((_, at) => (data[at] = Math.floor(at / SECTOR_BYTES) * 7 + (at % SECTOR_BYTES)));
  return data;
}

interface Ending {
  readonly output: string;
  readonly instructions: number;
  readonly exit: MachineExit;
}

/** How each row ended under the first engine. */
const endings = new Map<string, Ending>();

async function play(row: RomRow, engine: EngineKind): Promise<Ending> {
  const output: Uint8Array[] = [];
  const machine = new Machine({
    memoryMiB: 16,
    kernel: here(row.image),
    args: row.args ?? '',
    disks: row.disk ? [{ data: diskOf(row.disk) }] : [],
    rng: row.rng ?? false,
    clock: 'virtual',
    engine,
    onConsole: (bytes) => void output.push(bytes.slice()),
  });
  if (row.input !== undefined) machine.write(row.input);
  machine.endInput();
  const exit = await machine.run();
  return { output: Buffer.concat(output).toString('latin1'), instructions: machine.instructions, exit };
}

const ENGINES: readonly EngineKind[] = ['interp', 'jit', 'auto'];

describe.each(ENGINES)('%s', (engine) => {
  test.each(ROWS.map((row) => [row.name, row] as const))('%s', async (name, row) => {
    const ending = await play(row, engine);
    const lines = ending.output.replaceAll('\r', '').split('\n');
    expect(lines.filter((line) => line.startsWith('FAIL'))).toEqual([]);
    const wanted = [...row.expect];
    for (const line of lines) if (line === wanted[0]) wanted.shift();
    expect(wanted).toEqual([]);
    expect(ending.exit.status).toBe(row.status);
    if (row.message !== undefined) expect(ending.exit.message).toContain(row.message);
    // In virtual time every engine does exactly the same.
    const known = endings.get(name);
    if (known) expect(ending).toEqual(known);
    endings.set(name, ending);
  });
});

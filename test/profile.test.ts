/** Node's own profiler shows guest functions by their names. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { packageRoot } from '../src/runtime/load-interpreter.js';

const COMMAND = join(packageRoot(), 'dist', 'src', 'launcher', 'main.js');
const GUEST = join(packageRoot(), 'test', 'roms', 'default', 'default.elf');
/** Where the guest's benchmarks run. */
const PROGRAM = 0x400000;
const PROGRAM_PAGES = 32;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lguest-profile-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Profile {
  readonly nodes: readonly { readonly callFrame: { readonly functionName: string } }[];
}

/** The guest is busy under the profiler; the names of guest functions in the profile. */
async function profile(options: readonly string[]): Promise<string[]> {
  const into = mkdtempSync(join(folder, 'run-'));
  await promisify(execFile)(process.execPath, [
    '--cpu-prof',
    `--cpu-prof-dir=${into}`,
    COMMAND,
    '--engine=jit',
    ...options,
    ...['16', GUEST, 'run=bench_crc;poweroff'],
  ]);
  return readdirSync(into).flatMap((file) => {
    const { nodes } = JSON.parse(readFileSync(join(into, file), 'utf8')) as Profile;
    return nodes.map((n) => n.callFrame.functionName).filter((name) => name.startsWith('guest:'));
  });
}

test('by address without symbols, by name with them', async () => {
  expect(await profile([])).toContainEqual(expect.stringMatching(/^guest:0040[0-9a-f]{4}$/));
  const map = join(folder, 'System.map');
  const address = (page: number): string => (PROGRAM + page * 4096).toString(16).padStart(8, '0');
  const lines = Array.from({ length: PROGRAM_PAGES }, (_, page) => `${address(page)} T page_${page}\n`);
  writeFileSync(map, lines.join(''));
  const names = await profile([`--symbols=${map}`]);
  expect(names).toContainEqual(expect.stringMatching(/^guest:page_\d+(\+0x[0-9a-f]+)?@0040[0-9a-f]{4}$/));
});

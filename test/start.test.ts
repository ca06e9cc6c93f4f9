/** What the launcher loads before a guest runs: lifters, evaluator and Binaryen would double the time that takes. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageRoot } from '../src/runtime/load-interpreter.js';

const DIST = join(packageRoot(), 'dist');

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lguest-start-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The built package's modules, by path below `dist`, that V8 reports for a run of the default guest. */
async function loaded(engine: string): Promise<string[]> {
  const into = mkdtempSync(join(folder, 'run-'));
  const guest = join(packageRoot(), 'test', 'roms', 'default', 'default.elf');
  const main = join(DIST, 'src', 'launcher', 'main.js');
  // To see what is covered the command is no bundle but modules.
  const args = [main, '--engine', engine, '16', guest, 'run=poweroff'];
  await new Promise<void>((resolve, reject) => {
    const env = { ...process.env, NODE_V8_COVERAGE: into };
    execFile(process.execPath, args, { env }, (error) => (error ? reject(error) : resolve()));
  });
  const base = `${pathToFileURL(DIST).href}/`;
  return readdirSync(into).flatMap((file) => {
    const { result } = JSON.parse(readFileSync(join(into, file), 'utf8')) as { result: { url: string }[] };
    return result.filter(({ url }) => url.startsWith(base)).map(({ url }) => url.slice(base.length));
  });
}

/** What the translator and the reference engine need, and nobody else. */
function isHeavy(path: string): boolean {
  const light = ['src/ir/ir.js'];
  return !light.includes(path) && /\/lift\/|\/lift-|^src\/ir\/|\/translator\.js|binaryen/.test(path);
}

test.each(['interp', 'auto'])('%s starts without lifters, evaluator and Binaryen', async (engine) => {
  const modules = await loaded(engine);
  expect(modules).toContain('src/frontend-x86/decode.js');
  expect(modules.filter(isHeavy)).toEqual([]);
});

test('the reference engine needs them', async () => {
  const heavy = (await loaded('reference')).filter(isHeavy);
  expect(heavy).toContain('src/ir/evaluate.js');
  expect(heavy).toContain('src/frontend-x86/lift/x87.js');
});

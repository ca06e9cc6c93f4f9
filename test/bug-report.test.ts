/** Errors of ours, planted in the command as built: status 70, one line, a report; nothing is lost. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageRoot } from '../src/runtime/load-interpreter.js';

const COMMAND = join(packageRoot(), 'dist', 'src', 'launcher', 'main.js');
const PLANT = pathToFileURL(join(packageRoot(), 'test', 'plant-error.mjs')).href;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lguest-bug-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs the default guest with an error planted after `after` regions; checks the ending and returns the report. */
function reportOf(plant: string, after = 0): { report: string; out: string; error: string } {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    ['--import', PLANT, COMMAND, '--engine=jit'],
    {
      cwd: folder,
      input: 'echo one\nsmc 10\nbench crc 1\npoweroff\n',
      encoding: 'utf8',
      env: { ...process.env, LGUEST_PLANT: plant, LGUEST_PLANT_AFTER: String(after) },
    },
  );
  expect(status).toBe(70);
  const files = readdirSync(folder);
  expect(files).toEqual([expect.stringMatching(/^lguest-jit-report-\d+\.txt$/)]);
  const report = readFileSync(join(folder, files[0]!), 'utf8');
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expect(stderr).toMatch(
    /^lguest: this is a bug in lguest-jit .*, not in your guest \(.*\); please report it with /,
  );
  expect(stderr).toContain(files[0]);
  expect(report).toMatch(/^A bug in lguest-jit \d/);
  expect(report).toContain(`node ${process.version}`);
  expect(report).toContain('Code at eip ');
  return { report, out: stdout, error: stderr };
}

/** Everything about a region. */
function expectRegion(report: string): void {
  expect(report).toMatch(/\nRegion guest:[0-9a-f]{8}, at eip [0-9a-f]{8}: \d+ blocks/);
  expect(report).toMatch(/\n {2}[0-9a-f]{8} {2}[0-9a-f]{2,} +mov /);
  expect(report).toMatch(/IR\nblock \{/);
  expect(report).toMatch(/IR after the passes\nblock \{/);
}

test('a region traps', () => {
  const { report, out, error } = reportOf('trap', 60);
  expect(error).toContain('RuntimeError while running guest:');
  expectRegion(report);
  expect(report).toMatch(/at guest:[0-9a-f]{8} \(wasm:/);
  expect(report).toMatch(/\(export "region" \(func \$region\)\)/);
  // What the guest had printed is there.
  expect(out).toContain('Default guest:');
});

test('a module does not validate', () => {
  const { report, error } = reportOf('invalid');
  expect(error).toMatch(/CompileError while translating guest:[0-9a-f]{8}: .*expected i32, got i64/);
  expectRegion(report);
  expect(report).toContain('(i64.const 1)');
});

test('the lowering throws in the worker', () => {
  const { report, error } = reportOf('exception');
  expect(error).toMatch(/Error while translating guest:[0-9a-f]{8}: planted/);
  expectRegion(report);
  expect(report).toContain('(there is none: Error: planted)');
});

test('the worker ends', () => {
  const { report, error } = reportOf('exit');
  expect(error).toContain('the translation worker has ended');
  expectRegion(report);
});

test('the interpreter traps: there is no region to show', () => {
  const { report, error } = reportOf('interpreter');
  expect(error).toContain('RuntimeError while running the interpreter: ');
  expect(report).not.toContain('Region guest:');
});

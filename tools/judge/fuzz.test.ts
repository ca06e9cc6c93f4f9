/** `npm run fuzz` as built, without the processor. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../src/runtime/load-interpreter.js';

const FUZZ = join(packageRoot(), 'dist/tools/judge/fuzz.js');

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'fuzz-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

interface Ending {
  readonly status: number | null;
  readonly out: string;
  readonly error: string;
}

/** Runs it to its end. It gets the signal, if any, when it has said how far it is. */
function fuzz(args: readonly string[], signal?: NodeJS.Signals): Promise<Ending> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [FUZZ, '--no-native', ...args]);
    let [out, error] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      error += text;
      // A second one would end it at once.
      if (signal && !child.killed) child.kill(signal);
    });
    child.on('close', (status) => resolve({ status, out, error }));
  });
}

test('it says how far it is, and its sum', async () => {
  const { status, out, error } = await fuzz(['--programs=10', '--progress=5']);
  expect(status).toBe(0);
  expect(error).toMatch(/^5 of 10 seeds, \d programs, 0 failures, \d+ s\n10 of 10 seeds, .*\n$/);
  expect(out).toMatch(
    /^\d+ programs of reference,interp,jit,auto, [\d.]+ instructions each, 0 failures, \d+ s\n/,
  );
  expect(out).toMatch(/^auto: regions entered: [1-9]/m);
});

test.each(['SIGINT', 'SIGTERM'] as const)('%s ends it with its sum so far', async (signal) => {
  const log = join(folder, 'log');
  const args = ['--programs=1000000', '--progress=5', '--engines=reference,interp', `--log=${log}`];
  const { status, out } = await fuzz(args, signal);
  expect(status).toBe(0);
  const [, done] = new RegExp(`^stopped by ${signal} after (\\d+) of 1000000 seeds$`, 'm').exec(out) ?? [];
  expect(Number(done)).toBeGreaterThanOrEqual(5);
  expect(out).toMatch(/^\d+ programs of reference,interp, .* 0 failures/);
  expect(readFileSync(log, 'utf8')).toContain(`seeds 1..${done}: `);
});

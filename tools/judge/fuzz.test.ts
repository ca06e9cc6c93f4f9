/** `npm run fuzz` as built, without the processor but where the test says otherwise. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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

interface Surroundings {
  /** Sent when it has said how far it is. */
  readonly signal?: NodeJS.Signals;
  /** The environment's. */
  readonly path?: string;
}

/** Runs it to its end. */
function fuzz(args: readonly string[], { signal, path }: Surroundings = {}): Promise<Ending> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [FUZZ, ...args], {
      env: { ...process.env, ...(path !== undefined && { PATH: path }) },
    });
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
  const { status, out, error } = await fuzz(['--no-native', '--programs=10', '--progress=5']);
  expect(status).toBe(0);
  expect(error).toMatch(/^5 of 10 seeds, \d programs, 0 failures, \d+ s\n10 of 10 seeds, .*\n$/);
  expect(out).toMatch(
    /^\d+ programs of reference,interp,jit,auto, [\d.]+ instructions each, 0 failures, \d+ s\n/,
  );
  expect(out).toMatch(/^auto: regions entered: [1-9]/m);
});

test.each(['SIGINT', 'SIGTERM'] as const)('%s ends it with its sum so far', async (signal) => {
  const log = join(folder, 'log');
  const args = ['--no-native', '--programs=1000000', '--progress=5', '--engines=reference,interp'];
  const { status, out } = await fuzz([...args, `--log=${log}`], { signal });
  expect(status).toBe(0);
  const [, done] = new RegExp(`^stopped by ${signal} after (\\d+) of 1000000 seeds$`, 'm').exec(out) ?? [];
  expect(Number(done)).toBeGreaterThanOrEqual(5);
  expect(out).toMatch(/^\d+ programs of reference,interp, .* 0 failures/);
  expect(readFileSync(log, 'utf8')).toContain(`seeds 1..${done}: `);
});

describe('where the processor cannot be asked it says so and judges nothing', () => {
  test('no compiler', async () => {
    const { status, out, error } = await fuzz(['--programs=10'], { path: folder });
    expect(error).toBe(
      'gcc -m32 does not compile the capture program here. --no-native leaves the processor out.\n',
    );
    expect({ status, out }).toEqual({ status: 2, out: '' });
  });

  test('a kernel without 32-bit programs', async () => {
    // What it "compiles" is an executable that the kernel does not know.
    const compiler = '#!/bin/sh\nfor last; do [ "$o" = -o ] && file=$last; o=$last; done\n';
    const broken = `printf '\\177ELF\\001' > "$file"; chmod +x "$file"\n`;
    writeFileSync(join(folder, 'gcc'), compiler + broken, { mode: 0o755 });
    const { status, out, error } = await fuzz(['--programs=10'], {
      path: `${folder}:${process.env['PATH'] ?? ''}`,
    });
    expect(error).toMatch(/^This machine does not run the 32-bit capture program: .*\. --no-native .*\n$/);
    expect({ status, out }).toEqual({ status: 2, out: '' });
  });
});

/** Medians, and processes that are timed by what they print. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { packageRoot } from '../../src/runtime/load-interpreter.js';

export const COMMAND = join(packageRoot(), 'dist', 'src', 'launcher', 'main.js');
/** Each measurement is made so often; the median counts. */
export const ROUNDS = 3;

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** True if `program` can be started. */
export function isInstalled(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).error === undefined;
}

export interface Output {
  status: number | null;
  out: string;
  error: string;
}

/** Runs a program to its end. Throws if it cannot be started. */
export function run(program: string, args: readonly string[]): Output {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
    input: '',
  });
  if (error) throw error;
  return { status, out: stdout, error: stderr };
}

/** Runs the `lguest` command to its end. Throws if the guest did not power off. */
export function runGuest(args: readonly string[]): Output {
  const output = run(process.execPath, [COMMAND, ...args]);
  if (output.status !== 0)
    throw new Error(`lguest ${args.join(' ')}: status ${output.status}\n${output.error}`);
  return output;
}

export type Program = readonly [program: string, ...args: string[]];

const MOST_MILLISECONDS = 120_000;

/**
 * Starts `program` and waits until it prints `marker`; then does `atMarker`, and ends it. Returns milliseconds from
 * start to marker. A program that ends before is an error.
 */
export function timeToMarker(
  [program, ...args]: Program,
  marker: string,
  atMarker?: (child: ChildProcess) => Promise<void>,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    let text = '';
    let found: number | undefined;
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    const timer = setTimeout(() => child.kill('SIGKILL'), MOST_MILLISECONDS);
    const onText = (data: Buffer): void => {
      if (found !== undefined) return;
      text += data.toString('latin1');
      if (!text.includes(marker)) return;
      found = performance.now() - started;
      (atMarker?.(child) ?? Promise.resolve()).then(() => child.kill('SIGTERM'), reject);
    };
    child.stdout.on('data', onText);
    child.stderr.on('data', (data: Buffer) => (text += data.toString('latin1')));
    child.on('error', reject);
    child.on('close', () => {
      clearTimeout(timer);
      if (found !== undefined) resolve(found);
      else reject(new Error(`${program} ${args.join(' ')} ended without "${marker}":\n${text.slice(-2000)}`));
    });
  });
}

/** Columns: the first to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const cell = (text: string, column: number): string =>
    column === 0 ? text.padEnd(widths[0]!) : text.padStart(widths[column]!);
  return rows.map((row) => `  ${row.map(cell).join('  ').trimEnd()}\n`).join('');
}

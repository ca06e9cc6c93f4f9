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

/** Runs the `lguest` command to its end, as if for the first time. Throws if the guest did not power off. */
export function runGuest(args: readonly string[]): Output {
  const output = run(process.execPath, [COMMAND, '--no-cache', ...args]);
  if (output.status !== 0)
    throw new Error(`lguest ${args.join(' ')}: status ${output.status}\n${output.error}`);
  return output;
}

export type Program = readonly [program: string, ...args: string[]];

/** A line of standard output, and when its end came: milliseconds since the start. */
export interface Line {
  text: string;
  milliseconds: number;
}

export interface MarkerRun {
  /** From start to marker. */
  milliseconds: number;
  /** The whole lines in front of the marker. */
  lines: Line[];
}

export interface MarkerOptions {
  /** Done at the marker, before the program is ended. */
  atMarker?: (child: ChildProcess) => Promise<void>;
  /** The program is ended, which is an error, if the marker has not come by then. */
  mostMilliseconds?: number;
}

/** Starts `program`, waits until it prints `marker`, and ends it. A program that ends before is an error. */
export function runToMarker(
  [program, ...args]: Program,
  marker: string,
  { atMarker, mostMilliseconds = 120_000 }: MarkerOptions = {},
): Promise<MarkerRun> {
  return new Promise((resolve, reject) => {
    const started = performance.now();
    const lines: Line[] = [];
    let unfinished = '';
    let errors = '';
    let found: number | undefined;
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    const timer = setTimeout(() => child.kill('SIGKILL'), mostMilliseconds);
    const onText = (data: Buffer): void => {
      if (found !== undefined) return;
      const milliseconds = performance.now() - started;
      const [behind, ...others] = (unfinished + data.toString('latin1')).split('\n').reverse();
      const whole = others.reverse();
      const last = [...whole, behind!].findIndex((text) => text.includes(marker));
      for (const text of last < 0 ? whole : whole.slice(0, last)) lines.push({ text, milliseconds });
      unfinished = behind!;
      if (last < 0) return;
      found = milliseconds;
      (atMarker?.(child) ?? Promise.resolve()).then(() => child.kill('SIGTERM'), reject);
    };
    child.stdout.on('data', onText);
    child.stderr.on('data', (data: Buffer) => (errors += data.toString('latin1')));
    child.on('error', reject);
    child.on('close', () => {
      clearTimeout(timer);
      if (found !== undefined) resolve({ milliseconds: found, lines });
      else {
        const text = [...lines.map((line) => line.text), unfinished, errors].join('\n');
        reject(new Error(`${program} ${args.join(' ')} ended without "${marker}":\n${text.slice(-2000)}`));
      }
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

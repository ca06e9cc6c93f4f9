/** Seven CPU-bound programs: the same C natively and in ring 3 of the default guest. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../src/runtime/load-interpreter.js';
import { geometricMean, ROUNDS, run, runGuest, table } from './measure.js';
import { Results, type Medians, type Timing } from './results.js';

const SOURCE = join(packageRoot(), 'test', 'roms', 'default', 'bench-programs.c');
const DEFAULT_GUEST = join(packageRoot(), 'test', 'roms', 'default', 'default.elf');
const COMPILE = '-O2 -nostdlib -static -fno-pie -no-pie -fno-stack-protector -ffreestanding -DNATIVE'.split(
  ' ',
);
/** For whom gcc compiles them, as far as it goes by preference: without vectors 64-bit programs are much the same code. */
const NATIVE_TARGETS = ['-m32', '-m64 -mgeneral-regs-only'];
/** A short native run takes milliseconds: so many that they make up this percentage make a steadier median. */
const NATIVE_PERCENT = 500;
const LINE = /^bench (\w+) iterations (\d+) check (\w+) us (\d+)/gm;

/** Long enough that what an engine needs to start and to warm up is a small part. */
export const DEFAULT_PERCENT = 1500;

function timings(text: string): Timing[] {
  return [...text.matchAll(LINE)].map(([, program, iterations, check, us]) => ({
    program: program!,
    work: `${iterations} ${check}`,
    seconds: Number(us) / 1e6,
  }));
}

/** The programs compiled for this machine, and for which target; undefined if there is nothing that it runs. */
function compileNative(folder: string): { file: string; target: string } | undefined {
  const file = join(folder, 'bench');
  for (const target of NATIVE_TARGETS) {
    const { status } = spawnSync('gcc', [...target.split(' '), ...COMPILE, SOURCE, '-o', file], {
      stdio: 'ignore',
    });
    // Not each compiler makes 32-bit programs, nor do they run on each kernel and hypervisor.
    if (status !== 0) continue;
    const { stdout } = spawnSync(file, ['fib', '1'], { encoding: 'utf8' });
    if (stdout?.startsWith('bench fib')) return { file, target };
  }
  return undefined;
}

/**
 * Runs the programs natively and on each engine, alternating, and returns the report. `percent` is each one's work, in
 * percent of about 100 million instructions.
 */
export function benchPrograms(engines: readonly string[], percent: number): string {
  const folder = mkdtempSync(join(tmpdir(), 'lguest-bench-'));
  try {
    const native = compileNative(folder);
    const runners = new Map<string, () => string>();
    if (native) runners.set('native', () => run(native.file, ['all', String(percent)]).out);
    const command = `run=bench_all_${percent};poweroff`;
    for (const engine of engines)
      runners.set(engine, () => runGuest([`--engine=${engine}`, '16', DEFAULT_GUEST, command]).out);
    return report([...runners.keys()], measure(runners, percent)) + `  (native: ${describe(native)})\n`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function describe(native: { target: string } | undefined): string {
  if (native) return `gcc ${native.target} -O2`;
  return 'nothing to compare with, as gcc makes no programs that run here';
}

function measure(runners: ReadonlyMap<string, () => string>, percent: number): Medians {
  const results = new Results();
  const nativeRuns = Math.max(1, Math.round(NATIVE_PERCENT / percent));
  for (let round = 0; round < ROUNDS; round++)
    for (const [runner, start] of runners)
      for (let again = runner === 'native' ? nativeRuns : 1; again > 0; again--)
        for (const timing of timings(start())) results.add(runner, timing);
  return results.medians();
}

function report(runners: readonly string[], results: Medians): string {
  const [first, ...others] = runners;
  const compared = first === 'native' ? others : [];
  const slower = (times: ReadonlyMap<string, number>, runner: string): number =>
    times.get(runner)! / times.get('native')!;
  const rows = [['', ...runners.map((r) => `${r} ms`), ...compared.map((r) => `${r} : native`)]];
  for (const [name, times] of results)
    rows.push([
      name,
      ...runners.map((runner) => (times.get(runner)! * 1000).toFixed(0)),
      ...compared.map((runner) => slower(times, runner).toFixed(1)),
    ]);
  if (compared.length > 0)
    rows.push([
      'geometric mean',
      ...runners.map(() => ''),
      ...compared.map((runner) =>
        geometricMean([...results.values()].map((times) => slower(times, runner))).toFixed(1),
      ),
    ]);
  return table(rows);
}

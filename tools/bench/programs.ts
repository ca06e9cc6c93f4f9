/** Seven CPU-bound programs: the same C natively and in ring 3 of the default guest. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../src/runtime/load-interpreter.js';
import { geometricMean, isInstalled, median, ROUNDS, run, runGuest, table } from './measure.js';

const SOURCE = join(packageRoot(), 'test', 'roms', 'default', 'bench-programs.c');
const DEFAULT_GUEST = join(packageRoot(), 'test', 'roms', 'default', 'default.elf');
const COMPILE =
  '-m32 -O2 -nostdlib -static -fno-pie -no-pie -fno-stack-protector -ffreestanding -DNATIVE'.split(' ');
/** A native run takes milliseconds: more of them make a steadier median. */
const NATIVE_RUNS = 5;
const LINE = /^bench (\w+) iterations (\d+) check (\w+) us (\d+)/gm;

interface Timing {
  /** Iterations and checksum: equal if the same work was done. */
  work: string;
  microseconds: number;
}

function timings(text: string): Map<string, Timing> {
  const rows = [...text.matchAll(LINE)].map(
    ([, name, iterations, check, us]) =>
      [name!, { work: `${iterations} ${check}`, microseconds: Number(us) }] as const,
  );
  return new Map(rows);
}

/** Compiles the programs for this machine; undefined if there is no compiler that can. */
function compileNative(folder: string): string | undefined {
  if (!isInstalled('gcc')) return undefined;
  const file = join(folder, 'bench');
  const { status } = spawnSync('gcc', [...COMPILE, SOURCE, '-o', file], { stdio: 'ignore' });
  return status === 0 ? file : undefined;
}

/** Runs the programs natively and on each engine, alternating, and returns the report. */
export function benchPrograms(engines: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'lguest-bench-'));
  try {
    const native = compileNative(folder);
    const runners = new Map<string, () => string>();
    if (native) runners.set('native', () => run(native, ['all', '100']).out);
    for (const engine of engines)
      runners.set(
        engine,
        () => runGuest([`--engine=${engine}`, '16', DEFAULT_GUEST, 'run=bench_all;poweroff']).out,
      );
    return (
      report([...runners.keys()], measure(runners)) +
      (native ? '' : '  (no gcc -m32: nothing to compare with)\n')
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Program -> runner -> median microseconds. Throws if two runs did not do the same work. */
function measure(runners: ReadonlyMap<string, () => string>): Map<string, Map<string, number>> {
  const all = new Map<string, Map<string, number[]>>();
  const works = new Map<string, string>();
  for (let round = 0; round < ROUNDS; round++)
    for (const [runner, start] of runners)
      for (let again = runner === 'native' ? NATIVE_RUNS : 1; again > 0; again--)
        for (const [name, { work, microseconds }] of timings(start())) {
          if ((works.get(name) ?? work) !== work)
            throw new Error(`${name} on ${runner}: ${work}, elsewhere ${works.get(name)}`);
          works.set(name, work);
          const ofProgram = all.get(name) ?? new Map<string, number[]>();
          all.set(name, ofProgram.set(runner, [...(ofProgram.get(runner) ?? []), microseconds]));
        }
  const medians = (ofProgram: Map<string, number[]>): Map<string, number> =>
    new Map([...ofProgram].map(([runner, times]) => [runner, median(times)]));
  return new Map([...all].map(([name, ofProgram]) => [name, medians(ofProgram)]));
}

function report(
  runners: readonly string[],
  results: ReadonlyMap<string, ReadonlyMap<string, number>>,
): string {
  const [first, ...others] = runners;
  const compared = first === 'native' ? others : [];
  const slower = (times: ReadonlyMap<string, number>, runner: string): number =>
    times.get(runner)! / times.get('native')!;
  const rows = [['', ...runners.map((r) => `${r} ms`), ...compared.map((r) => `${r} : native`)]];
  for (const [name, times] of results)
    rows.push([
      name,
      ...runners.map((runner) => (times.get(runner)! / 1000).toFixed(0)),
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

/** Programs under Linux: one static executable, one kernel image, on each engine and on other emulators. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { absent, type Boot, emulators, lguestBoot, type LinuxGuest } from './contestants.js';
import { geometricMean, median, ROUNDS, runToMarker, table, type Line, type Program } from './measure.js';
import { Results, type Medians, type Timing } from './results.js';

/** Equal for all; v86 puts the initial RAM disk at 64 MiB, so that less is too small for it. */
const MEBIBYTES = 128;
/** Printed by the initrd's init in front of the first program, and behind the last. */
const START = 'BENCH-START';
const MARKER = 'BENCH-OK';
const MOST_MILLISECONDS = 900_000;
const LINE = /lbench (\w+) +iterations (\d+) check (\w+) seconds (\d+\.\d+)/;

export const DEFAULT_PERCENT = 1000;

/** Programs that one boot runs. */
interface Group {
  /** What the kernel command line calls them. */
  name: string;
  programs: readonly string[];
  /** Share of the percentage asked for: each program should take a second or more. */
  share: number;
}
const INTEGER: Group = {
  name: 'cpu',
  programs: ['sieve', 'crc', 'qsort', 'fib', 'interp', 'mix', 'copy'],
  share: 1,
};
const SYSTEM: Group = { name: 'kernel', programs: ['getpid', 'fork', 'exec', 'touch', 'pipe'], share: 2 };
/** Reported as one more program. */
const SUM = { name: 'fork+exec', parts: ['fork', 'exec'] };

/** Launches of an engine, by name: one that keeps translations is launched a second time. */
const launches = (engine: string): string[] => (engine === 'auto' ? [engine, `${engine} again`] : [engine]);

interface GuestRun {
  timings: Timing[];
  /** What the programs took by the guest's clock, in parts of what they took by this machine's. */
  clock: number;
}

/**
 * Reads the programs' lines. A line comes when its program has ended, so that the time between two lines is what the
 * latter's program took. That counts, not what the guest says: the clock of a guest that gets too few timer interrupts
 * is late. Throws if a program of the group has no line.
 */
function readLines(lines: readonly Line[], { programs }: Group): GuestRun {
  const first = lines.findIndex(({ text }) => text.trim() === START);
  const output = lines.map(({ text }) => text).join('\n');
  if (first < 0) throw new Error(`no ${START} in:\n${output}`);
  const timings: Timing[] = [];
  let before = lines[first]!.milliseconds;
  let byGuest = 0;
  for (const { text, milliseconds } of lines.slice(first)) {
    const [, program, iterations, check, seconds] = LINE.exec(text) ?? [];
    if (!program) continue;
    timings.push({ program, work: `${iterations} ${check}`, seconds: (milliseconds - before) / 1000 });
    before = milliseconds;
    byGuest += Number(seconds);
  }
  const found = timings.map(({ program }) => program);
  if (found.join() !== programs.join()) throw new Error(`not ${programs.join()} in:\n${output}`);
  return { timings, clock: (byGuest * 1000) / (before - lines[first]!.milliseconds) };
}

/** The timings, and the sum of some of them behind its parts. */
function withSum(timings: readonly Timing[]): Timing[] {
  const parts = timings.filter(({ program }) => SUM.parts.includes(program));
  if (parts.length === 0) return [...timings];
  const sum = {
    program: SUM.name,
    work: parts.map(({ work }) => work).join(' '),
    seconds: parts.reduce((total, { seconds }) => total + seconds, 0),
  };
  return timings.flatMap((timing) => (timing === parts.at(-1) ? [timing, sum] : [timing]));
}

/**
 * Runs the programs on everything there is, alternating, and returns the report. `percent` is the integer programs'
 * work, in percent of about 100 million instructions each; the system loads do twice their own.
 */
export async function benchLinux(
  guest: LinuxGuest,
  engines: readonly string[],
  percent: number,
): Promise<string> {
  const results = new Results();
  const clocks = new Map<string, number[]>();
  let names: string[] = [];
  let missing: string[] = [];
  for (let round = 0; round < ROUNDS; round++)
    for (const group of [INTEGER, SYSTEM]) {
      const share = Math.max(1, Math.round(percent * group.share));
      const words = `quiet bench=${group.name} percent=${share}`;
      const boot: Boot = { guest, mebibytes: MEBIBYTES, marker: MARKER, words };
      const others = emulators(boot);
      // Empty at the first launch; the second finds what the first has left.
      const cache = mkdtempSync(join(tmpdir(), 'lguest-bench-'));
      const own = engines.flatMap((engine) => {
        const program = lguestBoot(boot, `--engine=${engine}`, `--cache=${cache}`);
        return launches(engine).map((name) => [name, program] as const);
      });
      const programs = new Map<string, Program>([...own, ...others.programs]);
      names = [...programs.keys()];
      missing = others.missing;
      try {
        for (const [name, program] of programs) {
          const { lines } = await runToMarker(program, MARKER, { mostMilliseconds: MOST_MILLISECONDS });
          const { timings, clock } = readLines(lines, group);
          for (const timing of withSum(timings)) results.add(name, timing);
          clocks.set(name, [...(clocks.get(name) ?? []), clock]);
        }
      } finally {
        rmSync(cache, { recursive: true });
      }
    }
  return report(names, engines.flatMap(launches), results.medians(), clocks) + absent(missing);
}

function report(
  names: readonly string[],
  engines: readonly string[],
  medians: Medians,
  clocks: ReadonlyMap<string, readonly number[]>,
): string {
  const others = names.filter((name) => !engines.includes(name));
  const pairs = engines.flatMap((engine) => others.map((other) => [engine, other] as const));
  const ratio = (program: string, [engine, other]: readonly [string, string]): number =>
    medians.get(program)!.get(engine)! / medians.get(program)!.get(other)!;
  const mean = [
    'geometric mean',
    ...names.map(() => ''),
    ...pairs.map((pair) => geometricMean(INTEGER.programs.map((program) => ratio(program, pair))).toFixed(2)),
  ];
  const rows = [['', ...names.map((name) => `${name} s`), ...pairs.map((pair) => pair.join(' : '))]];
  for (const [program, times] of medians) {
    rows.push([
      program,
      ...names.map((name) => times.get(name)!.toFixed(2)),
      ...pairs.map((pair) => ratio(program, pair).toFixed(2)),
    ]);
    if (program === INTEGER.programs.at(-1) && pairs.length > 0) rows.push(mean);
  }
  const clockText = names.map((name) => `${name} ${median(clocks.get(name)!).toFixed(2)}`).join(', ');
  return `${table(rows)}  (by this machine's clock; what the guest's shows, in parts of that: ${clockText})\n`;
}

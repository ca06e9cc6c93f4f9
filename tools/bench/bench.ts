/**
 * `npm run bench [-- --engine=NAME … --percent=N PART …]`: what docs/performance.md shows.
 *
 *   --percent=N     work of each integer program, in percent of about 100 million instructions
 *   LGUEST_GUESTS   folder with 3.10/bzImage, initrd-shell.gz, initrd-selftest.gz (test/guests.test.ts says more), and
 *                   initrd-bench.gz, whose init reads bench=NAME and percent=N on the kernel command line, prints
 *                   BENCH-START, runs the programs NAME ("cpu" or "kernel"), each printing
 *                   "lbench PROGRAM iterations N check HEX seconds S" at its end, and prints BENCH-OK
 *   BENCH_V86, BENCH_QEMU   shell commands that boot {kernel} with {initrd} in {memory} MiB, {words} on the kernel
 *                   command line, and print what its console prints, {marker} at the end
 *
 * Parts: those named are run, all if none is.
 */
import { cpus, release, totalmem, type } from 'node:os';
import { parseArgs } from 'node:util';
import { DEFAULT_ENGINE } from '../../src/runtime/engine-kind.js';
import { run, isInstalled, ROUNDS } from './measure.js';
import { benchPrograms, DEFAULT_PERCENT as PROGRAMS_PERCENT } from './programs.js';
import { benchBoot, benchDefaultGuest, benchMemory } from './boot.js';
import { linuxGuest } from './contestants.js';
import { benchLinux, DEFAULT_PERCENT as LINUX_PERCENT } from './linux.js';
import { countHypercalls } from './counts.js';

/** The programs count iterations and microseconds in 32 bits. */
const MOST_PERCENT = 10_000;

const { values, positionals } = parseArgs({
  options: {
    engine: { type: 'string', multiple: true, default: [DEFAULT_ENGINE] },
    percent: { type: 'string' },
  },
  allowPositionals: true,
});
const engines = values.engine;
const percent = values.percent === undefined ? undefined : Number(values.percent);
if (percent !== undefined && !(Number.isInteger(percent) && percent >= 1 && percent <= MOST_PERCENT)) {
  console.error(`--percent=${values.percent}: from 1 to ${MOST_PERCENT}.`);
  process.exit(2);
}
const programsPercent = percent ?? PROGRAMS_PERCENT;
const linuxPercent = percent ?? LINUX_PERCENT;
/** The programs' work in millions of instructions, about. */
const millions = (ofWork: number): string => `about ${ofWork} million instructions each`;

const versionOf = (program: string): string =>
  isInstalled(program) ? run(program, ['--version']).out.split('\n')[0]! : `no ${program}`;

function machine(): string {
  const processors = cpus();
  return (
    `  ${processors[0]!.model}, ${processors.length} CPUs, ${(totalmem() / 2 ** 30).toFixed(0)} GiB\n` +
    `  ${type()} ${release()}, Node ${process.versions.node}, V8 ${process.versions.v8}\n` +
    `  ${versionOf('gcc')}; ${versionOf('qemu-system-i386')}\n`
  );
}

const NO_LINUX = '  (skipped: LGUEST_GUESTS names no folder with a Linux 3.10 guest)\n';
const shell = linuxGuest('initrd-shell.gz');
const benchInitrd = linuxGuest('initrd-bench.gz');
const selfTest = linuxGuest('initrd-selftest.gz');

const PARTS: Record<string, { title: string; make(): Promise<string> | string }> = {
  programs: {
    title: `CPU-bound programs, ${millions(programsPercent)}, beside native code`,
    make: () => benchPrograms(engines, programsPercent),
  },
  linux: {
    title: `Programs under Linux 3.10, 128 MiB: integer (${millions(linuxPercent)}), then system loads`,
    make: () => (benchInitrd ? benchLinux(benchInitrd, engines, linuxPercent) : NO_LINUX),
  },
  boot: {
    title: 'Linux 3.10, 64 MiB, from the command to LGUEST-READY',
    make: () => (shell ? benchBoot(shell, engines) : NO_LINUX),
  },
  default: { title: 'Default guest, from the command to its prompt', make: benchDefaultGuest },
  memory: {
    title: 'Resident memory with Linux 3.10 in 128 MiB, at its prompt',
    make: () => (shell ? benchMemory(shell) : NO_LINUX),
  },
  hypercalls: {
    title: 'Hypercalls of Linux 3.10, boot and self-test',
    make: () => (selfTest ? countHypercalls(selfTest) : NO_LINUX),
  },
};

const unknown = positionals.find((name) => !(name in PARTS));
if (unknown !== undefined) {
  console.error(`There is no part "${unknown}": ${Object.keys(PARTS).join(', ')}.`);
  process.exit(2);
}
console.log(`Machine (medians of ${ROUNDS} runs, alternating)\n${machine()}`);
for (const [name, { title, make }] of Object.entries(PARTS))
  if (positionals.length === 0 || positionals.includes(name)) console.log(`${title}\n${await make()}`);

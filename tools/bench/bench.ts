/**
 * `npm run bench [-- --engine=NAME …]`: what docs/performance.md shows.
 *
 *   LGUEST_GUESTS   folder with 3.10/bzImage, initrd-shell.gz, initrd-selftest.gz (test/guests.test.ts says more)
 *   BENCH_V86, BENCH_QEMU   shell commands that boot {kernel} with {initrd} and print what its console prints
 *
 * Parts: programs, boot, default, memory, hypercalls; those named are run, all if none is.
 */
import { cpus, release, totalmem, type } from 'node:os';
import { parseArgs } from 'node:util';
import { run, isInstalled, ROUNDS } from './measure.js';
import { benchPrograms } from './programs.js';
import { benchBoot, benchDefaultGuest, benchMemory, linuxGuest } from './boot.js';
import { countHypercalls } from './counts.js';

const { values, positionals } = parseArgs({
  options: { engine: { type: 'string', multiple: true, default: ['interp'] } },
  allowPositionals: true,
});
const engines = values.engine;

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
const selfTest = linuxGuest('initrd-selftest.gz');

const PARTS: Record<string, { title: string; make(): Promise<string> | string }> = {
  programs: { title: 'CPU-bound programs, beside gcc -m32 -O2', make: () => benchPrograms(engines) },
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

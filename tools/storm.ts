/**
 * A storm of self-modifying code for as long as one likes, to see whether the process grows:
 *
 *     npm run storm -- [--engine=auto|jit|interp] [--minutes=10] [--rounds=50]
 *
 * The rom `storm` changes its code in every way that keeps a translator busy, for so many rounds, and restarts: caches,
 * modules and workers come and go with each machine. Resident memory, with that of the process that translates, is told every
 * ten seconds; the exit status is 1 if code was stale, or if the last third of the time needed more than GROWTH MiB more than
 * the middle third.
 */
import { join } from 'node:path';
import { SHARED_TRANSLATOR } from '../src/runtime/background.js';
import type { EngineKind } from '../src/runtime/create-engine.js';
import { packageRoot } from '../src/runtime/load-interpreter.js';
import { Machine } from '../src/launcher/machine.js';
import { residentMebibytes } from './resident-memory.js';

const GROWTH = 32;
const SAMPLE_SECONDS = 10;
const MEBIBYTE = 2 ** 20;

function option(name: string, otherwise: string): string {
  const prefix = `--${name}=`;
  return process.argv.find((word) => word.startsWith(prefix))?.slice(prefix.length) ?? otherwise;
}

const engine = option('engine', 'auto') as EngineKind;
const minutes = Number(option('minutes', '10'));
const rounds = Number(option('rounds', '50'));

/** Resident MiB, and the seconds at which they were. */
const samples: { seconds: number; resident: number }[] = [];
const began = performance.now();
let roundsDone = 0;

// As the `lguest` command does: with `auto` a process of its own translates.
SHARED_TRANSLATOR.ownProcess(engine);
const machine = new Machine({
  memoryMiB: 16,
  kernel: join(packageRoot(), 'test/roms/storm/storm.elf'),
  args: `rounds=${rounds} restart`,
  engine,
  onConsole: (bytes) => {
    roundsDone += Buffer.from(bytes).toString('latin1').split('round').length - 1;
  },
});

function sample(): void {
  const seconds = Math.round((performance.now() - began) / 1000);
  const isLinux = process.platform === 'linux';
  const resident = Math.round(
    isLinux ? residentMebibytes(process.pid) : process.memoryUsage.rss() / MEBIBYTE,
  );
  samples.push({ seconds, resident });
  const { restarts, counters } = machine.stats;
  const translated = counters['translations asked for'] ?? 0;
  const invalidations = counters['code invalidations'] ?? 0;
  console.log(
    `${String(seconds).padStart(5)} s  ${resident} MiB resident, ${restarts} restarts, ${roundsDone} rounds, ` +
      `${translated} translations, ${invalidations} invalidations`,
  );
  if (seconds >= minutes * 60) machine.stop();
}

/** The most of the samples in a stretch of the time, given as parts of it. */
function most(from: number, to: number): number {
  const end = samples[samples.length - 1]!.seconds;
  const inside = samples.filter(({ seconds }) => seconds >= from * end && seconds <= to * end);
  return Math.max(...inside.map(({ resident }) => resident));
}

const timer = setInterval(sample, SAMPLE_SECONDS * 1000);
const exit = await machine.run();
clearInterval(timer);
const middle = most(1 / 3, 2 / 3);
const last = most(2 / 3, 1);
console.log(
  `${engine}: ${exit.reason}, ${exit.message}; at the most ${middle} MiB in the middle, ${last} at the end`,
);
if (exit.reason !== 'stopped' || last > middle + GROWTH) process.exitCode = 1;

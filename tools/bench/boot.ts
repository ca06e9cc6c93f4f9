/** Time from the command to the prompt: the default guest, and Linux beside other emulators. */
import type { ChildProcess } from 'node:child_process';
import { residentMebibytes } from '../resident-memory.js';
import {
  absent,
  emulators,
  lguest,
  lguestBoot,
  OTHER_EMULATORS,
  type Boot,
  type Emulators,
  type LinuxGuest,
} from './contestants.js';
import { median, ROUNDS, runToMarker, table, type Program } from './measure.js';

const MEBIBYTES = 64;
const LARGE_MEBIBYTES = 128;
const DEFAULT_PROMPT = 'lguest> ';
/** Printed by the initrd's init just before its shell. */
const LINUX_MARKER = 'LGUEST-READY';
/** The shell has drawn its prompt, and what can be written back has been. */
const SETTLED_MILLISECONDS = 1000;

/** What boots the guest, by name, and which other emulators do not. */
function contestants(guest: LinuxGuest, engines: readonly string[]): Emulators {
  const boot: Boot = { guest, mebibytes: MEBIBYTES, marker: LINUX_MARKER, words: '' };
  const { programs: others, missing } = emulators(boot);
  const programs = new Map<string, Program>();
  for (const engine of engines)
    for (const unpack of ['host', 'guest'])
      programs.set(
        `${engine}, unpacked by the ${unpack}`,
        lguestBoot(boot, `--engine=${engine}`, `--unpack=${unpack}`),
      );
  return { programs: new Map([...programs, ...others]), missing };
}

/** Boots the guest on everything there is, alternating, and returns the report. */
export async function benchBoot(guest: LinuxGuest, engines: readonly string[]): Promise<string> {
  const { programs, missing } = contestants(guest, engines);
  const times = new Map<string, number[]>([...programs.keys()].map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++)
    for (const [name, program] of programs)
      times.get(name)!.push((await runToMarker(program, LINUX_MARKER)).milliseconds);
  const medians = new Map([...times].map(([name, values]) => [name, median(values)]));
  const others = [...programs.keys()].filter((name) => OTHER_EMULATORS.includes(name));
  const rows = [['', 'ms', ...others.map((name) => `: ${name}`)]];
  for (const [name, time] of medians)
    rows.push([name, time.toFixed(0), ...others.map((other) => (time / medians.get(other)!).toFixed(2))]);
  return table(rows) + absent(missing);
}

/** The default guest's prompt. */
export async function benchDefaultGuest(): Promise<string> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++)
    times.push((await runToMarker(lguest(), DEFAULT_PROMPT)).milliseconds);
  return `  ${median(times).toFixed(0)} ms\n`;
}

/** Resident memory of the processes a moment after Linux with 128 MiB has printed its prompt. */
export async function benchMemory(guest: LinuxGuest): Promise<string> {
  if (process.platform !== 'linux') return '  (only on Linux)\n';
  let resident = 0;
  const boot: Boot = { guest, mebibytes: LARGE_MEBIBYTES, marker: LINUX_MARKER, words: '' };
  const atMarker = async (child: ChildProcess): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, SETTLED_MILLISECONDS));
    resident = residentMebibytes(child.pid!);
  };
  await runToMarker(lguestBoot(boot), boot.marker, { atMarker });
  return `  ${resident.toFixed(0)} MiB\n`;
}

/** Time from the command to the prompt: the default guest, and Linux beside other emulators. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ChildProcess } from 'node:child_process';
import { COMMAND, isInstalled, median, ROUNDS, table, timeToMarker, type Program } from './measure.js';

const MEBIBYTES = 64;
const LARGE_MEBIBYTES = 128;
const DEFAULT_PROMPT = 'lguest> ';
/** Printed by the initrd's init just before its shell. */
export const LINUX_MARKER = 'LGUEST-READY';
/** The shell has drawn its prompt, and what can be written back has been. */
const SETTLED_MILLISECONDS = 1000;

const QEMU = 'qemu-system-i386';
const QEMU_COMMAND = `exec ${QEMU} -accel tcg -m ${MEBIBYTES} -kernel {kernel} -initrd {initrd} -append console=ttyS0 -nographic -no-reboot -nic none -monitor none -serial stdio`;

export interface LinuxGuest {
  name: string;
  kernel: string;
  initrd: string;
}

/** The Linux guest in the folder that LGUEST_GUESTS names; undefined if there is none. */
export function linuxGuest(initrd: string): LinuxGuest | undefined {
  const folder = process.env['LGUEST_GUESTS'] ?? '';
  const guest = { name: 'Linux 3.10', kernel: join(folder, '3.10', 'bzImage'), initrd: join(folder, initrd) };
  return folder && existsSync(guest.kernel) && existsSync(guest.initrd) ? guest : undefined;
}

const lguest = (...args: string[]): Program => [process.execPath, COMMAND, ...args];

/** A shell command with {kernel} and {initrd}; `exec` so that ending the shell ends the emulator. */
function emulator(command: string, { kernel, initrd }: LinuxGuest): Program {
  return ['sh', '-c', command.replaceAll('{kernel}', kernel).replaceAll('{initrd}', initrd)];
}

/** What boots the guest, by name. Other emulators: environment variables BENCH_V86 and BENCH_QEMU. */
function contestants(guest: LinuxGuest, engines: readonly string[]): Map<string, Program> {
  const programs = new Map<string, Program>();
  for (const engine of engines)
    for (const unpack of ['host', 'guest'])
      programs.set(
        `${engine}, unpacked by the ${unpack}`,
        lguest(
          `--engine=${engine}`,
          `--unpack=${unpack}`,
          `--initrd=${guest.initrd}`,
          String(MEBIBYTES),
          guest.kernel,
        ),
      );
  const v86 = process.env['BENCH_V86'];
  if (v86) programs.set('v86', emulator(v86, guest));
  const qemu = process.env['BENCH_QEMU'] ?? (isInstalled(QEMU) ? QEMU_COMMAND : undefined);
  if (qemu) programs.set('QEMU TCG', emulator(qemu, guest));
  return programs;
}

/** Boots the guest on everything there is, alternating, and returns the report. */
export async function benchBoot(guest: LinuxGuest, engines: readonly string[]): Promise<string> {
  const programs = contestants(guest, engines);
  const times = new Map<string, number[]>([...programs.keys()].map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round++)
    for (const [name, program] of programs) times.get(name)!.push(await timeToMarker(program, LINUX_MARKER));
  const medians = new Map([...times].map(([name, values]) => [name, median(values)]));
  const others = ['v86', 'QEMU TCG'].filter((name) => medians.has(name));
  const rows = [['', 'ms', ...others.map((name) => `: ${name}`)]];
  for (const [name, time] of medians)
    rows.push([name, time.toFixed(0), ...others.map((other) => (time / medians.get(other)!).toFixed(2))]);
  const missing = ['v86', 'QEMU TCG'].filter((name) => !medians.has(name));
  return table(rows) + (missing.length ? `  (not here: ${missing.join(', ')})\n` : '');
}

/** The default guest's prompt. */
export async function benchDefaultGuest(): Promise<string> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) times.push(await timeToMarker(lguest(), DEFAULT_PROMPT));
  return `  ${median(times).toFixed(0)} ms\n`;
}

function residentMebibytes(child: ChildProcess): number {
  const kibibytes = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'latin1'))?.[1];
  return Number(kibibytes) / 1024;
}

/** Resident memory of the process a moment after Linux with 128 MiB has printed its prompt. */
export async function benchMemory(guest: LinuxGuest): Promise<string> {
  if (process.platform !== 'linux') return '  (only on Linux)\n';
  let resident = 0;
  const program = lguest(`--initrd=${guest.initrd}`, String(LARGE_MEBIBYTES), guest.kernel);
  await timeToMarker(program, LINUX_MARKER, async (child) => {
    await new Promise((resolve) => setTimeout(resolve, SETTLED_MILLISECONDS));
    resident = residentMebibytes(child);
  });
  return `  ${resident.toFixed(0)} MiB\n`;
}

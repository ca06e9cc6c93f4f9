/** What boots a Linux guest: the `lguest` command, and other emulators by their shell commands. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { COMMAND, isInstalled, type Program } from './measure.js';

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

/** One way of booting a guest. */
export interface Boot {
  guest: LinuxGuest;
  mebibytes: number;
  /** What the guest's init prints when it is where the measurement ends. */
  marker: string;
  /** What the kernel command line has besides the console; the guest's init reads it. */
  words: string;
}

/** The `lguest` command as if it were launched for the first time, unless `args` say otherwise. */
export const lguest = (...args: string[]): Program => [process.execPath, COMMAND, '--no-cache', ...args];

/** The boot by the `lguest` command, with further options. */
export function lguestBoot({ guest, mebibytes, words }: Boot, ...options: string[]): Program {
  const kernelWords = words.split(' ').filter((word) => word !== '');
  return lguest(...options, `--initrd=${guest.initrd}`, String(mebibytes), guest.kernel, ...kernelWords);
}

const QEMU = 'qemu-system-i386';
/** `exec`, here and in the user's commands, so that ending the shell ends the emulator. */
const QEMU_COMMAND =
  `exec ${QEMU} -accel tcg -m {memory} -kernel {kernel} -initrd {initrd} -append "console=ttyS0 {words}" ` +
  '-nographic -no-reboot -nic none -monitor none -serial stdio';

/** Other emulators, their environment variables, and the commands if those are not set. */
const OTHERS: readonly { name: string; variable: string; command: () => string | undefined }[] = [
  { name: 'v86', variable: 'BENCH_V86', command: () => undefined },
  {
    name: 'QEMU TCG',
    variable: 'BENCH_QEMU',
    command: () => (isInstalled(QEMU) ? QEMU_COMMAND : undefined),
  },
];

export const OTHER_EMULATORS: readonly string[] = OTHERS.map(({ name }) => name);

export interface Emulators {
  programs: Map<string, Program>;
  /** Those that cannot do this boot, and why. */
  missing: string[];
}

/** The other emulators' commands for a boot, by name. */
export function emulators({ guest, mebibytes, marker, words }: Boot): Emulators {
  const { kernel, initrd } = guest;
  const values = Object.entries({ kernel, initrd, memory: String(mebibytes), marker, words });
  const programs = new Map<string, Program>();
  const missing: string[] = [];
  for (const { name, variable, command } of OTHERS) {
    const template = process.env[variable] || command();
    if (!template) missing.push(name);
    else if (words && !template.includes('{words}')) missing.push(`${name}: ${variable} has no {words}`);
    else {
      const filled = values.reduce((text, [key, value]) => text.replaceAll(`{${key}}`, value), template);
      programs.set(name, ['sh', '-c', filled]);
    }
  }
  return { programs, missing };
}

/** The report's line about emulators that did not take part; empty if all did. */
export const absent = (missing: readonly string[]): string =>
  missing.length ? `  (not here: ${missing.join(', ')})\n` : '';

/** `lguest compare`: two engines on the same guest, and where they part. */
import type { EngineKind } from '../runtime/create-engine.js';
import { hostMilliseconds } from '../runtime/host-time.js';
import { compare, DEFAULT_EVERY, type CompareOptions } from './compare.js';
import { locate } from './compare-locate.js';
import { describe } from './compare-report.js';
import { EXIT_STATUS, UserError } from './errors.js';
import { CACHE_FLAGS, type CommandForm, type LaunchOptions, NO_CACHE_FLAGS, TIME } from './options.js';

const COMPARING = 'Comparison:';
const LEAST_EVERY = 1000;

/** A number of instructions: `1000000`, `1_000_000`, `1e6`. */
export function parseCount(text: string): number {
  const count = Number(text.replaceAll('_', ''));
  if (!/^[0-9][0-9_]*(e[0-9]+)?$/.test(text) || !Number.isSafeInteger(count))
    throw new UserError(`${text} is not a number of instructions.`);
  return count;
}

function parseEvery(text: string): number {
  const count = parseCount(text);
  if (count < LEAST_EVERY) throw new UserError(`--every must be at least ${LEAST_EVERY}.`);
  return count;
}

export const COMPARE: CommandForm = {
  name: 'lguest compare',
  head: `Runs a guest on two engines at once, in virtual time and with equal input, and compares them: the CPU's state
at every exit, console output and all memory every ${DEFAULT_EVERY} instructions. --engine (default jit) is on trial,
--with is right. Disks are not changed. Console input is read to its end first.`,
  tail: `
Exit status: ${EXIT_STATUS.clean} no difference, ${EXIT_STATUS.userError} bad options or files, ${EXIT_STATUS.bug} a difference: it is described on standard error.`,
  without: ['--verbose', '--json', CACHE_FLAGS, NO_CACHE_FLAGS],
  rows: [
    {
      flags: '--clock <mode>',
      help: 'always virtual',
      group: TIME,
      choices: ['virtual'],
      default: 'virtual',
    },
    {
      flags: '--with <engine>',
      help: 'the engine to compare with',
      group: COMPARING,
      choices: ['interp', 'reference', 'jit', 'auto'],
      default: 'interp',
    },
    { flags: '--from <count>', help: 'start comparing here', group: COMPARING, parse: parseCount },
    { flags: '--to <count>', help: 'stop here', group: COMPARING, parse: parseCount },
    {
      flags: '--every <count>',
      help: `instructions between comparisons of memory (${DEFAULT_EVERY})`,
      group: COMPARING,
      parse: parseEvery,
    },
  ],
};

export interface CompareContext {
  /** All console input. */
  readonly input: Uint8Array;
  readonly onConsole: (bytes: Uint8Array) => void;
  readonly say: (text: string) => void;
  /** The arguments behind `compare`, for the command line that goes back. */
  readonly argv: readonly string[];
}

/** Compares as the options say. Returns the exit status. Throws `UserError`. */
export function runCompare(launch: LaunchOptions, context: CompareContext): number {
  const { say, argv } = context;
  const { memoryMiB, kernel, args, initrd, disks, rng, seed, epoch, unpack, symbols, extra } = launch;
  const { from, to, every } = extra as { from?: number; to?: number; every?: number };
  if (from !== undefined && to !== undefined && from > to)
    throw new UserError(`--from ${from} is behind --to ${to}: nothing would be compared.`);
  const options: CompareOptions = {
    machine: {
      ...(memoryMiB !== undefined && { memoryMiB }),
      ...(kernel !== undefined && { kernel }),
      ...(initrd !== undefined && { initrd }),
      ...(seed !== undefined && { seed }),
      ...(epoch !== undefined && { epoch }),
      ...(symbols !== undefined && { symbols }),
      args,
      disks,
      rng,
      unpack,
    },
    input: context.input,
    reference: extra['with'] as EngineKind,
    subject: launch.engine ?? 'jit',
    ...(from !== undefined && { from }),
    ...(to !== undefined && { to }),
    ...(every !== undefined && { every }),
  };
  const began = hostMilliseconds();
  const result = compare({ ...options, onConsole: context.onConsole });
  const seconds = (hostMilliseconds() - began) / 1000;
  const speed = (result.instructions / 1e6 / seconds).toFixed(1);
  const names = `${options.reference} and ${options.subject}`;
  if (result.sighting === undefined) {
    if (from !== undefined && result.instructions < from)
      throw new UserError(
        `The guest does not come as far as --from ${from}: after ${result.instructions} instructions it is at its end (${result.ending}).`,
      );
    say(
      `lguest: no difference between ${names} in ${result.instructions} instructions (${speed} MIPS); the guest: ${result.ending}\n`,
    );
    if (launch.stats) for (const [name, value] of Object.entries(result.counters)) say(`${name}: ${value}\n`);
    return EXIT_STATUS.clean;
  }
  const { same, different, what } = result.sighting;
  say(
    `lguest: ${names} differ between instructions ${same} and ${different} (seen in: ${what}); looking for the place\n`,
  );
  const location = what === 'console' ? undefined : locate(options, result.sighting);
  if (location === undefined) {
    const again =
      what === 'console' ? 'States and memory are the same.' : 'It did not come again in a second run.';
    say(`lguest: ${again} To look there once more:\n  ${backTo(argv, same)}\n`);
    return EXIT_STATUS.bug;
  }
  say(describe(options, result.sighting, location, (count) => backTo(argv, count)));
  return EXIT_STATUS.bug;
}

/** The command line with another `--from`. */
function backTo(argv: readonly string[], from: number): string {
  const kept: string[] = [];
  for (let i = 0; i < argv.length; i++) {
    if (argv[i] === '--from') i++;
    else if (!argv[i]!.startsWith('--from=')) kept.push(argv[i]!);
  }
  const words = ['lguest', 'compare', `--from=${from}`, ...kept];
  return words
    .map((word) => (/^[\w./:=,+@%-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`))
    .join(' ');
}

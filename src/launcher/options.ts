/** The command line's options, described once; the parser and `--help` are made from this table. */
import { Command, CommanderError, Option } from 'commander';
import { DEFAULT_ENGINE, ENGINE_KINDS, type EngineKind } from '../runtime/engine-kind.js';
import { EXIT_STATUS, UserError } from './errors.js';
import type { DiskOption } from './machine-options.js';
import type { Unpack } from './load-bzimage.js';
import { MOST_MEBIBYTES, LEAST_MEBIBYTES, parseMebibytes, parseSeed, parseTime } from './parse.js';

/** What the user asked for. */
export interface LaunchOptions {
  /** undefined: the default guest's. */
  memoryMiB?: number;
  /** Path of the kernel; undefined: the default guest. */
  kernel?: string;
  args: string[];
  initrd?: string;
  disks: DiskOption[];
  rng: boolean;
  clock: 'realtime' | 'virtual';
  seed?: number;
  epoch?: Date;
  unpack: Unpack;
  /** undefined: the machine's default. */
  engine?: EngineKind;
  symbols?: string;
  /** Where translations are kept: a directory; false: nowhere; undefined: where the user keeps such things. */
  cache?: string | false;
  stats: boolean;
  json: boolean;
  verbose: boolean;
  /** A command's argument in front of the guest's memory. */
  leading?: string;
  /** Values of a command's own options, by name. */
  extra: Readonly<Record<string, unknown>>;
}

/** A command of its own, with options besides the common ones. */
export interface CommandForm {
  name: string;
  /** Name of an argument in front of the guest's memory. */
  leading?: string;
  /** Help before and behind the options. */
  head: string;
  tail: string;
  /** One with the flags of a common one takes its place. */
  rows: readonly OptionRow[];
  /** Flags of common options that mean nothing to it. */
  without?: readonly string[];
}

export interface OptionRow {
  flags: string;
  help: string;
  group: string;
  choices?: readonly string[];
  default?: string;
  /** Turns the argument into the option's value; throws `UserError`. */
  parse?: (text: string) => unknown;
  /** May be given again; the values are collected. */
  repeat?: boolean;
}

const MACHINE = 'Machine:';
export const TIME = 'Time and repeatability:';
const REPORTS = 'Reports, on standard error:';

/** For commands that want to see how things come about, not what earlier runs made of them. */
export const CACHE_FLAGS = '--cache <directory>';
export const NO_CACHE_FLAGS = '--no-cache';

const OPTIONS: readonly OptionRow[] = [
  {
    flags: '--block <file>',
    help: 'a disk; FILE,ro for reading only; may be repeated',
    group: MACHINE,
    parse: parseDisk,
    repeat: true,
  },
  { flags: '--initrd <file>', help: 'initial RAM disk', group: MACHINE },
  { flags: '--rng', help: 'an entropy device', group: MACHINE },
  {
    flags: '--unpack <where>',
    help: 'who unpacks a gzip bzImage',
    group: MACHINE,
    choices: ['host', 'guest'],
    default: 'host',
  },
  {
    flags: '--engine <name>',
    help: 'what executes the instructions',
    group: MACHINE,
    choices: ENGINE_KINDS,
  },
  {
    flags: CACHE_FLAGS,
    help: 'where translations are kept for later runs (default: $XDG_CACHE_HOME/lguest-jit)',
    group: MACHINE,
  },
  { flags: NO_CACHE_FLAGS, help: 'keep no translations, and use none of earlier runs', group: MACHINE },
  {
    flags: '--clock <mode>',
    help: 'virtual: time is a function of the instruction count, and every run is the same',
    group: TIME,
    choices: ['realtime', 'virtual'],
    default: 'realtime',
  },
  { flags: '--seed <number>', help: 'seed of the entropy device', group: TIME, parse: parseSeed },
  {
    flags: '--time <when>',
    help: 'date of power-on (ISO 8601, or seconds since 1970)',
    group: TIME,
    parse: parseTime,
  },
  {
    flags: '--symbols <file>',
    help: 'names for messages and profiles: a vmlinux or a System.map',
    group: REPORTS,
  },
  { flags: '--verbose', help: 'tell what is loaded where, and how the machine ended', group: REPORTS },
  { flags: '--stats', help: 'counters at exit', group: REPORTS },
  { flags: '--json', help: 'counters at exit as one line of JSON', group: REPORTS },
];

const HELP_HEAD =
  'Runs an lguest guest: a 32-bit x86 Linux kernel built with CONFIG_LGUEST_GUEST, or ' +
  'the built-in guest if no kernel is given.';

const HELP_TAIL = `
<mem-in-mb> is the guest's memory in MiB (${LEAST_MEBIBYTES}..${MOST_MEBIBYTES}). What follows the kernel goes to the kernel.
Keys: Ctrl-a x leaves, Ctrl-a h shows help; three Ctrl-C within a second also leave.
Engines: ${DEFAULT_ENGINE} (the default) translates what is hot in the background, interp only interprets,
jit translates everything at once, reference is slow and simple.
lguest compare runs a guest on two engines and compares them, lguest explain shows what was made of its code:
lguest compare --help, lguest explain --help.
Exit status: ${EXIT_STATUS.clean} the guest powered off, ${EXIT_STATUS.userError} bad options or files, ${EXIT_STATUS.guestDeath} the guest panicked or died,
${EXIT_STATUS.bug} a bug in lguest-jit; 128 + n as if ended by signal n, with 141 since nobody reads the output any more.`;

const LAUNCH: CommandForm = { name: 'lguest', head: HELP_HEAD, tail: HELP_TAIL, rows: [] };

function parseDisk(text: string): DiskOption {
  const readOnly = text.endsWith(',ro');
  const path = readOnly ? text.slice(0, -3) : text;
  if (path === '') throw new UserError('--block needs the name of a file.');
  return { path, readOnly };
}

function optionFrom(row: OptionRow): Option {
  const option = new Option(row.flags, row.help).helpGroup(row.group);
  if (row.choices) option.choices(row.choices);
  if (row.default !== undefined) option.default(row.default);
  const { parse } = row;
  if (row.repeat) {
    option.default([], 'none');
    option.argParser((text: string, before: unknown[]) => [...before, parse ? parse(text) : text]);
  } else if (parse) {
    option.argParser(parse);
  }
  return option;
}

/** Text that the user asked for (`--help`, `--version`): print it and leave. */
export interface Information {
  information: string;
}

/** A parser of a command's arguments. `print` gets its help, or the version. */
function parserOf(
  { name, leading, head, tail, rows, without = [] }: CommandForm,
  version: string,
  print: (text: string) => void,
): Command {
  const program = new Command(name)
    .usage(`[options] ${leading === undefined ? '' : `${leading} `}[<mem-in-mb> <kernel> [kernel args...]]`)
    .description(head)
    .argument('[words...]')
    .addHelpText('after', tail)
    .helpOption('-h, --help', 'this help')
    .version(version, '--version', 'the version')
    // Whatever follows the kernel is the kernel's.
    .passThroughOptions()
    .exitOverride()
    .configureHelp({ visibleArguments: () => [] })
    .configureOutput({ writeOut: print, writeErr: () => {} });
  const own = [...without, ...rows.map(({ flags }) => flags)];
  for (const row of [...OPTIONS.filter(({ flags }) => !own.includes(flags)), ...rows])
    program.addOption(optionFrom(row));
  return program;
}

/** Reads the arguments behind the command's name. Throws `UserError`. */
export function parseCommandLine(
  argv: readonly string[],
  version: string,
  form: CommandForm = LAUNCH,
): LaunchOptions | Information {
  let information = '';
  const parse = (args: readonly string[]): Command =>
    parserOf(form, version, (text) => (information += text)).parse(args, { from: 'user' });
  let program: Command;
  let first: string | undefined;
  try {
    program = parse(argv);
    if (form.leading !== undefined && program.args.length > 0) {
      // Options may stand behind a command's own argument too.
      const at = argv.length - program.args.length;
      first = argv[at];
      program = parse(argv.filter((_, i) => i !== at));
    }
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return { information };
    throw new UserError(`${sentence(error.message)} Try ${form.name} --help.`);
  }
  const [memory, kernel, ...args] = program.args;
  const values = program.opts() as {
    block: DiskOption[];
    initrd?: string;
    rng?: boolean;
    unpack: Unpack;
    engine?: EngineKind;
    symbols?: string;
    cache?: string | false;
    clock: 'realtime' | 'virtual';
    seed?: number;
    time?: Date;
    verbose?: boolean;
    stats?: boolean;
    json?: boolean;
  };
  return {
    ...(memory !== undefined && { memoryMiB: parseMebibytes(memory) }),
    ...(kernel !== undefined && { kernel }),
    args,
    ...(first !== undefined && { leading: first }),
    ...(values.initrd !== undefined && { initrd: values.initrd }),
    disks: values.block,
    rng: values.rng ?? false,
    clock: values.clock,
    ...(values.seed !== undefined && { seed: values.seed }),
    ...(values.time !== undefined && { epoch: values.time }),
    unpack: values.unpack,
    ...(values.engine !== undefined && { engine: values.engine }),
    ...(values.symbols !== undefined && { symbols: values.symbols }),
    ...(values.cache !== undefined && { cache: values.cache }),
    stats: values.stats ?? false,
    json: values.json ?? false,
    verbose: values.verbose ?? false,
    extra: form.rows.length === 0 ? {} : program.opts(),
  };
}

/** "error: unknown option '--x'" as a sentence. */
function sentence(message: string): string {
  const text = message
    .replace(/^error: /, '')
    .replace(/\s+/g, ' ')
    .trim();
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

/**
 * The `lguest` command, which runs when this is loaded: options, terminal, signals and exit status around a `Machine`.
 * Modules that take long to load come when they are needed: help and complaints do without, and the worker of an engine that
 * waits for it loads meanwhile.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SHARED_TRANSLATOR } from '../runtime/background.js';
import { DEFAULT_ENGINE } from '../runtime/engine-kind.js';
import { packageRoot } from '../runtime/load-interpreter.js';
import { prepareEngine } from '../runtime/prepare-engine.js';
import { ConsoleOutput } from './console-output.js';
import { EXIT_STATUS, UserError } from './errors.js';
import type { Explanation } from './explain-command.js';
import type { Machine, MachineExit } from './machine.js';
import { parseCommandLine, type LaunchOptions } from './options.js';
import { statsJson, statsText } from './stats.js';
import { Terminal } from './terminal.js';

/** Signals that end the machine in good order, and the status a shell expects of a process they ended. */
const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
/** As if SIGPIPE had ended us: the reader of our output has gone. */
const STATUS_PIPE = 141;

function packageVersion(): string {
  const text = readFileSync(join(packageRoot(), 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

/** What to do when nobody reads our messages any more, as behind `2>&1 | head`. A machine that runs is switched off first. */
let readerGone = (): void => process.exit(STATUS_PIPE);

const printedTo = new Set<NodeJS.WriteStream>();

/** Writes to standard output or error. That nobody reads it is no bug of ours. */
function print(stream: NodeJS.WriteStream, text: string): void {
  if (!printedTo.has(stream)) stream.on('error', () => readerGone());
  printedTo.add(stream);
  stream.write(text);
}

/** For reports of bugs. */
let guestState = (): string => 'no guest yet';

/** Runs a machine on this process's terminal. Returns the exit status. */
async function launch(options: LaunchOptions, explanation?: Explanation): Promise<number> {
  const kind = options.engine ?? DEFAULT_ENGINE;
  SHARED_TRANSLATOR.ownProcess(kind);
  prepareEngine(kind);
  if (options.engine === 'reference') await import('../runtime/offer-reference-engine.js');
  const { Machine } = await import('./machine.js');
  const { cacheDirectoryFor } = await import('./translation-cache.js');
  let status: number | undefined;
  let machine: Machine | undefined;
  let cutShort = (): void => {};
  const isCutShort = new Promise<void>((resolve) => (cutShort = resolve));
  const stop = (withStatus: number, why: string): void => {
    status = withStatus;
    machine?.stop(why);
    cutShort();
  };
  const output = new ConsoleOutput(1, () => stop(STATUS_PIPE, 'nobody reads the console'));
  const say = (line: string): void =>
    print(process.stderr, terminal.isTerminal ? `${line}\r\n` : `${line}\n`);
  const terminal = new Terminal(process.stdin, {
    input: (bytes) => machine!.write(bytes),
    inputEnded: () => machine!.endInput(),
    leave: () => machine!.stop('switched off by the user'),
    show: (text) => void output.write(Buffer.from(text)),
  });
  machine = new Machine({
    ...options,
    // What is explained is how regions come about here and now.
    cacheDirectory: explanation ? undefined : cacheDirectoryFor(options.cache),
    inputByLines: !terminal.isTerminal,
    onConsole: (bytes) => output.write(bytes),
    onInputRoom: () => terminal.resume(),
    onRestart: () => options.verbose && say('lguest: the guest restarts'),
    ...explanation?.machineOptions,
    ...(options.verbose && { log: (line: string) => say(`lguest: ${line}`) }),
  });
  explanation?.prepare(machine);
  guestState = () => `guest eip 0x${machine.eip.toString(16)}, ${machine.instructions} instructions`;
  let ended = false;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (ended) return;
    stop(SIGNALS[signal as keyof typeof SIGNALS], `ended by ${signal}`);
  };
  for (const signal of Object.keys(SIGNALS)) process.on(signal, onSignal);
  const exitWithStatus = readerGone;
  let exit: MachineExit;
  try {
    readerGone = () => stop(STATUS_PIPE, 'nobody reads the messages');
    // With the virtual clock nothing may depend on when input arrives: it is read first.
    if (options.clock === 'virtual' && !terminal.isTerminal)
      await Promise.race([terminal.openAndReadAll(), isCutShort]);
    else terminal.open();
    exit = await machine.run();
  } finally {
    output.finish();
    terminal.close();
    readerGone = exitWithStatus;
    // The handlers stay: a signal sent again must not cut the way out short.
    ended = true;
  }
  // Messages start on a line of their own, also when the guest was cut off in its prompt.
  if (terminal.isTerminal && !output.atLineStart) print(process.stderr, '\n');
  tell(exit, options);
  if (explanation) print(process.stderr, await explanation.text());
  if (options.stats) print(process.stderr, statsText(machine.stats));
  if (options.json) print(process.stderr, statsJson(machine.stats));
  return status ?? exit.status;
}

/** `lguest compare`. Returns the exit status. */
async function launchCompare(argv: readonly string[]): Promise<number> {
  const { COMPARE, runCompare } = await import('./compare-command.js');
  const options = parseCommandLine(argv, packageVersion(), COMPARE);
  if ('information' in options) {
    print(process.stdout, options.information);
    return EXIT_STATUS.clean;
  }
  const input: Buffer[] = [];
  if (!process.stdin.isTTY) for await (const bytes of process.stdin) input.push(bytes as Buffer);
  // The comparison never lets the event loop run: a signal just ends it.
  const output = new ConsoleOutput(1, () => process.exit(STATUS_PIPE));
  const status = runCompare(options, {
    input: Buffer.concat(input),
    onConsole: (bytes) => void output.write(bytes),
    say: (text) => print(process.stderr, text),
    argv,
  });
  output.finish();
  return status;
}

/** The machine's end in one line, if it is news. */
function tell(exit: MachineExit, options: LaunchOptions): void {
  if (exit.reason === 'death') print(process.stderr, `lguest: ${exit.message}\n`);
  else if (exit.reason === 'panic') print(process.stderr, `lguest: the guest panicked: ${exit.message}\n`);
  else if (options.verbose) print(process.stderr, `lguest: ${exit.reason}: ${exit.message}\n`);
}

/** One line, and a file with all the rest. */
async function reportBug(error: unknown): Promise<void> {
  readerGone = () => process.exit(EXIT_STATUS.bug);
  const { bugReport, writeReport } = await import('./bug-report.js');
  const { oneLine } = await import('./machine.js');
  const text = await bugReport(error, { argv: process.argv.slice(2), guestState: guestState() });
  const path = writeReport(text);
  const what = oneLine(error instanceof Error ? error.message : String(error));
  const where = path === undefined ? 'what follows' : path;
  print(
    process.stderr,
    `lguest: this is a bug in lguest-jit ${packageVersion()}, not in your guest (${what}); please report it with ${where}\n`,
  );
  if (path === undefined) print(process.stderr, text);
}

async function main(argv: readonly string[]): Promise<number> {
  try {
    if (argv[0] === 'compare') return await launchCompare(argv.slice(1));
    const explain = argv[0] === 'explain' ? await import('./explain-command.js') : undefined;
    const options = explain
      ? parseCommandLine(argv.slice(1), packageVersion(), explain.EXPLAIN)
      : parseCommandLine(argv, packageVersion());
    if ('information' in options) {
      print(process.stdout, options.information);
      return EXIT_STATUS.clean;
    }
    return await launch(options, explain && new explain.Explanation(options));
  } catch (error) {
    if (error instanceof UserError) {
      print(process.stderr, `lguest: ${error.message}\n`);
      return EXIT_STATUS.userError;
    }
    await reportBug(error);
    return EXIT_STATUS.bug;
  }
}

// Exceptions in callbacks; the terminal is restored by its own exit handler.
process.on('uncaughtException', (error) => {
  void reportBug(error).finally(() => process.exit(EXIT_STATUS.bug));
});

// What ends the process does so by name: here nothing did.
process.once('beforeExit', () => {
  void reportBug(new Error('nothing is left to wait for')).finally(() => process.exit(EXIT_STATUS.bug));
});

/** Runs the command and ends the process. */
async function run(): Promise<void> {
  const status = await main(process.argv.slice(2));
  // Standard output and error may be pipes that are written later. Nothing else may keep the process alive: what is being read
  // from a file cannot be taken back, and Node 20 now and then does not hear of its end.
  process.exitCode = status;
  process.stdin.destroy();
  for (const stream of [process.stdout, process.stderr]) {
    // Nor is it a bug of ours now that nobody reads it.
    stream.on('error', () => undefined);
    await new Promise<void>((resolve) => void stream.write('', () => resolve()));
  }
  process.exit();
}

// No `await` outside: as built the command is a script.
void run();

/** The process that translates for a worker, as built. */
import { readdirSync, readFileSync, readlinkSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { constants, getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { hasMachineCode } from './machine-code.js';
import { packageRoot } from './load-interpreter.js';
import type { WorkerReply } from './translation-messages.js';
import { TranslationProcess } from './translation-process.js';
import type { TranslationRequest } from './translator.js';
import { WARM_UP } from './warm-up.js';

const RUNTIME = join(packageRoot(), 'dist/src/runtime');
const SCRIPT = join(RUNTIME, 'bundled-worker.cjs');
const POLL_MILLISECONDS = 10;
const REGION: TranslationRequest = { ...WARM_UP, optimized: true };
/** Nothing that is translated has leaders that are no list. */
const WRONG = { ...REGION, leaders: 1 } as unknown as TranslationRequest;

const onLinux = process.platform === 'linux' ? test : test.skip;
/** Where V8 gives machine code to nobody, no process translates. */
const withProcess = process.platform === 'linux' && hasMachineCode() ? test : test.skip;

/** Processes whose parent is this one, and that run the script. */
function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => {
      if (!(pid > 0)) return false;
      try {
        const behindName = readFileSync(`/proc/${pid}/stat`, 'latin1').replace(/.*\) /s, '');
        const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1');
        return Number(behindName.split(' ')[1]) === parent && command.includes(SCRIPT);
      } catch {
        return false;
      }
    });
}

/** One that has ended has no command line, until somebody has asked how it ended. */
function isRunning(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1') !== '';
  } catch {
    return false;
  }
}

/** One that has loaded what it needs, or ended before, and what it has answered. */
class Watched {
  readonly replies = new Map<number, WorkerReply>();
  private changed: () => void = () => undefined;
  isReady = false;
  /** Ids of what somebody else may answer. */
  unanswered: number[] | undefined;
  readonly process: TranslationProcess;

  constructor(script = SCRIPT, answered: (process: TranslationProcess) => void = () => undefined) {
    this.process = new TranslationProcess(script, {
      ready: () => this.note(() => (this.isReady = true)),
      answer: (request, reply) => {
        answered(this.process);
        this.note(() => this.replies.set(request.id, reply));
      },
      ended: (unanswered) => this.note(() => (this.unanswered = unanswered.map(({ id }) => id))),
    });
  }

  private note(what: () => unknown): void {
    what();
    this.changed();
  }

  async until(is: () => boolean): Promise<void> {
    while (!is()) await new Promise<void>((resolve) => (this.changed = resolve));
  }

  async reply(id: number): Promise<WorkerReply> {
    await this.until(() => this.replies.has(id));
    return this.replies.get(id)!;
  }
}

function end(): void {
  if (process.platform !== 'linux') return;
  for (const pid of childrenOf(process.pid)) process.kill(pid, 'SIGKILL');
}

describe('one of this process', () => {
  afterEach(end);

  onLinux('answers with modules, and with errors, and has room for two', async () => {
    const watched = new Watched();
    expect(watched.process.hasRoom).toBe(false);
    await watched.until(() => watched.isReady);
    watched.process.ask({ id: 7, request: REGION });
    expect(watched.process.hasRoom).toBe(true);
    watched.process.ask({ id: 8, request: WRONG });
    expect(watched.process.hasRoom).toBe(false);
    const { translation, module, error } = await watched.reply(7);
    expect(error).toBeUndefined();
    expect(translation!.blocks).toBe(4);
    expect(translation!.wasm.buffer.byteLength).toBe(translation!.wasm.length);
    expect(WebAssembly.Module.exports(module!).map(({ name }) => name)).toContain('region');
    expect((await watched.reply(8)).error?.name).toBe('TypeError');
    expect(watched.process.hasRoom).toBe(true);
  });

  onLinux('all its threads step back, and what a terminal sends at its end is nothing to it', async () => {
    const watched = new Watched();
    await watched.until(() => watched.isReady);
    const [pid] = childrenOf(process.pid);
    const threads = readdirSync(`/proc/${pid}/task`).map(Number);
    expect(threads.length).toBeGreaterThan(1);
    for (const thread of threads) expect(getPriority(thread)).toBe(constants.priority.PRIORITY_BELOW_NORMAL);
    process.kill(pid!, 'SIGINT');
    process.kill(pid!, 'SIGHUP');
    watched.process.ask({ id: 1, request: REGION });
    expect((await watched.reply(1)).error).toBeUndefined();
  });

  test.each([
    // It stops first: what it is asked for comes to it, and is not answered.
    ['SIGKILL', [1, 2], undefined],
    ['SIGSEGV', [], 'the process that translates has ended: SIGSEGV'],
  ] as const)('what it was asked for when %s ended it', async (signal, unanswered, message) => {
    if (process.platform !== 'linux') return;
    const watched = new Watched();
    await watched.until(() => watched.isReady);
    const [pid] = childrenOf(process.pid);
    process.kill(pid!, 'SIGSTOP');
    for (const id of [1, 2]) watched.process.ask({ id, request: REGION });
    process.kill(pid!, signal);
    process.kill(pid!, 'SIGCONT');
    await watched.until(() => watched.unanswered !== undefined);
    expect(watched.unanswered).toEqual(unanswered);
    expect([...watched.replies.values()].map(({ error }) => error?.message)).toEqual(
      message === undefined ? [] : [message, message],
    );
  });

  onLinux('when one request ended it nothing else that comes then is asked of it', async () => {
    const asked: boolean[] = [];
    const watched = new Watched(SCRIPT, (process) => asked.push(process.hasRoom));
    await watched.until(() => watched.isReady);
    const [pid] = childrenOf(process.pid);
    process.kill(pid!, 'SIGSTOP');
    watched.process.ask({ id: 1, request: REGION });
    process.kill(pid!, 'SIGSEGV');
    process.kill(pid!, 'SIGCONT');
    await watched.reply(1);
    expect(watched.unanswered).toEqual([]);
    expect(asked).toEqual([false]);
  });

  onLinux('it has no terminal, nor anything else of this process', async () => {
    const watched = new Watched();
    await watched.until(() => watched.isReady);
    const [pid] = childrenOf(process.pid);
    for (const stream of [0, 1, 2]) expect(readlinkSync(`/proc/${pid}/fd/${stream}`)).toBe('/dev/null');
  });

  test('that it ends before it has loaded anything is told', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'lguest-process-'));
    const script = join(folder, 'ends.cjs');
    writeFileSync(script, 'process.exit(3)');
    try {
      const watched = new Watched(script);
      await watched.until(() => watched.unanswered !== undefined);
      expect(watched).toMatchObject({ isReady: false, unanswered: [], replies: new Map() });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('of a process that runs guests', () => {
  let folder: string;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'lguest-process-'))));
  afterEach(() => rmSync(folder, { recursive: true }));

  const built = (name: string): string => JSON.stringify(pathToFileURL(join(RUNTIME, name)).href);

  /** A program that has `translator`, for guests that run on `auto` unless it says otherwise, `REGION` and `ask`. */
  function program(body: string, tiers = 'auto'): string {
    const file = join(folder, 'program.mjs');
    writeFileSync(
      file,
      `import { BackgroundTranslator } from ${built('background.js')};
      import { WARM_UP } from ${built('warm-up.js')};
      const translator = new BackgroundTranslator();
      translator.ownProcess('${tiers}');
      const REGION = { ...WARM_UP, optimized: true };
      const ask = (request) => {
        let reply;
        translator.request(request, (it) => (reply = it));
        translator.finish();
        return reply;
      };
      ${body}`,
    );
    return file;
  }

  const run = (file: string, options: string[] = [], environment = {}): string => {
    const env = { ...process.env, NODE_OPTIONS: '', ...environment };
    const { stdout, stderr } = spawnSync(process.execPath, [...options, file], { encoding: 'utf8', env });
    expect(stderr).toBe('');
    return stdout.trim();
  };

  /** How an error's stack tells who translated. */
  const WHO = `console.log(/translateForParent|process\\.<anonymous>/.test(ask({ ...REGION, leaders: 1 }).error.stack));`;

  withProcess('it translates what is to be optimised, and V8 takes its machine code', () => {
    expect(run(program(WHO))).toBe('true');
    expect(run(program(WHO.replace('...REGION', '...WARM_UP')))).toBe('false');
    expect(run(program('console.log(ask(REGION).compiledAnew);'))).toBe('false');
  });

  withProcess('with `jit`, and where Node has options, the worker translates', () => {
    expect(run(program(WHO, 'jit'))).toBe('false');
    expect(run(program(WHO), ['--stack-trace-limit=20'])).toBe('false');
    expect(run(program(WHO), [], { NODE_OPTIONS: '--stack-trace-limit=20' })).toBe('false');
  });

  withProcess('when it has ended the worker translates', async () => {
    const child = spawn(
      process.execPath,
      [
        program(`
          console.log(ask(REGION).translation.blocks);
          await new Promise((resolve) => process.stdin.once('data', resolve));
          console.log(ask({ ...REGION, name: 'another' }).translation.blocks);
          process.exit();`),
      ],
      { env: { ...process.env, NODE_OPTIONS: '' } },
    );
    let out = '';
    child.stdout.on('data', (bytes) => (out += String(bytes)));
    await once(child.stdout, 'data');
    const [pid] = childrenOf(child.pid!);
    process.kill(pid!, 'SIGKILL');
    while (childrenOf(child.pid!).length > 0) await setTimeout(POLL_MILLISECONDS);
    child.stdin.write('go on\n');
    await once(child, 'close');
    expect(out).toBe('4\n4\n');
  });

  withProcess('it ends with the process that it translates for, however that ends', async () => {
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      const child = spawn(
        process.execPath,
        [program('console.log(ask(REGION).translation.blocks); setInterval(() => undefined, 1000);')],
        { env: { ...process.env, NODE_OPTIONS: '' } },
      );
      await once(child.stdout, 'data');
      const [pid] = childrenOf(child.pid!);
      expect(pid).toBeGreaterThan(0);
      child.kill(signal);
      await once(child, 'close');
      while (isRunning(pid!)) await setTimeout(POLL_MILLISECONDS);
    }
  });
});

/**
 * The worker that translates in the background: requests in, translations with their compiled modules out. What is stored, or
 * was made before, it has itself; the rest it translates, or has a process for that.
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { lowerOwnPriority } from './background-priority.js';
import { hostMilliseconds } from './host-time.js';
import { hasMachineCode } from './machine-code.js';
import { OpenStores } from './open-stores.js';
import type {
  StoreReply,
  StoreRequest,
  WorkerReply,
  WorkerRequest,
  WorkerSetup,
} from './translation-messages.js';
import { TranslationProcess } from './translation-process.js';
import { TranslationReuse } from './translation-reuse.js';
import type * as Translator from './translator.js';
import { errorFacts } from './translator-bug.js';
import { heedCompilationHints, loadLightly } from './v8-flags.js';
import { WARM_UP, WARM_UP_ROUNDS } from './warm-up.js';

const REGIONS_PER_REPLY = 64;
/** Nothing that is stored is asked for any more after so many milliseconds without it, or not much. */
const QUIET_MS = 300;

export class TranslationThread {
  private readonly port: MessagePort;
  private readonly answered: Int32Array;
  /** For what is to be optimised: nothing else has machine code to send. Undefined if there is none. */
  private process: TranslationProcess | undefined;
  /** What a process would run; undefined if there is to be none. */
  private script: string | undefined;
  /** Undefined until it is loaded: stored translations do without it, and so does what a process translates. */
  private translator: Pick<typeof Translator, 'translate' | 'causeOfNothing'> | undefined;
  private isLoading = false;
  private loadTimer: NodeJS.Timeout | undefined;
  private readonly known = new TranslationReuse();
  private readonly stores = new OpenStores();
  /** Requests that have come and are neither answered nor the process's. */
  private readonly pending: WorkerRequest[] = [];
  private isCompiling = false;

  constructor({ port, answered, script }: WorkerSetup) {
    this.port = port;
    this.answered = answered;
    process.on('exit', () => {
      Atomics.store(answered, 1, 1);
      // Who is about to wait for the next answer does not.
      Atomics.add(answered, 0, 1);
      Atomics.notify(answered, 0);
    });
    lowerOwnPriority();
    heedCompilationHints();
    this.script = script !== undefined && hasMachineCode() ? script : undefined;
    port.on('message', (message: WorkerRequest | StoreRequest) => {
      this.receive(message);
      this.serve();
    });
  }

  /** Answers all requests that can be answered, and those that come meanwhile. */
  serve(): void {
    const unanswered: WorkerRequest[] = [];
    for (;;) {
      // What became hot last is what runs now: the newest request is the first to be served.
      this.receiveAll();
      const next = this.pending.pop();
      if (next === undefined) break;
      if (!this.answer(next)) unanswered.unshift(next);
    }
    this.pending.push(...unanswered);
    if (this.pending.some((request) => !this.isForProcess(request))) void this.load();
    else if (this.pending.length > 0) this.prepare();
    else if (!this.isCompiling) this.compileAhead();
  }

  /** Answers, or asks the process; false if neither can be done now. */
  private answer(message: WorkerRequest): boolean {
    const { id, request } = message;
    const from = hostMilliseconds();
    const spent = (): number => hostMilliseconds() - from;
    try {
      const stored = request.stored === undefined ? undefined : this.stores.get(request.stored);
      const made = stored ?? this.known.find(request);
      if (made) this.tell({ id, ...made, spent: spent(), reused: true });
      else if (!this.hasRoomFor(message)) return false;
      else if (this.isForProcess(message)) this.process!.ask(message);
      else this.tell({ id, ...this.translated(request, this.translator!), spent: spent() });
    } catch (error) {
      this.tell({ id, translation: undefined, module: undefined, spent: spent(), error: errorFacts(error) });
    }
    return true;
  }

  private translated(
    request: WorkerRequest['request'],
    { translate, causeOfNothing }: NonNullable<typeof this.translator>,
  ): Pick<WorkerReply, 'translation' | 'module' | 'nothing'> {
    const translation = translate(request);
    if (!translation) return { translation, module: undefined, nothing: causeOfNothing(request) };
    const made = { translation, module: new WebAssembly.Module(translation.wasm as BufferSource) };
    this.known.add(request, made);
    return made;
  }

  private isForProcess({ request }: WorkerRequest): boolean {
    return this.script !== undefined && request.optimized === true;
  }

  /** Whether what translates it is there, and can. */
  private hasRoomFor(message: WorkerRequest): boolean {
    return this.isForProcess(message) ? (this.process?.hasRoom ?? false) : this.translator !== undefined;
  }

  /** The process has answered. */
  private takeBack({ request }: WorkerRequest, reply: WorkerReply): void {
    const { translation, module } = reply;
    if (translation && module) this.known.add(request, { translation, module });
    this.tell(reply);
    this.serve();
  }

  private tell(reply: WorkerReply | StoreReply): void {
    this.port.postMessage(reply);
    Atomics.add(this.answered, 0, 1);
    Atomics.notify(this.answered, 0);
  }

  /** Tells what a store has, in parts: who takes them has a guest that waits. */
  private open({ id, store, dataTlb }: StoreRequest): void {
    const opened = this.stores.open(store, dataTlb);
    let from = 0;
    do {
      const regions = opened?.regions.slice(from, (from += REGIONS_PER_REPLY));
      const isLast = from >= (opened?.regions.length ?? 0);
      this.tell({ id, opened: opened && { ...opened, regions: regions! }, isLast });
    } while (from < (opened?.regions.length ?? 0));
  }

  private receive(message: WorkerRequest | StoreRequest): void {
    if ('request' in message) this.pending.push(message);
    else this.open(message);
  }

  private receiveAll(): void {
    for (let more = receiveMessageOnPort(this.port); more; more = receiveMessageOnPort(this.port))
      this.receive(more.message as WorkerRequest | StoreRequest);
  }

  /**
   * While nobody asks for anything that is not stored: compiles what is, a module at a time. What translates is loaded when that
   * is done, or at once if nothing is stored.
   */
  private compileAhead(): void {
    try {
      this.isCompiling = this.stores.compileNext();
    } catch {
      // Whoever asks for that one is told.
      this.isCompiling = true;
    }
    if (this.isCompiling) setImmediate(() => this.compileAhead());
    else if (this.stores.isEmpty) this.prepare();
    else this.prepareSoon();
  }

  /** What translates is loaded when nobody has asked for what is stored for a while: who asks meanwhile would wait for it. */
  private prepareSoon(): void {
    clearTimeout(this.loadTimer);
    if (!this.isLoading && !this.process) this.loadTimer = setTimeout(() => this.prepare(), QUIET_MS);
  }

  /** Starts the process, unless that was done, or loads the translator if there can be none. */
  private prepare(): void {
    if (this.script === undefined) return void this.load();
    try {
      this.process ??= new TranslationProcess(this.script, {
        ready: () => this.serve(),
        answer: (request, reply) => this.takeBack(request, reply),
        ended: (unanswered) => this.goOnAlone(unanswered),
      });
    } catch {
      // This Node, or the system, allows no processes.
      this.goOnAlone();
    }
  }

  private goOnAlone(unanswered: readonly WorkerRequest[] = []): void {
    this.process = this.script = undefined;
    this.pending.push(...unanswered);
    this.serve();
  }

  /** While nobody waits V8 gets to know the translator. */
  private warmUp(translate: typeof Translator.translate): void {
    for (let round = 0; round < WARM_UP_ROUNDS && this.pending.length === 0; round++) {
      translate(WARM_UP);
      this.receiveAll();
    }
  }

  /**
   * Loads the translator, unless that was begun, and answers what waits for it. Nothing is made of machine code meanwhile: V8
   * refuses that under the flags of `loadLightly`. As built nothing can be, for the script has all modules.
   */
  private async load(): Promise<void> {
    if (this.isLoading) return;
    this.isLoading = true;
    try {
      const loaded = await loadLightly(() => import('./translator.js'));
      this.warmUp(loaded.translate);
      this.translator = loaded;
    } catch (error) {
      // Nobody is told of errors but who asks: whatever is asked for has this one.
      const fail = (): never => {
        throw error;
      };
      this.translator = { translate: fail, causeOfNothing: fail };
    }
    this.serve();
  }
}

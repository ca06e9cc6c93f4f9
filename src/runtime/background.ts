/**
 * Translation in a worker thread, or in a process that it has for that. Binaryen is loaded there and only there; the machine goes
 * on interpreting, and takes finished translations between runs, by a poll that costs next to nothing.
 */
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { DataTlb } from '../backend-wasm/data-tlb.js';
import { lowerOtherThreads } from './background-priority.js';
import type { EngineKind } from './engine-kind.js';
import type { OpenedStore } from './open-stores.js';
import type {
  StoreReply,
  StoreRequest,
  WorkerReply,
  WorkerRequest,
  WorkerSetup,
} from './translation-messages.js';
import { errorFacts } from './translator-bug.js';
import type { TranslationRequest } from './translator.js';
import { compileAsEver, leaveAProcessor, leaveLoopsAlone } from './v8-flags.js';
import { scriptOfTranslationProcess, startTranslationWorker } from './worker-file.js';

/** Most requests under way; hotter code asks again. */
export const MAX_PENDING = 32;
/** With fewer under way the translator may soon have nothing to do. */
export const BUSY = 2;
/** A translation takes milliseconds, loading Binaryen on a busy machine seconds. */
const MAX_WAIT_MS = 60_000;
/** Waits in vain, one after the other, before it is given up: one may have been over while the process was stopped. */
const MOST_WAITS = 2;

/** Told of an opened store. */
export type StoreOpened = (store: OpenedStore | undefined, isLast: boolean) => void;

/** Who translates for an engine. */
export interface TranslationService {
  /** There is enough under way. */
  readonly full: boolean;
  /** There is little under way. */
  readonly idle: boolean;
  /** Something may be asked for soon. */
  prepare(): void;
  /** Asks for a translation; `done` is called by a later `poll` or `finish`. */
  request(request: TranslationRequest, done: (reply: WorkerReply) => void): void;
  /**
   * Opens a store of translations, for who can; `done` is called by later `poll`s, each time with a part of it, or once with
   * undefined if there can be none.
   */
  openStore?(path: string, dataTlb: DataTlb, done: StoreOpened): void;
  /**
   * Hands out what is finished; what went wrong with a request is told to whoever made it. Throws what went wrong with
   * the service as a whole.
   */
  poll(): void;
  /** Waits until everything that was asked for is done, and hands it out. */
  finish(): void;
}

export class BackgroundTranslator implements TranslationService {
  private ownsProcess = false;
  private mayStartProcess = false;
  private port: MessagePort | undefined;
  private readonly waiting = new Map<number, (reply: WorkerReply) => void>();
  private readonly opening = new Map<number, StoreOpened>();
  private nextId = 0;
  /** The worker's answers so far, and whether it has ended. */
  private readonly answered = new Int32Array(new SharedArrayBuffer(8));
  /** Answers, and perhaps its end, that `poll` has seen. */
  private taken = 0;
  /** It has translated something. */
  private hasTranslated = false;
  private failure: Error | undefined;

  /**
   * Says that the process does nothing else than run guests: V8 is set up for regions, and from the worker's start on other
   * threads step back for the guest's. To be said before there is any Wasm (see `leaveLoopsAlone`). `tiers`: of the guests; what
   * `auto` asks for may be translated in another process.
   */
  ownProcess(tiers: EngineKind): void {
    this.ownsProcess = true;
    this.mayStartProcess = tiers === 'auto';
    leaveLoopsAlone();
    leaveAProcessor();
  }

  get full(): boolean {
    return this.waiting.size >= MAX_PENDING;
  }

  get idle(): boolean {
    // The newest is served first: until the worker has translated something, what is only warm would go before the hot loop that waits.
    return this.waiting.size < (this.hasTranslated ? BUSY : 1);
  }

  /** Starts the worker, so that it has loaded what it needs by the time something is hot. */
  prepare(): void {
    this.port ??= this.start();
  }

  request(request: TranslationRequest, done: (reply: WorkerReply) => void): void {
    this.prepare();
    const id = this.nextId++;
    this.waiting.set(id, done);
    const message: WorkerRequest = { id, request };
    this.port!.postMessage(message);
  }

  openStore(path: string, dataTlb: DataTlb, done: StoreOpened): void {
    this.prepare();
    const id = this.nextId++;
    this.opening.set(id, done);
    const message: StoreRequest = { id, store: path, dataTlb };
    this.port!.postMessage(message);
  }

  private start(): MessagePort {
    if (this.ownsProcess) {
      lowerOtherThreads();
      compileAsEver();
    }
    const { port1, port2 } = new MessageChannel();
    const script = this.mayStartProcess ? scriptOfTranslationProcess() : undefined;
    const data: WorkerSetup = { port: port2, answered: this.answered, script };
    const worker = startTranslationWorker({ workerData: data, transferList: [port2] });
    worker.on('error', (error) => (this.failure = error));
    // Neither may keep the process alive.
    worker.unref();
    port1.unref();
    return port1;
  }

  poll(): void {
    if (this.port === undefined) return;
    const answers = Atomics.load(this.answered, 0);
    if (answers !== this.taken || this.failure) this.take(answers);
  }

  /** Hands out what there is: `answers` of the worker's, at least. */
  private take(answers: number): void {
    const port = this.port!;
    for (let got = receiveMessageOnPort(port); got; got = receiveMessageOnPort(port)) {
      const reply = got.message as WorkerReply | StoreReply;
      this.handOut(reply);
      // A part of a store takes a millisecond or two: the guest runs before the next is taken.
      if ('opened' in reply) return;
    }
    // Not before: if one of them throws the rest are there next time.
    this.taken = answers;
    if (Atomics.load(this.answered, 1) !== 0) this.failure ??= new Error('the translation worker has ended');
    if (this.failure) this.fail(this.failure);
  }

  private handOut(reply: WorkerReply | StoreReply): void {
    if ('opened' in reply) {
      const done = this.opening.get(reply.id);
      if (reply.isLast) this.opening.delete(reply.id);
      done?.(reply.opened, reply.isLast);
      return;
    }
    const done = this.waiting.get(reply.id);
    this.waiting.delete(reply.id);
    if (!reply.reused) this.hasTranslated = true;
    done?.(reply);
  }

  /** The worker will not answer: whoever waits longest is told. */
  private fail(failure: Error): void {
    for (const done of this.opening.values()) done(undefined, true);
    this.opening.clear();
    for (const [id, done] of this.waiting) {
      this.waiting.delete(id);
      done({ id, translation: undefined, module: undefined, spent: 0, error: errorFacts(failure) });
    }
    throw failure;
  }

  finish(): void {
    let inVain = 0;
    while (this.waiting.size + this.opening.size > 0) {
      const before = Atomics.load(this.answered, 0);
      this.poll();
      if (this.waiting.size + this.opening.size === 0) return;
      // Parts of a store come one at a time.
      if (this.taken !== before) continue;
      inVain = Atomics.wait(this.answered, 0, before, MAX_WAIT_MS) === 'timed-out' ? inVain + 1 : 0;
      if (inVain === MOST_WAITS) this.fail(new Error('the translation worker does not answer'));
    }
  }
}

/** One worker for all machines of the process: a guest that restarts over and over must not leave workers behind. */
export const SHARED_TRANSLATOR = new BackgroundTranslator();

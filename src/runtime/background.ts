/**
 * Translation in a worker thread. Binaryen is loaded there and only there; the machine goes on interpreting, and takes
 * finished translations between runs, by a poll that costs next to nothing.
 */
import { join } from 'node:path';
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { packageRoot } from './load-interpreter.js';
import type { WorkerReply, WorkerRequest, WorkerSetup } from './translation-worker.js';
import type { TranslationRequest } from './translator.js';

/** Most requests under way; hotter code asks again. */
const MAX_PENDING = 32;
/** A translation takes milliseconds, loading Binaryen on a busy machine seconds. */
const MAX_WAIT_MS = 60_000;

export class BackgroundTranslator {
  private port: MessagePort | undefined;
  private readonly waiting = new Map<number, (reply: WorkerReply) => void>();
  private nextId = 0;
  /** Counts the worker's answers. */
  private readonly answered = new Int32Array(new SharedArrayBuffer(4));
  private failure: Error | undefined;

  /** There is enough under way. */
  get full(): boolean {
    return this.waiting.size >= MAX_PENDING;
  }

  /** Starts the worker, so that Binaryen is loaded by the time something is hot. */
  prepare(): void {
    this.port ??= this.start();
  }

  /** Asks for a translation; `done` is called by a later `poll`. */
  request(request: TranslationRequest, done: (reply: WorkerReply) => void): void {
    this.prepare();
    const id = this.nextId++;
    this.waiting.set(id, done);
    const message: WorkerRequest = { id, request };
    this.port!.postMessage(message);
  }

  private start(): MessagePort {
    const { port1, port2 } = new MessageChannel();
    const data: WorkerSetup = { port: port2, answered: this.answered };
    const worker = new Worker(join(packageRoot(), 'dist/src/runtime/translation-worker.js'), {
      workerData: data,
      transferList: [port2],
    });
    worker.on('error', (error) => (this.failure = error));
    // Neither may keep the process alive.
    worker.unref();
    port1.unref();
    return port1;
  }

  /** Hands out what is finished. Throws what went wrong in the worker, which is a bug of ours. */
  poll(): void {
    if (this.port === undefined) return;
    if (this.failure) throw this.failure;
    for (let got = receiveMessageOnPort(this.port); got; got = receiveMessageOnPort(this.port)) {
      const reply = got.message as WorkerReply;
      const done = this.waiting.get(reply.id);
      this.waiting.delete(reply.id);
      if (reply.error) throw reply.error;
      done?.(reply);
    }
  }

  /** Waits until everything that was asked for is done, and hands it out. */
  finish(): void {
    while (this.waiting.size > 0) {
      const before = Atomics.load(this.answered, 0);
      this.poll();
      if (this.waiting.size === 0) return;
      if (Atomics.wait(this.answered, 0, before, MAX_WAIT_MS) === 'timed-out') {
        throw new Error('the translation worker does not answer');
      }
    }
  }
}

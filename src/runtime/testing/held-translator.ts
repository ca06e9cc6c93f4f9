/** A translator whose translations arrive when the test says so; the real worker makes them. */
import type { DataTlb } from '../../backend-wasm/data-tlb.js';
import { BackgroundTranslator, type StoreOpened, type TranslationService } from '../background.js';
import type { WorkerReply } from '../translation-messages.js';
import type { TranslationRequest } from '../translator.js';

/** One worker for all tests of a file. */
const WORKER = new BackgroundTranslator();

interface Held {
  readonly request: TranslationRequest;
  readonly done: (reply: WorkerReply) => void;
  reply?: WorkerReply;
}

export class HeldTranslator implements TranslationService {
  readonly full = false;
  idle = true;
  /** What was asked for and not delivered. */
  readonly held: Held[] = [];

  prepare(): void {
    WORKER.prepare();
  }
  request(request: TranslationRequest, done: (reply: WorkerReply) => void): void {
    const held: Held = { request, done };
    this.held.push(held);
    WORKER.request(request, (reply) => (held.reply = reply));
  }
  openStore(path: string, dataTlb: DataTlb, done: StoreOpened): void {
    WORKER.openStore(path, dataTlb, done);
  }
  /** Engines get nothing by asking but stores. */
  poll(): void {
    WORKER.poll();
  }
  /** Waits for the worker, and delivers nothing. */
  complete(): void {
    WORKER.finish();
  }
  /** Delivers everything. */
  finish(): void {
    this.deliver(() => true);
  }
  /** Delivers those that are picked. */
  deliver(isPicked: (request: TranslationRequest) => boolean): void {
    this.complete();
    const picked = this.held.filter(({ request }) => isPicked(request));
    const rest = this.held.filter(({ request }) => !isPicked(request));
    this.held.splice(0, this.held.length, ...rest);
    for (const { done, reply } of picked) done(reply!);
  }
}

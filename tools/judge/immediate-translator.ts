/** Translates in this thread, while the engine waits: without a worker's round trip, and with Binaryen's validation. */
import type { TranslationService } from '../../src/runtime/background.js';
import type { WorkerReply } from '../../src/runtime/translation-messages.js';
import { translate, type TranslationRequest } from '../../src/runtime/translator.js';

export class ImmediateTranslator implements TranslationService {
  readonly full = false;
  readonly idle = true;
  private readonly finished: (() => void)[] = [];
  private requests = 0;

  /** Every so many regions Binaryen validates one. */
  constructor(private readonly validateEvery: number) {}

  prepare(): void {
    // Nothing to start.
  }

  request(request: TranslationRequest, done: (reply: WorkerReply) => void): void {
    const validate = this.requests++ % this.validateEvery === 0;
    const from = performance.now();
    const translation = translate(request, { validate });
    const module = translation && new WebAssembly.Module(translation.wasm as BufferSource);
    const spent = performance.now() - from;
    this.finished.push(() => done({ id: this.requests, translation, module, spent }));
  }

  poll(): void {
    for (const done of this.finished.splice(0)) done();
  }

  finish(): void {
    this.poll();
  }
}

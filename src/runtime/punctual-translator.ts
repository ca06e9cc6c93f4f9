/**
 * Translations at repeatable times. How long a worker takes is up to the host; with this between it and an engine each
 * translation is handed out at the first poll at or after a fixed number of guest instructions since it was asked for:
 * no sooner, and if it is not ready by then the guest waits. So what the engine does is a function of the guest alone.
 */
import { BUSY, MAX_PENDING, type TranslationService } from './background.js';
import type { WorkerReply } from './translation-messages.js';
import type { TranslationRequest } from './translator.js';

/** Guest instructions from request to hand-over: about as many as run while a region is translated and optimised. */
export const TRANSLATION_DELAY = 4_000_000;

interface Pending {
  /** Instruction count at which it is handed out. */
  readonly due: number;
  readonly done: (reply: WorkerReply) => void;
  reply?: WorkerReply;
}

export class PunctualTranslator implements TranslationService {
  /** In the order of the requests, which is that of `due`. */
  private readonly pending: Pending[] = [];

  constructor(
    private readonly service: TranslationService,
    /** The guest's instruction count. */
    private readonly now: () => number,
    private readonly delay = TRANSLATION_DELAY,
  ) {}

  /** As of this machine alone: what others ask the service for makes no difference. */
  get full(): boolean {
    return this.pending.length >= MAX_PENDING;
  }

  get idle(): boolean {
    return this.pending.length < BUSY;
  }

  prepare(): void {
    this.service.prepare();
  }

  request(request: TranslationRequest, done: (reply: WorkerReply) => void): void {
    const pending: Pending = { due: this.now() + this.delay, done };
    this.pending.push(pending);
    this.service.request(request, (reply) => (pending.reply = reply));
  }

  poll(): void {
    if (this.pending.length === 0) return;
    this.service.poll();
    while (this.pending.length > 0 && this.pending[0]!.due <= this.now()) this.handOut();
  }

  finish(): void {
    while (this.pending.length > 0) this.handOut();
  }

  private handOut(): void {
    const { done, reply } = this.pending[0]!;
    if (reply === undefined) {
      this.service.finish();
      return;
    }
    this.pending.shift();
    done(reply);
  }
}

/**
 * Translations that come at any time, and out of order: each some runs of the engine after it was asked for, at random.
 * A seed says when, so that what an engine does with them can be repeated.
 */
import type { TranslationService } from '../../src/runtime/background.js';
import type { WorkerReply } from '../../src/runtime/translation-messages.js';
import type { TranslationRequest } from '../../src/runtime/translator.js';
import { Random } from './random.js';

/** Runs of the engine from request to hand-over, the next one included. */
const RUNS = [1, 1, 2, 3, 5, 10] as const;

interface Pending {
  runs: number;
  readonly handOut: () => void;
}

export class LateTranslator implements TranslationService {
  readonly full = false;
  readonly idle = true;
  private random = new Random(0);
  private pending: Pending[] = [];

  /** `service` has what was asked for by the next poll. */
  constructor(private readonly service: TranslationService) {}

  /** What was asked for comes now; what is asked for from here on comes as this seed says. */
  begin(seed: number): void {
    this.finish();
    this.random = new Random(seed);
  }

  prepare(): void {
    this.service.prepare();
  }

  request(request: TranslationRequest, done: (reply: WorkerReply) => void): void {
    const runs = this.random.pick(RUNS);
    this.service.request(request, (reply) => this.pending.push({ runs, handOut: () => done(reply) }));
  }

  poll(): void {
    this.service.poll();
    for (const translation of this.pending) translation.runs--;
    this.handOut(({ runs }) => runs <= 0);
  }

  finish(): void {
    this.service.finish();
    this.handOut(() => true);
  }

  private handOut(isDue: (translation: Pending) => boolean): void {
    const due = this.pending.filter(isDue);
    this.pending = this.pending.filter((translation) => !isDue(translation));
    for (const { handOut } of due) handOut();
  }
}

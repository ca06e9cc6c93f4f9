/**
 * The Wasm text of a translation, for reports. It is made anew in a worker: what the translator makes of many blocks, each
 * inside the one before, takes more stack than the main thread has.
 */
import { startWorker } from './worker-file.js';
import { type ErrorFacts } from './translator-bug.js';
import type { TranslationRequest } from './translator.js';

/** The worker's answer. */
export interface TranslationText {
  /** Undefined if there is nothing to translate. */
  readonly text?: string | undefined;
  readonly error?: ErrorFacts;
}

/** Undefined if there is nothing to translate. Rejects with what went wrong. */
export function translationText(request: TranslationRequest): Promise<string | undefined> {
  const worker = startWorker('translation-text-worker.js', { workerData: request });
  return new Promise((resolve, reject) => {
    worker.once('message', ({ text, error }: TranslationText) => {
      if (error) reject(Object.assign(new Error(error.message), error));
      else resolve(text);
    });
    worker.once('error', reject);
    // After an answer nobody hears this.
    worker.once('exit', () => reject(new Error('the worker has ended')));
  });
}

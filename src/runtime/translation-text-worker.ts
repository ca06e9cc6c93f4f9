/** The worker of `translation-text.ts`: makes one translation, and ends. */
import { parentPort, workerData } from 'node:worker_threads';
import type { TranslationText } from './translation-text.js';
import { errorFacts } from './translator-bug.js';
import type { TranslationRequest } from './translator.js';

async function answer(): Promise<TranslationText> {
  try {
    const { translate } = await import('./translator.js');
    return { text: translate(workerData as TranslationRequest, { validate: false, text: true })?.text };
  } catch (error) {
    return { error: errorFacts(error) };
  }
}

parentPort!.postMessage(await answer());

/** The script of the worker that translates, and of the process that it has for that. */
import { workerData } from 'node:worker_threads';
import { translateForParent } from './translating-process.js';
import type { WorkerSetup } from './translation-messages.js';
import { TranslationThread } from './translation-thread.js';

const setup = workerData as WorkerSetup | null;
if (setup) new TranslationThread(setup).serve();
else void translateForParent();

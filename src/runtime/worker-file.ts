/** Starts workers from files of this package's build, whatever Node was started with. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker, type WorkerOptions } from 'node:worker_threads';
import { packageRoot } from './load-interpreter.js';

/** The build makes it true, as its last step: see tools/build-worker.ts. */
const HAS_BUNDLE = false as boolean;

/** `name`: of the file among those of this folder. */
export function startWorker(name: string, options: WorkerOptions): Worker {
  const file = pathToFileURL(join(packageRoot(), 'dist/src/runtime', name));
  // A worker has its parent's options, and with this one among them Node starts it with text, no file.
  const wantsText = process.execArgv.some((option) => option.startsWith('--input-type'));
  return new Worker(wantsText ? `import(${JSON.stringify(file.href)})` : file, {
    ...options,
    eval: wantsText,
  });
}

/** Starts the worker that translates: from its bundle, unless something is loaded first that may want to change its modules. */
export function startTranslationWorker(options: WorkerOptions): Worker {
  const isWatched = process.execArgv.some((option) =>
    /^--(import|loader|experimental-loader)\b/.test(option),
  );
  return startWorker(HAS_BUNDLE && !isWatched ? 'bundled-worker.cjs' : 'translation-worker.js', options);
}

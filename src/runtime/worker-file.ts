/** Starts workers from files of this package's build, whatever Node was started with. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker, type WorkerOptions } from 'node:worker_threads';
import { isBundleOf } from './bundles.js';
import { packageRoot } from './load-interpreter.js';

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

/** Starts the worker that translates, as one script if the package has been built. */
export function startTranslationWorker(options: WorkerOptions): Worker {
  const dist = join(packageRoot(), 'dist');
  const name = 'translation-worker.js';
  const isBundled = isBundleOf(join(dist, name), join(dist, 'src/runtime', name));
  return startWorker(isBundled ? 'bundled-worker.cjs' : name, options);
}

/** Starts workers from files of this package's build, whatever Node was started with. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker, type WorkerOptions } from 'node:worker_threads';
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

/** Whether there is a bundle (tools/build-worker.ts), and it is not older than what it was made from: all is compiled at once. */
function hasBundle(): boolean {
  const dist = join(packageRoot(), 'dist');
  const [bundle, compiled] = ['translation-worker.js', 'src/runtime/translation-worker.js'].map((name) =>
    statSync(join(dist, name), { throwIfNoEntry: false }),
  );
  return bundle !== undefined && compiled !== undefined && bundle.mtimeMs >= compiled.mtimeMs;
}

/** Starts the worker that translates: from its bundle, unless something is loaded first that may want to change its modules. */
export function startTranslationWorker(options: WorkerOptions): Worker {
  const isWatched = process.execArgv.some((option) =>
    /^--(import|loader|experimental-loader)\b/.test(option),
  );
  return startWorker(!isWatched && hasBundle() ? 'bundled-worker.cjs' : 'translation-worker.js', options);
}

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

/** The script that translates, one if the package has been built. */
function translationScript(): string {
  const dist = join(packageRoot(), 'dist');
  const name = 'translation-worker.js';
  const isBundled = isBundleOf(join(dist, name), join(dist, 'src/runtime', name));
  return isBundled ? 'bundled-worker.cjs' : name;
}

/** Starts the worker that translates. */
export function startTranslationWorker(options: WorkerOptions): Worker {
  return startWorker(translationScript(), options);
}

/**
 * What a process of its own has to run to translate for this one. Undefined where Node was started with options: they may
 * be about V8, which refuses machine code that was made under others, or want to watch what happens in this process.
 */
export function scriptOfTranslationProcess(): string | undefined {
  if (process.execArgv.length > 0 || process.env['NODE_OPTIONS']) return undefined;
  return join(packageRoot(), 'dist/src/runtime', translationScript());
}

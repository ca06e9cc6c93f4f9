/** Starts a worker from a file of this package's build, whatever Node was started with. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Worker, type WorkerOptions } from 'node:worker_threads';
import { packageRoot } from './load-interpreter.js';

/** `name`: of the file among those of this folder, without extension. */
export function startWorker(name: string, options: WorkerOptions): Worker {
  const file = pathToFileURL(join(packageRoot(), `dist/src/runtime/${name}.js`));
  // A worker has its parent's options, and with this one among them Node starts it with text, no file.
  const wantsText = process.execArgv.some((option) => option.startsWith('--input-type'));
  return new Worker(wantsText ? `import(${JSON.stringify(file.href)})` : file, {
    ...options,
    eval: wantsText,
  });
}

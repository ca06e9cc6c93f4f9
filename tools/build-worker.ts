/**
 * Bundles the worker that translates, Binaryen's JavaScript included, and runs it as far as a worker gets before it is asked,
 * and asks it once: dist/translation-worker.js.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { INTERPRETER_WASM, packageRoot } from '../src/runtime/load-interpreter.js';
import type { WorkerReply, WorkerRequest, WorkerSetup } from '../src/runtime/translation-messages.js';
import { leaveLoopsAlone } from '../src/runtime/v8-flags.js';
import { WARM_UP } from '../src/runtime/warm-up.js';
import { bundled, started, writeBundle } from './bundle.js';
import { BINARYEN_WASM } from './stripped-binaryen.js';

const DIST = join(packageRoot(), 'dist');
const BUNDLE = join(DIST, 'translation-worker.js');

/** The worker's text. `id`: what it calls itself. */
function bundledWorker(id: string): Promise<string> {
  return bundled(join(DIST, 'src/runtime/translation-worker.js'), { LGUEST_BUILD: JSON.stringify(id) });
}

/**
 * Runs the worker until it waits, asks it once, and returns what V8 has compiled of it: under the flags of a process that does
 * nothing else than run guests, for V8 refuses what was compiled under others.
 */
async function compiled(source: string): Promise<Buffer> {
  leaveLoopsAlone();
  let compiledSoFar: (() => Buffer) | undefined;
  const reply = await new Promise<WorkerReply>((resolve) => {
    const port = {
      // When it has loaded, and warmed up.
      on: (_: 'message', serve: (request: WorkerRequest) => void) =>
        setImmediate(() => serve({ id: 0, request: WARM_UP })),
      postMessage: resolve,
    };
    const workerData = { port, answered: new Int32Array(2) } as unknown as WorkerSetup;
    compiledSoFar = started(source, BUNDLE, {
      'node:worker_threads': { workerData, receiveMessageOnPort: () => undefined },
    });
  });
  if (reply.error) throw new Error(`the worker's answer is an error: ${reply.error.message}`);
  return compiledSoFar!();
}

/** What translations depend on: the worker, the Binaryen that it loads, and the interpreter that calls what it makes. */
async function digest(): Promise<string> {
  const hash = createHash('sha256').update(await bundledWorker(''));
  for (const file of [BINARYEN_WASM, INTERPRETER_WASM]) hash.update(readFileSync(join(DIST, file)));
  return hash.digest('hex');
}

const source = await bundledWorker(await digest());
console.log(`worker: ${writeBundle(BUNDLE, source, await compiled(source))}`);

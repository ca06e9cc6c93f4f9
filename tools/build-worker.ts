/**
 * Bundles the worker that translates, Binaryen's JavaScript included, into one script, and runs it as far as a worker
 * gets before it is asked, to keep what V8 has compiled by then: dist/translation-worker.js, and the same with `.cache`.
 * To find, read and compile a hundred modules took half of the worker's start. Whoever only
 * runs the compiler has a worker that takes longer to load: a bundle older than that is not used.
 */
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Script } from 'node:vm';
import { INTERPRETER_WASM, packageRoot } from '../src/runtime/load-interpreter.js';
import type { WorkerReply, WorkerRequest, WorkerSetup } from '../src/runtime/translation-worker.js';
import { leaveLoopsAlone } from '../src/runtime/v8-flags.js';
import { WARM_UP } from '../src/runtime/warm-up.js';
import { BINARYEN_WASM } from './stripped-binaryen.js';

const DIST = join(packageRoot(), 'dist');
const BUNDLE = join(DIST, 'translation-worker.js');

/** The worker as the text of a function of `require` and its file's name. `id`: what it calls itself. */
async function bundled(id: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(DIST, 'src/runtime/translation-worker.js')],
    bundle: true,
    write: false,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    define: { 'import.meta.url': 'moduleUrl', LGUEST_BUILD: JSON.stringify(id) },
    banner: {
      js: "(function (require, filename) {\nconst moduleUrl = require('node:url').pathToFileURL(filename).href;",
    },
    footer: { js: '})' },
    logLevel: 'warning',
  });
  // Strings and names have escapes already; V8 reads a source whose characters are bytes faster.
  return outputFiles[0]!.text.replace(/[\u0080-\uffff]/g, '?');
}

/**
 * Runs the worker until it waits, asks it once, and returns what V8 has compiled of it: under the flags of a process that does
 * nothing else than run guests, for V8 refuses what was compiled under others.
 */
async function compiled(source: string): Promise<Buffer> {
  leaveLoopsAlone();
  const script = new Script(source, { filename: BUNDLE });
  const reply = await new Promise<WorkerReply>((resolve) => {
    const port = {
      on: (_: 'message', serve: (request: WorkerRequest) => void) => serve({ id: 0, request: WARM_UP }),
      postMessage: resolve,
    };
    const workerData = { port, answered: new Int32Array(2) } as unknown as WorkerSetup;
    const load = createRequire(BUNDLE);
    const instead: Readonly<Record<string, unknown>> = {
      'node:worker_threads': { workerData, receiveMessageOnPort: () => undefined },
      // What is compiled is good for the flags that are set now.
      'node:v8': { setFlagsFromString: () => undefined },
    };
    const require = (name: string): unknown => instead[name] ?? load(name);
    (script.runInThisContext() as (require: unknown, filename: string) => void)(require, BUNDLE);
  });
  if (reply.error) throw new Error(`the worker's answer is an error: ${reply.error.message}`);
  return script.createCachedData();
}

/** What translations depend on: the worker, the Binaryen that it loads, and the interpreter that calls what it makes. */
async function digest(): Promise<string> {
  const hash = createHash('sha256').update(await bundled(''));
  for (const file of [BINARYEN_WASM, INTERPRETER_WASM]) hash.update(readFileSync(join(DIST, file)));
  return hash.digest('hex');
}

const source = await bundled(await digest());
const cache = await compiled(source);
writeFileSync(BUNDLE, source);
writeFileSync(`${BUNDLE}.cache`, cache);
console.log(`worker: ${source.length} bytes, ${cache.length} compiled`);

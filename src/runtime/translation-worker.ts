/** The worker that translates in the background: requests in, translations with their compiled modules out. */
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { lowerOwnPriority } from './background-priority.js';
import { hostMilliseconds } from './host-time.js';
import { type ErrorFacts, errorFacts } from './translator-bug.js';
import type { RefusalCause } from './refusals.js';
import { TranslationReuse } from './translation-reuse.js';
import type * as Translator from './translator.js';
import type { Translation, TranslationRequest } from './translator.js';
import { heedCompilationHints, loadLightly } from './v8-flags.js';
import { WARM_UP } from './warm-up.js';

/** What the worker is started with. */
export interface WorkerSetup {
  readonly port: MessagePort;
  /** [0] incremented, and notified, after each answer and when the worker ends; [1] set when it ends. */
  readonly answered: Int32Array;
}

/** A request and the number to answer it with. */
export interface WorkerRequest {
  readonly id: number;
  readonly request: TranslationRequest;
}

export interface WorkerReply {
  readonly id: number;
  readonly translation: Translation | undefined;
  /** Why there is none, if nothing went wrong. */
  readonly nothing?: RefusalCause;
  readonly module: WebAssembly.Module | undefined;
  /** Milliseconds spent. */
  readonly spent: number;
  /** It was made before, from the same code. */
  readonly reused?: boolean;
  /** What went wrong: a bug of ours. */
  readonly error?: ErrorFacts;
}

const { port, answered } = workerData as WorkerSetup;

process.on('exit', () => {
  Atomics.store(answered, 1, 1);
  // Who is about to wait for the next answer does not.
  Atomics.add(answered, 0, 1);
  Atomics.notify(answered, 0);
});
lowerOwnPriority();
heedCompilationHints();
let translator: Pick<typeof Translator, 'translate' | 'causeOfNothing'>;
const known = new TranslationReuse();
/** The first takes 30 ms, the last 1.5. */
const WARM_UP_ROUNDS = 20;

/** Errors travel as answers: whoever waits would not hear of them otherwise. */
function answer({ id, request }: WorkerRequest): WorkerReply {
  const from = hostMilliseconds();
  const spent = (): number => hostMilliseconds() - from;
  try {
    const { made, reused } = known.of(request, () => {
      const translation = translator.translate(request);
      return translation && { translation, module: new WebAssembly.Module(translation.wasm as BufferSource) };
    });
    const nothing = made ? undefined : translator.causeOfNothing(request);
    return { id, translation: made?.translation, nothing, module: made?.module, spent: spent(), reused };
  } catch (error) {
    return { id, translation: undefined, module: undefined, spent: spent(), error: errorFacts(error) };
  }
}

/** Requests that have come and are not answered. */
const pending: WorkerRequest[] = [];

/** Answers a request and those that come meanwhile. */
function serve(first: WorkerRequest): void {
  pending.push(first);
  for (;;) {
    // What became hot last is what runs now: the newest request is the first to be served.
    for (let more = receiveMessageOnPort(port); more; more = receiveMessageOnPort(port))
      pending.push(more.message as WorkerRequest);
    const next = pending.pop();
    if (next === undefined) return;
    port.postMessage(answer(next));
    Atomics.add(answered, 0, 1);
    Atomics.notify(answered, 0);
  }
}

/** While nobody waits V8 gets to know the translator. Returns the request that ends that, if one comes. */
function warmUp(): WorkerRequest | undefined {
  for (let round = 0; round < WARM_UP_ROUNDS; round++) {
    const early = receiveMessageOnPort(port);
    if (early) return early.message as WorkerRequest;
    translator.translate(WARM_UP);
  }
  return undefined;
}

/** Loads the translator, and answers from then on. No `await` outside: as built the worker is a script. */
async function start(): Promise<void> {
  let early: WorkerRequest | undefined;
  try {
    translator = await loadLightly(() => import('./translator.js'));
    early = warmUp();
  } catch (error) {
    // Nobody is told of errors but who asks: whatever is asked for has this one.
    const fail = (): never => {
      throw error;
    };
    translator = { translate: fail, causeOfNothing: fail };
  }
  if (early) serve(early);
  port.on('message', serve);
}

void start();

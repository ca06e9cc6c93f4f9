/** The worker that translates in the background: requests in, translations with their compiled modules out. */
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { DataTlb } from '../backend-wasm/data-tlb.js';
import { lowerOwnPriority } from './background-priority.js';
import { type OpenedStore, OpenStores } from './open-stores.js';
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

/** Asks for a store of translations, and the number to answer with. */
export interface StoreRequest {
  readonly id: number;
  readonly store: string;
  /** Of the machine. */
  readonly dataTlb: DataTlb;
}

export interface StoreReply {
  readonly id: number;
  /** A part of the store; undefined if translations cannot be stored. */
  readonly opened: OpenedStore | undefined;
  readonly isLast: boolean;
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
  /** See `KeptMade`. */
  readonly compiledAnew?: boolean;
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
/** Undefined until it is loaded: stored translations do without it. */
let translator: Pick<typeof Translator, 'translate' | 'causeOfNothing'> | undefined;
const known = new TranslationReuse();
const stores = new OpenStores();
const REGIONS_PER_REPLY = 64;
/** The first takes 30 ms, the last 1.5. */
const WARM_UP_ROUNDS = 20;

/** Errors travel as answers: whoever waits would not hear of them otherwise. */
function answer({ id, request }: WorkerRequest): WorkerReply {
  const from = hostMilliseconds();
  const spent = (): number => hostMilliseconds() - from;
  try {
    const stored = request.stored === undefined ? undefined : stores.get(request.stored);
    if (stored) return { id, ...stored, spent: spent(), reused: true };
    const { made, reused } = known.of(request, () => {
      const translation = translator!.translate(request);
      return translation && { translation, module: new WebAssembly.Module(translation.wasm as BufferSource) };
    });
    const nothing = made ? undefined : translator!.causeOfNothing(request);
    return { id, translation: made?.translation, nothing, module: made?.module, spent: spent(), reused };
  } catch (error) {
    return { id, translation: undefined, module: undefined, spent: spent(), error: errorFacts(error) };
  }
}

/** Requests that have come and are not answered. */
const pending: WorkerRequest[] = [];

function tell(reply: WorkerReply | StoreReply): void {
  port.postMessage(reply);
  Atomics.add(answered, 0, 1);
  Atomics.notify(answered, 0);
}

/** Tells what a store has, in parts: who takes them has a guest that waits. */
function open({ id, store, dataTlb }: StoreRequest): void {
  const opened = stores.open(store, dataTlb);
  let from = 0;
  do {
    const regions = opened?.regions.slice(from, (from += REGIONS_PER_REPLY));
    const isLast = from >= (opened?.regions.length ?? 0);
    tell({ id, opened: opened && { ...opened, regions: regions! }, isLast });
  } while (from < (opened?.regions.length ?? 0));
}

function receive(message: WorkerRequest | StoreRequest): void {
  if ('request' in message) pending.push(message);
  else open(message);
}

function receiveAll(): void {
  for (let more = receiveMessageOnPort(port); more; more = receiveMessageOnPort(port))
    receive(more.message as WorkerRequest | StoreRequest);
}

function isStored({ request }: WorkerRequest): boolean {
  return request.stored !== undefined && stores.has(request.stored);
}

/** Answers all requests that can be answered, and those that come meanwhile. */
function serve(): void {
  const untranslated: WorkerRequest[] = [];
  for (;;) {
    // What became hot last is what runs now: the newest request is the first to be served.
    receiveAll();
    const next = pending.pop();
    if (next === undefined) break;
    if (translator || isStored(next)) tell(answer(next));
    else untranslated.unshift(next);
  }
  pending.push(...untranslated);
  if (pending.length > 0) void load();
  else if (!isCompiling) compileAhead();
}

let isCompiling = false;

/**
 * While nobody asks for anything that is not stored: compiles what is, a module at a time. The translator is loaded when that
 * is done, or at once if nothing is stored.
 */
function compileAhead(): void {
  try {
    isCompiling = stores.compileNext();
  } catch {
    // Whoever asks for that one is told.
    isCompiling = true;
  }
  if (isCompiling) setImmediate(compileAhead);
  else if (stores.isEmpty) void load();
  else loadSoon();
}

/** Nothing that is stored is asked for any more after so many milliseconds without it, or not much. */
const QUIET_MS = 300;
let loadTimer: NodeJS.Timeout | undefined;

/** Loads the translator when nobody has asked for what is stored for a while: who asks meanwhile would wait for it. */
function loadSoon(): void {
  clearTimeout(loadTimer);
  if (!isLoading) loadTimer = setTimeout(() => void load(), QUIET_MS);
}

/** While nobody waits V8 gets to know the translator. */
function warmUp(translate: typeof Translator.translate): void {
  for (let round = 0; round < WARM_UP_ROUNDS && pending.length === 0; round++) {
    translate(WARM_UP);
    receiveAll();
  }
}

let isLoading = false;

/**
 * Loads the translator, unless that was begun, and answers what waits for it. Nothing is made of machine code meanwhile: V8
 * refuses that under the flags of `loadLightly`. As built nothing can be, for the script has all modules.
 */
async function load(): Promise<void> {
  if (isLoading) return;
  isLoading = true;
  try {
    const loaded = await loadLightly(() => import('./translator.js'));
    warmUp(loaded.translate);
    translator = loaded;
  } catch (error) {
    // Nobody is told of errors but who asks: whatever is asked for has this one.
    const fail = (): never => {
      throw error;
    };
    translator = { translate: fail, causeOfNothing: fail };
  }
  serve();
}

port.on('message', (message: WorkerRequest | StoreRequest) => {
  receive(message);
  serve();
});
serve();

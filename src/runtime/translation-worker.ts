/** The worker that translates in the background: requests in, translations with their compiled modules out. */
import { type MessagePort, workerData } from 'node:worker_threads';
import { translate, type Translation, type TranslationRequest } from './translator.js';

/** A request and the number to answer it with. */
export interface WorkerRequest {
  readonly id: number;
  readonly request: TranslationRequest;
}

export interface WorkerReply {
  readonly id: number;
  readonly translation: Translation | undefined;
  readonly module: WebAssembly.Module | undefined;
  /** Milliseconds spent. */
  readonly spent: number;
}

const port = workerData as MessagePort;
port.on('message', ({ id, request }: WorkerRequest) => {
  const from = performance.now();
  const translation = translate(request);
  const module = translation && new WebAssembly.Module(translation.wasm as BufferSource);
  const reply: WorkerReply = { id, translation, module, spent: performance.now() - from };
  port.postMessage(reply);
});

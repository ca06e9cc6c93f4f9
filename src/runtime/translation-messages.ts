/** What goes to and fro between the machines' thread, the worker that translates, and the process that it has for that. */
import type { MessagePort } from 'node:worker_threads';
import type { DataTlb } from '../backend-wasm/data-tlb.js';
import type { OpenedStore } from './open-stores.js';
import type { RefusalCause } from './refusals.js';
import type { ErrorFacts } from './translator-bug.js';
import type { Translation, TranslationRequest } from './translator.js';

/** What the worker is started with. */
export interface WorkerSetup {
  readonly port: MessagePort;
  /** [0] incremented, and notified, after each answer and when the worker ends; [1] set when it ends. */
  readonly answered: Int32Array;
  /** The script of a process of its own that is to translate, if it can; undefined: the worker translates. */
  readonly script: string | undefined;
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
  /** V8 had no use for the machine code that was to be had of it, or none was. */
  readonly compiledAnew?: boolean;
  /** What went wrong: a bug of ours. */
  readonly error?: ErrorFacts;
}

/** What the process that translates says first, and answers. */
export type ProcessMessage = 'ready' | ProcessReply;

/** Like the worker's, but a process cannot send modules: it sends what V8 made of them. */
export interface ProcessReply extends Omit<WorkerReply, 'module' | 'reused' | 'compiledAnew'> {
  readonly machineCode?: Uint8Array | undefined;
}

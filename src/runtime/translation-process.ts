/**
 * The process that translates, as the worker that started it has it. Where there can be none, or when it has ended, the worker
 * translates itself.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { fromMachineCode } from './machine-code.js';
import type { ProcessMessage, ProcessReply, WorkerReply, WorkerRequest } from './translation-messages.js';
import { errorFacts } from './translator-bug.js';
import { LOOP_FLAGS } from './v8-flags.js';

/** Options of Node: flags as in the process that it translates for, and one module compiled at a time. */
export const PROCESS_OPTIONS: readonly string[] = [...LOOP_FLAGS, '--v8-pool-size=1'];
/** With so many asked for it has the next one at hand when it has answered. More would be served before what is newer. */
const MOST_ASKED = 2;

/** Who ends it by these means it, or needs its memory; by any other end it may have come through what it was asked for. */
const ENDED_BY_OTHERS: readonly unknown[] = ['SIGKILL', 'SIGTERM'] satisfies NodeJS.Signals[];

/** Told of what becomes of it. */
export interface ProcessEvents {
  /** It has loaded what it needs. */
  ready(): void;
  answer(request: WorkerRequest, reply: WorkerReply): void;
  /** It has ended, or never began. `unanswered`: what it was asked for, which is not to blame. */
  ended(unanswered: readonly WorkerRequest[]): void;
}

export class TranslationProcess {
  private readonly child: ChildProcess;
  private isReady = false;
  private hasEnded = false;
  private readonly asked = new Map<number, WorkerRequest>();

  /** Throws if no process can be started. `script`: which it runs. */
  constructor(
    script: string,
    private readonly events: ProcessEvents,
  ) {
    this.child = spawn(process.execPath, [...PROCESS_OPTIONS, script], {
      // Not ours: Node would set a terminal, as it found it, and blocking writes for both, and who reads waited for its end.
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      serialization: 'advanced',
    });
    this.child.on('message', (message) => this.receive(message as ProcessMessage));
    this.child.on('error', () => this.end());
    // Not at its exit: what it has sent before comes first.
    this.child.on('close', (status, signal) =>
      ENDED_BY_OTHERS.includes(signal) ? this.end() : this.end(signal ?? `status ${status}`),
    );
  }

  /** Whether it can be asked for another translation. */
  get hasRoom(): boolean {
    return this.isReady && !this.hasEnded && this.asked.size < MOST_ASKED;
  }

  /** Throws if the request cannot be sent to anybody. */
  ask(request: WorkerRequest): void {
    // If this process cannot be sent it, it has ended, which is told in another way.
    this.child.send(request, () => undefined);
    this.asked.set(request.id, request);
  }

  private receive(message: ProcessMessage): void {
    if (this.hasEnded) return;
    if (message === 'ready') {
      this.isReady = true;
      this.events.ready();
      return;
    }
    const request = this.asked.get(message.id)!;
    this.asked.delete(message.id);
    this.events.answer(request, withModule(message));
  }

  /** `how` is told as the answer to what it was asked for; undefined: somebody else may answer. */
  private end(how?: string): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    // It may only have failed to be what it is for.
    this.child.kill('SIGKILL');
    const asked = [...this.asked.values()];
    this.asked.clear();
    // First of all: nobody asks this one for anything while the others are told.
    this.events.ended(how === undefined ? asked : []);
    if (how === undefined) return;
    const error = errorFacts(new Error(`the process that translates has ended: ${how}`));
    for (const request of asked)
      this.events.answer(request, {
        id: request.id,
        translation: undefined,
        module: undefined,
        spent: 0,
        error,
      });
  }
}

/** What the worker answers. */
function withModule({ machineCode, ...reply }: ProcessReply): WorkerReply {
  const { id, translation: sent, spent } = reply;
  if (!sent) return { ...reply, module: undefined };
  // What has come is a view of one buffer, all of which would go along when it is sent on.
  const translation = { ...sent, wasm: sent.wasm.slice() };
  try {
    const known = fromMachineCode(translation.wasm, machineCode);
    const module = known ?? new WebAssembly.Module(translation.wasm as BufferSource);
    return { id, spent, translation, module, compiledAnew: known === undefined };
  } catch (error) {
    return { id, spent, translation: undefined, module: undefined, error: errorFacts(error) };
  }
}

/**
 * The process that translates, as the worker that started it has it. Where there can be none, or it ends before it has loaded what
 * it needs, the worker translates itself.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { fromMachineCode } from './machine-code.js';
import type { ProcessMessage, ProcessReply, WorkerReply, WorkerRequest } from './translation-messages.js';
import { errorFacts } from './translator-bug.js';
import { LOOP_FLAGS } from './v8-flags.js';

/** Options of Node: flags as in the process that it translates for, and one module compiled at a time. */
export const PROCESS_OPTIONS: readonly string[] = [...LOOP_FLAGS, '--v8-pool-size=1'];
/** With so many asked for it has the next one when it has answered; what is asked for last may wait for no more. */
const MOST_ASKED = 2;

/** Who ends it by these means it; by any other end it may have come through what it was asked for. */
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
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
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
    return this.isReady && this.asked.size < MOST_ASKED;
  }

  ask(request: WorkerRequest): void {
    this.asked.set(request.id, request);
    // If it cannot be sent it has ended, which is told in another way.
    this.child.send(request, () => undefined);
  }

  private receive(message: ProcessMessage): void {
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
    if (how === undefined) return this.events.ended([...this.asked.values()]);
    const error = errorFacts(new Error(`the process that translates has ended: ${how}`));
    for (const [id, request] of this.asked)
      this.events.answer(request, { id, translation: undefined, module: undefined, spent: 0, error });
    this.events.ended([]);
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

/**
 * Two machines on the same guest in virtual time, with different engines: their states are compared at every exit of
 * the engines, console output and all of guest memory at multiples of `every` instructions. A store that is wrong shows
 * up there if not before; stores themselves are not recorded, which would cost the engines speed: their journal is made
 * for the place of a difference, when that is known (`runtime/store-journal.ts`).
 */
import type { EngineKind } from '../runtime/create-engine.js';
import type { Engine } from '../runtime/engine.js';
import '../runtime/offer-reference-engine.js';
import { ExitJournal, memoryIsSame, stateDifferences } from '../runtime/lockstep.js';
import { FileDisk, MemoryDisk, type Disk } from './disk.js';
import { Machine, type MachineExit } from './machine.js';
import type { DiskOption, MachineOptions } from './machine-options.js';
import { OverlayDisk } from './overlay-disk.js';

/** Guest instructions between two comparisons of memory. */
export const DEFAULT_EVERY = 10_000_000;

export interface CompareOptions {
  /** What both machines get; engine, clock and callbacks are ours. Disks are not changed. */
  readonly machine: MachineOptions;
  /** Console input, typed before the start. */
  readonly input?: string | Uint8Array;
  /** Who is right. Default `interp`. */
  readonly reference?: EngineKind;
  /** Who is on trial. Default `jit`. */
  readonly subject?: EngineKind;
  /** Guest instructions between two comparisons of memory; default `DEFAULT_EVERY`. */
  readonly every?: number;
  /** Instruction count up to which nothing is compared. */
  readonly from?: number;
  /** Instruction count to stop at. */
  readonly to?: number;
  /** What the guest prints, once, also where nothing is compared yet. */
  readonly onConsole?: (bytes: Uint8Array) => void;
  /** Called with every engine on trial before its first instruction: for tests that break it. */
  readonly onSubject?: (engine: Engine) => void;
}

/** One of the two machines. */
export class Side {
  readonly machine: Machine;
  readonly journal = new ExitJournal();
  /** Console output since the last comparison. */
  console: Uint8Array[] = [];
  halted = false;
  private current!: Engine;
  private base = 0;

  constructor(
    options: CompareOptions,
    readonly kind: EngineKind,
    onEngine?: (engine: Engine) => void,
  ) {
    this.machine = new Machine({
      ...options.machine,
      disks: (options.machine.disks ?? []).map(withoutChanges),
      clock: 'virtual',
      engine: kind,
      punctual: true,
      // The reference engine leaves for every trap: so must the one that is compared with it.
      directTraps: options.reference !== 'reference' && options.subject !== 'reference',
      onConsole: (bytes) => void this.console.push(bytes.slice()),
      onPowerOn: (engine) => {
        if ((this.current as Engine | undefined) !== undefined) this.base += this.current.instructions;
        this.current = engine;
        onEngine?.(engine);
        this.journal.attach(engine, this.base);
      },
    });
    if (options.input !== undefined) this.machine.write(options.input);
    this.machine.endInput();
  }

  get engine(): Engine {
    return this.current;
  }
  get count(): number {
    return this.machine.instructions;
  }
  /** Nothing more will happen. */
  get ended(): boolean {
    return this.halted || this.machine.exit !== undefined;
  }
  /** What was recorded is as if it had not happened. */
  forget(): void {
    this.journal.clear();
    this.console = [];
  }
  /** Runs to the instruction count, or to the end if that comes first. */
  runTo(count: number): void {
    if (!this.ended && count > this.count) this.halted = this.machine.runFor(count - this.count) === 'halted';
  }
  /** How it ended, in words. */
  get ending(): string {
    const exit = this.machine.exit;
    if (exit) return `${exit.reason}: ${exit.message}`;
    return this.halted ? 'asleep for ever' : 'running';
  }
}

/** A disk that reads as the option says and keeps changes to itself. */
function withoutChanges(option: DiskOption): Disk {
  if ('path' in option && !(option instanceof FileDisk))
    return new OverlayDisk(new FileDisk(option.path, true), option.readOnly ?? false);
  if ('data' in option && option.data instanceof Uint8Array && !(option instanceof MemoryDisk))
    return new OverlayDisk(new MemoryDisk(option.data, true), option.readOnly ?? false);
  const disk = option as Disk;
  return new OverlayDisk(disk, disk.readOnly);
}

/** What was seen to differ, before it is located. */
export interface Sighting {
  readonly what: 'exit' | 'state' | 'memory' | 'console' | 'end';
  /** All that can be compared was the same at instruction count `checked`, … */
  readonly checked: number;
  /** … the CPU at every exit up to `same`, and not when `different` is reached. */
  readonly same: number;
  readonly different: number;
}

export class Pair {
  readonly reference: Side;
  readonly subject: Side;

  constructor(private readonly options: CompareOptions) {
    this.reference = new Side(options, options.reference ?? 'interp');
    this.subject = new Side(options, options.subject ?? 'jit', options.onSubject);
  }

  get ended(): boolean {
    return this.reference.ended || this.subject.ended;
  }

  /** Runs both machines to the count. */
  runTo(count: number): void {
    this.reference.runTo(count);
    this.subject.runTo(count);
  }

  /** Forgets what was recorded so far; the console output of the reference is passed on. */
  forget(): void {
    const { reference, subject } = this;
    const output = Buffer.concat(reference.console);
    reference.forget();
    subject.forget();
    if (output.length > 0) this.options.onConsole?.(output);
  }

  /**
   * Whether all exits since `forget` are the same, and all that can be compared here and now. Both machines stand at
   * the same count if it is.
   */
  isSame(): boolean {
    const { reference: a, subject: b } = this;
    if (a.journal.firstDifference(b.journal) >= 0) return false;
    return (
      a.count === b.count && a.ending === b.ending && this.stateIsSame() && memoryIsSame(a.engine, b.engine)
    );
  }

  private stateIsSame(): boolean {
    return stateDifferences(this.reference.engine.cpu, this.subject.engine.cpu).length === 0;
  }

  /** Compares what happened since the last check, at count `last`, and where it led to. */
  check(last: number): Sighting | undefined {
    const { reference: a, subject: b } = this;
    const now = Math.max(a.count, b.count);
    const at = a.journal.firstDifference(b.journal);
    if (at >= 0) {
      const same = at === 0 ? last : a.journal.counts[at - 1]!;
      const exits = [a.journal, b.journal].map((j) => (at < j.length ? j.counts[at]! : now));
      // The instruction that left is part of the block, and counts only when it is done.
      return { what: 'exit', checked: last, same, different: Math.max(...exits) + 1 };
    }
    const outputs = [a, b].map((side) => Buffer.concat(side.console));
    this.forget();
    const sighting = (what: Sighting['what']): Sighting => ({
      what,
      checked: last,
      same: last,
      different: now,
    });
    if (a.count !== b.count || a.ending !== b.ending) return sighting('end');
    if (!this.stateIsSame()) return sighting('state');
    if (!memoryIsSame(a.engine, b.engine)) return sighting('memory');
    if (!outputs[0]!.equals(outputs[1]!)) return sighting('console');
    return undefined;
  }

  close(): void {
    this.reference.machine.close();
    this.subject.machine.close();
  }
}

/**
 * Runs both machines of a pair to `count`, cut at the multiples of `every` as in every other run. What happens on the way is
 * not to be compared, and is forgotten; what it left behind may be.
 */
export function runPair(pair: Pair, count: number, every: number): void {
  while (!pair.ended && pair.reference.count < count) {
    pair.runTo(Math.min(count, nextMultiple(pair.reference.count, every)));
    pair.forget();
  }
}

export function nextMultiple(count: number, every: number): number {
  return (Math.floor(count / every) + 1) * every;
}

export interface Comparison {
  /** Guest instructions that both machines executed. */
  readonly instructions: number;
  /** The first difference seen; undefined if there was none. */
  readonly sighting?: Sighting;
  /** How the reference ended, if it did. */
  readonly exit?: MachineExit;
  /** In words; also of a machine that sleeps for ever. */
  readonly ending: string;
  /** Engine counters of the machine on trial. */
  readonly counters: Readonly<Record<string, number>>;
}

/** Compares from `options.from` on, to the end of the guest, `options.to`, or the first difference. */
export function compare(options: CompareOptions): Comparison {
  const { every = DEFAULT_EVERY, from = 0, to = Infinity } = options;
  const pair = new Pair(options);
  try {
    const result = (sighting?: Sighting): Comparison => {
      const { exit } = pair.reference.machine;
      return {
        instructions: Math.min(pair.reference.count, pair.subject.count),
        ...(sighting && { sighting }),
        ...(exit && { exit }),
        ending: pair.reference.ending,
        counters: pair.subject.machine.stats.counters,
      };
    };
    runPair(pair, from, every);
    let last = from;
    let sighting = pair.check(last);
    while (sighting === undefined && !pair.ended && last < to) {
      const next = Math.min(to, nextMultiple(last, every));
      pair.runTo(next);
      sighting = pair.check(last);
      last = next;
    }
    return result(sighting);
  } finally {
    pair.close();
  }
}

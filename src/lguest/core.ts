/**
 * The Host: runs the guest, and does for it what the guest cannot do itself. Topics stand in files of their own; this
 * one has the loop that ties them together.
 */
import * as S from '../frontend-x86/cpu-state.js';
import { LEAVE } from '../frontend-x86/leave.js';
import type { CpuState } from '../runtime/cpu.js';
import { BadPageTable, type Engine, ROUGH_BUDGET, SERVED, type Served } from '../runtime/engine.js';
import { BadPhysicalAddress } from '../runtime/guest-memory.js';
import { hostMilliseconds } from '../runtime/host-time.js';
import type { GuestAbi } from './abi/abi.js';
import { detectAbi } from './abi/detect.js';
import { LINUX_3_10 } from './abi/linux-3.10.js';
import { TSC_KHZ, type Clock } from './clock.js';
import { hostCounters } from './counters.js';
import { cpuidPolicy, type CpuFeature } from './cpuid.js';
import { Deadlines } from './deadlines.js';
import { GuestDeath, hex } from './death.js';
import type { Ports } from './emulate.js';
import { Exits } from './exits.js';
import { Hypercalls } from './hypercalls.js';
import { buildInitialPageTables } from './initial-page-tables.js';
import { setInitialState } from './initial-state.js';
import { InterruptsAndTraps, IRQS, TIMER_IRQ, VECTOR_PF } from './interrupts-and-traps.js';
import { LguestData } from './lguest-data.js';
import { PageTables } from './page-tables.js';
import { Segments } from './segments.js';

export interface HostOptions {
  readonly engine: Engine;
  /** Control-memory address of GDT_BYTES bytes for the virtual GDT. */
  readonly gdtAddress: number;
  readonly clock: Clock;
  /** The guest's ABI if it is not to be detected. */
  readonly abi?: GuestAbi;
  /** Whether its page tables have three levels, if that is not to be detected. */
  readonly pae?: boolean;
  readonly cpuFeatures?: readonly CpuFeature[];
  /** A NOTIFY of guest-physical `address`. Returns true if a device took it, else it is early console output. */
  readonly onNotify?: (address: number) => boolean;
  /** Early console output; one character per byte. */
  readonly onEarlyConsole?: (text: string) => void;
  readonly ports?: Ports;
  /**
   * Whether the engine may enter the guest's handlers of system calls and page faults by itself, and have hypercalls
   * served inside its runs; default true. Without it every trap ends a run of the engine, as in the reference engine.
   */
  readonly directTraps?: boolean;
  readonly log?: (line: string) => void;
}

export type ShutdownKind = 'poweroff' | 'restart' | 'panic';

/** Why `Host.run` returned. The object is good until the next `run`. */
export type HostEvent =
  /** The instructions asked for were executed, or it is a good moment to look at the outside. */
  | { readonly kind: 'budget' }
  /** The guest sleeps until an interrupt; its own next one comes at `until` (nanoseconds of guest time). */
  | { readonly kind: 'halted'; readonly until: number | undefined }
  | { readonly kind: 'shutdown'; readonly what: ShutdownKind; readonly message: string }
  /** Somebody called `requestAttention`. */
  | { readonly kind: 'attention' };

const BUDGET_EVENT: HostEvent = { kind: 'budget' };
const ATTENTION_EVENT: HostEvent = { kind: 'attention' };

const SHUTDOWN_RESTART = 2;
/** What Linux says when it was told to switch off, and not before a panic. */
const POWER_OFF_MESSAGE = 'Power down';

/** Longest run of the engine; its contract allows 2^30. */
const LONGEST_RUN = 1 << 24;
/** Most hypercalls and traps served inside a run of the engine: some take as long as ten thousand instructions. */
const MOST_SERVED_INSIDE = 256;
/** In real time the clock is looked at after so many of them. */
const SERVED_BETWEEN_LOOKS = 16;
/** Traps and hypercalls in a row without a finished instruction, after which `run` returns all the same. */
const MOST_TURNS_WITHOUT_PROGRESS = 4096;

export class Host {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly segments: Segments;
  readonly pageTables: PageTables;
  readonly traps: InterruptsAndTraps;
  readonly hypercalls: Hypercalls;
  /** Timer and device completions. */
  readonly deadlines = new Deadlines();

  private readonly cpu: CpuState;
  private guestAbi: GuestAbi | undefined;
  private guestData: LguestData | undefined;
  private shutdown: HostEvent | undefined;
  private death: GuestDeath | undefined;
  private attention = false;
  /** Instruction count at which deadlines are to be looked at; recomputed when `deadlinesChanged`. */
  private lookAtClock = Infinity;
  private deadlinesChanged = true;
  /** Hypercalls and traps served inside the engine's run in progress, and the instruction count of the last one. */
  private servedInside = 0;
  private servedAt = -1;
  /** A device was told something: it may have taken its time. */
  private deviceWorked = false;
  private readonly exits: Exits;
  private readonly haltedEvent: { kind: 'halted'; until: number | undefined } = {
    kind: 'halted',
    until: undefined,
  };

  constructor(readonly options: HostOptions) {
    this.engine = options.engine;
    this.clock = options.clock;
    this.cpu = options.engine.cpu;
    this.guestAbi = options.abi;
    this.segments = new Segments(this.engine, options.gdtAddress);
    this.pageTables = new PageTables(this.engine, options.pae);
    this.traps = new InterruptsAndTraps(this.engine, this.segments, this.clock);
    this.hypercalls = new Hypercalls(this);
    this.exits = new Exits(this);
    this.engine.clock = (instructions) => this.clock.tsc(instructions);
    this.engine.cpuid = cpuidPolicy(options.cpuFeatures);
    if (options.directTraps !== false) this.engine.serve = (reason) => this.serveInside(reason);
  }

  /** The guest's ABI as far as it is known: it was said to have it, or LGUEST_INIT has told. */
  get knownAbi(): GuestAbi | undefined {
    return this.guestAbi;
  }

  /** The guest's ABI; before LGUEST_INIT the one it was said to have, or the reference row. */
  get abi(): GuestAbi {
    return this.guestAbi ?? LINUX_3_10;
  }

  /** The shared page. There is none before LGUEST_INIT. */
  get data(): LguestData {
    if (this.guestData === undefined) throw new Error('lguest_data is asked for before LGUEST_INIT');
    return this.guestData;
  }

  get isShutDown(): boolean {
    return this.shutdown !== undefined;
  }

  /**
   * The state a guest starts in: all registers 0, flat segments at level 1, virtual = physical, or the page tables that
   * its ABI (by option) wants, below an initrd of `initrdBytes` at the top of RAM.
   * @throws RangeError if there is no room for those.
   */
  start(entry: number, initrdBytes = 0): void {
    setInitialState(this.cpu, entry);
    this.engine.mmu.setLinear();
    const { start } = this.abi;
    if (start !== 'linear') {
      const { memory } = this.engine;
      const top = (memory.ramBytes - initrdBytes) & ~0xfff;
      const kernelToo = start === 'identity-and-kernel';
      this.pageTables.startWith(buildInitialPageTables(memory, top, kernelToo, this.options.pae === true));
    }
    this.segments.start();
  }

  /** Makes interrupt `irq` (1..31; 0 is the timer) pending. It is delivered by the next `run`. */
  raiseIrq(irq: number): void {
    if (!Number.isInteger(irq) || irq < 0 || irq >= IRQS)
      throw new RangeError(`there is no interrupt ${irq}`);
    this.traps.raise(irq);
  }

  /** Calls `action` when guest time reaches `time` nanoseconds: exactly there with the virtual clock. */
  schedule(time: number, action: () => void): void {
    this.deadlines.add(time, action);
    this.deadlinesChanged = true;
  }

  /** Takes back what `schedule` was asked for with this action. */
  cancel(action: () => void): void {
    this.deadlines.cancel(action);
    this.deadlinesChanged = true;
  }

  /** Guest time in nanoseconds since power-on. */
  now(): number {
    return this.clock.now(this.engine.instructions);
  }

  /** Makes a `run` in progress, or else the next one, return `attention` soon. */
  requestAttention(): void {
    this.attention = true;
    this.engine.requestAttention();
  }

  /**
   * Runs the guest for at most `maxInstructions`, and about `maxMilliseconds` of the host's time: a hypercall may make a
   * device move megabytes.
   * @throws GuestDeath when the guest cannot go on; every later call throws the same.
   */
  run(maxInstructions: number, maxMilliseconds = Infinity): HostEvent {
    if (this.death !== undefined) throw this.death;
    try {
      const stopAt = maxMilliseconds === Infinity ? Infinity : hostMilliseconds() + maxMilliseconds;
      return this.loop(this.engine.instructions + maxInstructions, stopAt);
    } catch (error) {
      if (error instanceof GuestDeath) {
        this.death = error;
      } else if (error instanceof BadPageTable || error instanceof BadPhysicalAddress) {
        this.death = new GuestDeath(error.message, this.cpu.eip);
      } else {
        throw error;
      }
      throw this.death;
    }
  }

  private loop(end: number, stopAt: number): HostEvent {
    const { engine, cpu, traps } = this;
    // While the guest slept or was not run, the host's time went on without instructions.
    const realtime = this.clock.kind === 'realtime';
    if (realtime) {
      this.deadlinesChanged = true;
      this.clock.resume(engine.instructions);
    }
    let turns = 0;
    let lastCount = -1;
    for (;;) {
      if (this.shutdown !== undefined) return this.shutdown;
      if (this.attention) {
        this.attention = false;
        return ATTENTION_EVENT;
      }
      const count = engine.instructions;
      if (this.deadlinesChanged || count >= this.lookAtClock) this.lookAtDeadlines(count);
      if (traps.lookNow || (traps.lookInterval !== 0 && count % traps.lookInterval === 0)) traps.look();
      if (traps.halted) {
        const until = this.deadlines.next;
        if (until !== Infinity && this.clock.skipTo(until, count)) {
          this.deadlinesChanged = true;
          if (++turns <= MOST_TURNS_WITHOUT_PROGRESS) continue;
          return BUDGET_EVENT;
        }
        this.haltedEvent.until = until === Infinity ? undefined : until;
        return this.haltedEvent;
      }
      if (count >= end) return BUDGET_EVENT;
      // What is left in the end of a stretch that is measured by the host's time is not worth a run, once there was one.
      const stretch = lastCount >= 0 && stopAt !== Infinity;
      if (stretch && ((realtime && end - count < ROUGH_BUDGET) || hostMilliseconds() >= stopAt))
        return BUDGET_EVENT;
      if (count !== lastCount) {
        lastCount = count;
        turns = 0;
      } else if (++turns > MOST_TURNS_WITHOUT_PROGRESS) {
        // A guest whose trap handler traps on its first instruction must not keep the host from other work.
        return BUDGET_EVENT;
      }
      const interval = traps.lookInterval;
      // Time is not counted in instructions. Looks at what is held back are: runs that may end early end between
      // regions, and a guest may let interrupts in only in the middle of one.
      engine.roughBudgets = realtime && interval === 0 && end - count >= ROUGH_BUDGET;
      // A run that ends roughly where the clock is to be looked at ends behind that.
      const slack = engine.roughBudgets ? ROUGH_BUDGET : 0;
      let budget = Math.min(end - count, this.lookAtClock + slack - count, LONGEST_RUN);
      if (interval !== 0) budget = Math.min(budget, interval - (count % interval));
      if (cpu.get(S.FLAGS_SYSTEM) & S.F_TF) {
        this.singleStep();
        continue;
      }
      if (this.options.directTraps !== false) traps.allowDirectTraps();
      this.servedInside = 0;
      const reason = engine.run(budget);
      this.exits.count(reason);
      // A run that ended early took as long as it took: an estimate of instructions is not good for it.
      if (realtime && engine.instructions < this.lookAtClock) this.lookIfDue(engine.instructions);
      if (reason === LEAVE.budget) continue;
      if (reason === LEAVE.attention) {
        this.attention = false;
        return ATTENTION_EVENT;
      }
      this.exits.serve(reason);
    }
  }

  /** One instruction with EFLAGS.TF set; the #DB comes after it unless it ended otherwise or shadows the next. */
  private singleStep(): void {
    const { engine, cpu } = this;
    const before = engine.instructions;
    const reason = engine.run(1);
    this.exits.count(reason);
    if (reason === LEAVE.budget || reason === LEAVE.attention) {
      if (reason === LEAVE.attention) this.attention = true;
      if (engine.instructions !== before && cpu.get(S.INTERRUPT_SHADOW) !== cpu.eip) {
        this.traps.deliverDebugTrap(true);
        this.traps.lookNow = true;
      }
      return;
    }
    this.exits.serve(reason);
  }

  /**
   * Serves hypercalls and page faults without an end of the engine's run, unless there is something to do for the loop
   * afterwards. No interrupt waits then, so that looking at them changes nothing.
   */
  private serveInside(reason: number): Served {
    const { engine, cpu, traps } = this;
    if (cpu.get(S.FLAGS_SYSTEM) & S.F_TF) return SERVED.no;
    const count = engine.instructions;
    if (reason !== LEAVE.int && reason !== LEAVE.vmcall) {
      if (reason !== LEAVE.fault || cpu.get(S.EXIT_DETAIL) !== VECTOR_PF) return SERVED.no;
    }
    // Traps without progress are counted by the loop: faults, and calls that are refused.
    if (count === this.servedAt) return SERVED.no;
    if (traps.waiting || this.servedInside >= MOST_SERVED_INSIDE) return SERVED.no;
    this.servedInside++;
    this.servedAt = count;
    this.deviceWorked = false;
    this.exits.serve(reason);
    if (this.clock.kind === 'realtime' && this.servedInside % SERVED_BETWEEN_LOOKS === 0)
      this.lookIfDue(engine.instructions);
    if (
      this.shutdown !== undefined ||
      this.attention ||
      this.deadlinesChanged ||
      this.deviceWorked ||
      traps.waiting ||
      traps.halted
    )
      return SERVED.end;
    traps.look();
    traps.allowDirectTraps();
    return SERVED.goOn;
  }

  private lookIfDue(count: number): void {
    const { next } = this.deadlines;
    if (next !== Infinity && this.clock.now(count) >= next) this.deadlinesChanged = true;
  }

  private lookAtDeadlines(count: number): void {
    const { deadlines, clock } = this;
    if (deadlines.next !== Infinity && deadlines.fire(clock.now(count))) this.traps.raise(TIMER_IRQ);
    this.deadlinesChanged = false;
    const { next } = deadlines;
    // What an action asked for at a time that is over comes after the next instruction.
    this.lookAtClock =
      next === Infinity ? Infinity : count + Math.max(1, clock.instructionsUntil(next, count));
  }

  // What hypercalls do to the Host as a whole.

  /** LGUEST_INIT: finds out which guest this is, takes its shared page and introduces the machine. */
  initialize(): GuestAbi {
    const { cpu, engine, options } = this;
    const detected = this.guestAbi ?? detectAbi(engine.memory, (register) => cpu.reg(register));
    const abi = detected ?? LINUX_3_10;
    const address = cpu.reg(abi.argumentRegisters[0]);
    if (!engine.memory.contains(address, abi.data.size)) {
      throw new GuestDeath(`lguest_data at ${hex(address)} is outside guest memory`, cpu.eip);
    }
    this.guestAbi = abi;
    const data = new LguestData(engine.memory, abi, address);
    this.guestData = data;
    this.traps.data = data;
    this.pageTables.setKernelAddress(data.kernelAddress);
    if (data.syscallVector < 32 || data.syscallVector > 255) {
      throw new GuestDeath(`bad system call vector ${hex(data.syscallVector)} in lguest_data`, cpu.eip);
    }
    data.introduce(abi.reserveMem[this.pageTables.isPae ? 1 : 0], TSC_KHZ, engine.mmu.root);
    this.traps.writeTime(data);
    const how =
      options.abi !== undefined ? 'as told' : detected ? 'by its lguest_data' : 'for want of a better match';
    options.log?.(`guest interface: Linux ${abi.name} (${how}), lguest_data at ${hex(address)}`);
    return abi;
  }

  /** NOTIFY. Returns true if a device took it. */
  notifyDevice(address: number): boolean {
    this.deviceWorked = true;
    return this.options.onNotify?.(address) === true;
  }

  /** SHUTDOWN. A panic comes as "power off" too: only the string tells. */
  shutDown(message: string, kind: number): void {
    const what =
      kind === SHUTDOWN_RESTART ? 'restart' : message.includes(POWER_OFF_MESSAGE) ? 'poweroff' : 'panic';
    this.shutdown = { kind: 'shutdown', what, message };
  }

  /** TS: virtual CR0.TS, so that the next floating point instruction raises #NM. */
  setTaskSwitched(on: boolean): void {
    this.cpu.set(S.CR0_TS, on ? 1 : 0);
  }

  /** SET_CLOCKEVENT: the timer's interrupt `delta` nanoseconds from now, 0 = never. */
  setClockEvent(delta: number): void {
    this.deadlines.timer = delta === 0 ? Infinity : this.now() + delta;
    this.deadlinesChanged = true;
  }

  /** Counters for `--stats`, by name; only what is not 0. */
  counters(): Record<string, number> {
    return { ...hostCounters(this), ...this.exits.counters() };
  }
}

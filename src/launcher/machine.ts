/**
 * `Machine`: an lguest guest as an object. The command line is one user of it; programs are others.
 *
 * With the realtime clock `run` shares the thread: it runs the guest for a millisecond or two at a time and sleeps in the
 * event loop while the guest is halted. With the virtual clock everything that reaches the guest does so at guest times,
 * so that equal machines with equal input behave equally, instruction by instruction.
 */
import { DEFAULT_ENGINE } from '../runtime/engine-kind.js';
import { RealtimeClock, VirtualClock, type Clock } from '../lguest/clock.js';
import type { HostEvent } from '../lguest/core.js';
import { GuestDeath, hex } from '../lguest/death.js';
import { prepareEngine } from '../runtime/prepare-engine.js';
import { hostMilliseconds } from '../runtime/host-time.js';
import { ConsoleInput } from './console-input.js';
import type { Device } from './device.js';
import { layoutDevices, type BusLayout } from './device-bus.js';
import type { Disk } from './disk.js';
import { EXIT_STATUS } from './errors.js';
import {
  LONGEST_SLICE_MILLISECONDS,
  nextTurn,
  REPEATABLE_SLICE,
  Sleeper,
  SliceLength,
} from './event-loop.js';
import { epochOf, type MachineOptions, openDisk, readLoad, symbolSource } from './machine-options.js';
import { asGuestDeath, planBoot, powerOn, type Load, type PoweredMachine } from './power-on.js';
import { addCounters, totals, type MachineStats } from './stats.js';
import type { SymbolTable } from './symbols.js';
import { translationFile, TranslationKeeper } from './translation-cache.js';
import { BlockDevice } from './virtio-block.js';
import { ConsoleDevice } from './virtio-console.js';
import { RngDevice, hostRandom, seededRandom } from './virtio-rng.js';

/** How a machine ended. */
export interface MachineExit {
  reason: 'poweroff' | 'panic' | 'death' | 'stopped';
  /** What the guest said, or what killed it: one line. */
  message: string;
  /** 0 for a power-off and a stop, 3 for a panic or death. */
  status: number;
}

export type RunForResult =
  /** The instructions were executed. */
  | 'budget'
  /** The guest sleeps; only time or input can wake it. */
  | 'halted'
  /** The machine has ended: see `exit`. */
  | 'exit';

/** Virtual clock: how often waiting input is offered, in nanoseconds of guest time. */
const INPUT_INTERVAL = 10_000_000;
/** Input by lines: a guest that never halts gets a line this often, in milliseconds. */
const BUSY_INPUT_MILLISECONDS = 1000;
/** Virtual clock: a guest that never halts gets its input after so many offers. */
const OFFERS_TO_A_BUSY_GUEST = 100;

export class Machine {
  /** How the machine ended; undefined while it has not. */
  exit: MachineExit | undefined;

  private readonly load: Load;
  /** Where translations are kept. */
  private readonly store: string | undefined;
  private readonly symbolSource: () => SymbolTable;
  private kernelSymbols: SymbolTable | undefined;
  private readonly layout: BusLayout;
  private readonly disks: Disk[];
  private readonly blocks: BlockDevice[];
  private readonly console: ConsoleDevice;
  private readonly input = new ConsoleInput();
  private readonly sleeper = new Sleeper();
  private powered: PoweredMachine;
  private clock: Clock;
  private inputEnded = false;
  private inputWasFull = false;
  /** Input came since the guest last had the chance to take some. */
  private inputIsNew = false;
  /** When a line was last given, in host milliseconds. */
  private lineTime = hostMilliseconds();
  private stopRequested: string | undefined;
  private outputBusy: Promise<void> | undefined;
  private running = false;
  private offerPending = false;
  private offersRefused = 0;
  private busyMilliseconds = 0;
  private restarts = 0;
  private earlierInstructions = 0;
  private readonly earlierCounters: Record<string, number> = {};
  /** Wall clock at power-on and host time then, so that a restart goes on from there. */
  private readonly firstEpoch: number;
  private virtualElapsed = 0;
  private readonly switchedOn = hostMilliseconds();
  private readonly keeper: TranslationKeeper;

  /** Reads and checks everything; no instruction is executed yet. Throws `UserError`. */
  constructor(private readonly options: MachineOptions = {}) {
    prepareEngine(options.engine ?? DEFAULT_ENGINE);
    const { load, kernelFile } = readLoad(options);
    this.load = load;
    this.keeper = new TranslationKeeper(options.log);
    const { cacheDirectory } = options;
    if (cacheDirectory !== undefined) this.store = translationFile(cacheDirectory, kernelFile, load.ramBytes);
    this.symbolSource = symbolSource(options.symbols, kernelFile);
    planBoot(this.load);
    this.firstEpoch = epochOf(options);
    const seed = options.seed ?? (options.clock === 'virtual' ? 0 : undefined);
    this.disks = [];
    try {
      for (const disk of options.disks ?? []) this.disks.push(openDisk(disk));
      this.blocks = this.disks.map((disk, i) => new BlockDevice(`block${i}`, disk));
      this.console = new ConsoleDevice((bytes) => this.print(bytes));
      const devices: Device[] = [...this.blocks];
      if (options.rng) devices.push(new RngDevice(seed === undefined ? hostRandom : seededRandom(seed)));
      // As with lguest's Launcher, the console comes last.
      devices.push(this.console);
      this.layout = layoutDevices(devices, this.load.ramBytes);
      this.clock = this.makeClock();
      this.powered = this.powerOn();
    } catch (error) {
      for (const disk of this.disks) disk.close();
      throw error;
    }
  }

  /** Guest instructions executed since power-on, restarts included. */
  get instructions(): number {
    return this.earlierInstructions + this.powered.engine.instructions;
  }

  /** eip of the next guest instruction. */
  get eip(): number {
    return this.powered.engine.cpu.eip;
  }

  /** Names of places in the kernel. */
  get symbols(): SymbolTable {
    return (this.kernelSymbols ??= this.symbolSource());
  }

  /** Counters so far. */
  get stats(): MachineStats {
    const counters = { ...this.earlierCounters };
    addCounters(counters, this.sessionCounters());
    this.blocks.forEach(({ name, counters: c }) => {
      const rows = { reads: c.reads, writes: c.writes, flushes: c.flushes, errors: c.errors };
      for (const [what, value] of Object.entries(rows)) if (value) counters[`${name} ${what}`] = value;
      if (c.bytesRead) counters[`${name} bytes read`] = c.bytesRead;
      if (c.bytesWritten) counters[`${name} bytes written`] = c.bytesWritten;
    });
    const { instructions, busyMilliseconds, restarts } = this;
    const mips = busyMilliseconds > 0 ? instructions / busyMilliseconds / 1000 : 0;
    const engine = this.options.engine ?? DEFAULT_ENGINE;
    return { engine, instructions, busyMilliseconds, mips, restarts, counters };
  }

  /**
   * Types on the console. Returns false if so much is waiting that the writer should pause until `onInputRoom`.
   * With the virtual clock, what is written before `run` reaches the guest at repeatable times: a line at a time, when
   * the guest sleeps.
   */
  write(bytes: Uint8Array | string): boolean {
    const more = this.input.push(typeof bytes === 'string' ? Buffer.from(bytes, 'utf8') : bytes);
    if (!more) this.inputWasFull = true;
    this.inputIsNew = true;
    this.offerLater();
    this.sleeper.wake();
    return more;
  }

  /** No more input will come: a guest that only input could wake ends. */
  endInput(): void {
    this.inputEnded = true;
    this.sleeper.wake();
  }

  /** Ends `run` soon; the machine is switched off. `message` becomes that of `exit`. */
  stop(message = 'stopped'): void {
    this.stopRequested ??= message;
    this.powered.host.requestAttention();
    this.sleeper.wake();
  }

  /**
   * Runs until the guest ends or `stop` is called. Rejects only for bugs of ours. Disks are flushed and closed
   * whatever happens.
   */
  async run(): Promise<MachineExit> {
    if (this.running) throw new Error('the machine is running already');
    this.running = true;
    // Translations come between slices.
    const measured = this.options.punctual ? undefined : new SliceLength();
    try {
      while (!this.exit) {
        const left = this.instructionsLeft();
        const slice = measured?.instructions ?? REPEATABLE_SLICE;
        const event = this.turn(Math.min(slice, left), measured);
        if (this.outputBusy) await this.waitForOutput();
        if (this.exit) break;
        if (event?.kind === 'halted') await this.sleep(event.until);
        else await nextTurn();
      }
    } finally {
      this.running = false;
      this.closeDisks();
    }
    this.keeper.atEnd(this.powered.engine);
    return this.exit!;
  }

  /**
   * Runs at most `instructions` guest instructions at once, without the event loop: for tests, traces and comparisons.
   * The disks stay open until `close`.
   */
  runFor(instructions: number): RunForResult {
    const end = this.instructions + instructions;
    for (;;) {
      const left = end - this.instructions;
      if (left <= 0) return this.exit ? 'exit' : 'budget';
      const event = this.turn(left);
      if (this.exit) return 'exit';
      if (event?.kind === 'halted') return 'halted';
    }
  }

  /** Flushes and closes the disks, and keeps translations. `run` does it by itself. */
  close(): void {
    this.closeDisks();
    this.keeper.atEnd(this.powered.engine);
  }

  /** Until `stopAt`; the machine is told to stop when it is there. */
  private instructionsLeft(): number {
    const { stopAt = Infinity } = this.options;
    if (this.instructions >= stopAt) this.stop(`stopped after ${this.instructions} instructions`);
    return Math.max(1, stopAt - this.instructions);
  }

  /** One stretch of guest execution; what it ended with; undefined if the machine ended, restarted or got input. */
  private turn(budget: number, measured?: SliceLength): HostEvent | undefined {
    if (this.exit) return undefined;
    if (this.stopRequested !== undefined) return this.end('stopped', this.stopRequested, EXIT_STATUS.clean);
    const { host, engine } = this.powered;
    const began = hostMilliseconds();
    const before = engine.instructions;
    try {
      if (this.clock.kind === 'realtime') this.deliverInput();
      else this.inputIsNew = false;
      const event = host.run(budget, measured && LONGEST_SLICE_MILLISECONDS);
      if (event.kind === 'shutdown') return this.shutdown(event.what, event.message);
      // A guest that went to sleep may have made room for input since.
      return event.kind === 'halted' && this.give() ? undefined : event;
    } catch (error) {
      if (error instanceof GuestDeath) return this.die(error.eip, error.reason);
      this.keeper.failed = true;
      throw error;
    } finally {
      const elapsed = hostMilliseconds() - began;
      this.busyMilliseconds += elapsed;
      measured?.measure(engine.instructions - before, elapsed);
    }
  }

  private shutdown(what: 'poweroff' | 'restart' | 'panic', message: string): undefined {
    if (what === 'poweroff') return this.end('poweroff', message, EXIT_STATUS.clean);
    if (what === 'panic') return this.end('panic', message, EXIT_STATUS.guestDeath);
    this.restart();
    return undefined;
  }

  private die(eip: number, reason: string): undefined {
    const name = this.symbols.nameOf(eip >>> 0);
    const where = name === undefined ? hex(eip) : `${hex(eip)} (${name})`;
    return this.end('death', `guest died at eip ${where}: ${reason}`, EXIT_STATUS.guestDeath);
  }

  private end(reason: MachineExit['reason'], message: string, status: number): undefined {
    this.exit = { reason, message: oneLine(message), status };
    return undefined;
  }

  /** SHUTDOWN_RESTART: everything is made anew but the disks, their contents and input that was not delivered. */
  private restart(): void {
    const { engine, host } = this.powered;
    this.keeper.atRestart(engine);
    addCounters(this.earlierCounters, totals(this.sessionCounters()));
    this.earlierInstructions += engine.instructions;
    this.virtualElapsed += host.now() / 1e6;
    this.restarts++;
    for (const disk of this.disks) disk.flush();
    this.options.onRestart?.();
    this.clock = this.makeClock();
    this.powered = this.powerOn();
    this.offerPending = false;
    this.offerLater();
  }

  private powerOn(): PoweredMachine {
    const powered = powerOn({
      load: this.load,
      layout: this.layout,
      engine: {
        kind: this.options.engine ?? DEFAULT_ENGINE,
        punctual: this.options.punctual ?? false,
        store: this.store,
        watchRegions: this.options.watchRegions ?? false,
        symbolOf: (eip) => this.symbols.nameOf(eip),
      },
      directTraps: this.options.directTraps ?? true,
      clock: this.clock,
      onEarlyConsole: (text) => this.print(Buffer.from(text, 'latin1')),
      log: this.options.log,
    });
    this.options.onPowerOn?.(powered.engine);
    return powered;
  }

  private makeClock(): Clock {
    if (this.options.clock === 'virtual') return new VirtualClock(this.firstEpoch + this.virtualElapsed);
    return new RealtimeClock(this.firstEpoch + (hostMilliseconds() - this.switchedOn));
  }

  private print(bytes: Uint8Array): void {
    const busy = this.options.onConsole?.(bytes);
    if (!(busy instanceof Promise)) return;
    this.outputBusy = busy;
    // Before the guest prints more: what is not taken has to be kept.
    this.powered.host.requestAttention();
  }

  /** A slow reader of the output holds the guest, and nobody else; a stop request does not wait for it. */
  private async waitForOutput(): Promise<void> {
    let done = false;
    const finished = this.outputBusy!.finally(() => {
      done = true;
      this.sleeper.wake();
    });
    this.outputBusy = undefined;
    // Rejections are those of the program that uses us: they end `run` below.
    finished.catch(() => undefined);
    while (!done && this.stopRequested === undefined) await this.sleeper.sleep(Infinity);
    if (done) await finished;
  }

  /** Realtime, guest awake. By lines it gets its input when it sleeps, unless it never does. */
  private deliverInput(): void {
    this.inputIsNew = false;
    if (this.options.inputByLines && hostMilliseconds() - this.lineTime < BUSY_INPUT_MILLISECONDS) return;
    this.give();
  }

  /** Realtime: gives what waits, or a line of it. Returns true if the guest took something. */
  private give(): boolean {
    if (this.clock.kind !== 'realtime' || this.input.isEmpty) return false;
    this.lineTime = hostMilliseconds();
    const given = asGuestDeath(this.powered.engine, () =>
      this.options.inputByLines ? this.input.deliverLine(this.console) : this.input.deliver(this.console),
    );
    this.tellRoom();
    return given > 0;
  }

  private tellRoom(): void {
    if (!this.inputWasFull || !this.input.hasRoom) return;
    this.inputWasFull = false;
    this.options.onInputRoom?.();
  }

  /** Virtual clock: input is offered at fixed guest times. */
  private offerLater(): void {
    if (this.clock.kind !== 'virtual' || this.offerPending || this.input.isEmpty) return;
    this.offerPending = true;
    const { host } = this.powered;
    host.schedule((Math.floor(host.now() / INPUT_INTERVAL) + 1) * INPUT_INTERVAL, this.offer);
  }

  private readonly offer = (): void => {
    this.offerPending = false;
    const { host, engine } = this.powered;
    if (host.traps.halted || ++this.offersRefused >= OFFERS_TO_A_BUSY_GUEST) {
      this.offersRefused = 0;
      asGuestDeath(engine, () => this.input.deliverLine(this.console));
      this.tellRoom();
    }
    this.offerLater();
  };

  /** The guest is halted until guest time `until`, an interrupt, or for ever. */
  private async sleep(until: number | undefined): Promise<void> {
    // What happened while the output was waited for has woken nobody.
    if (this.stopRequested !== undefined || this.inputIsNew) return;
    if (until !== undefined) {
      const milliseconds = (until - this.powered.host.now()) / 1e6;
      await this.sleeper.sleep(milliseconds);
    } else if (this.inputEnded || this.inputWasFull) {
      // What waits was offered as it went to sleep.
      const why = this.input.isEmpty ? 'there is no more input' : 'it does not take its input';
      this.die(this.eip, `it sleeps with no timer set, ${why}, and nothing can wake it`);
    } else {
      await this.sleeper.sleep(Infinity);
    }
  }

  private sessionCounters(): Record<string, number> {
    const counters: Record<string, number> = { ...this.powered.engine.counters() };
    addCounters(counters, this.powered.host.counters());
    return counters;
  }

  private closeDisks(): void {
    for (const disk of this.disks) {
      disk.flush();
      disk.close();
    }
  }
}

/** Without control characters and line ends. */
export function oneLine(message: string): string {
  // eslint-disable-next-line no-control-regex -- a guest's last words must not drive the user's terminal
  return message.replace(/[\x00-\x1f\x7f-\x9f]+/g, ' ').trim();
}

/** A machine for hostile guests, whose engine is used again and again. */
import * as S from '../../src/frontend-x86/cpu-state.js';
import { GDT } from '../../src/backend-wasm/memory-layout.js';
import { DEFAULT_VIRTUAL_EPOCH_MS, VirtualClock } from '../../src/lguest/clock.js';
import { Host } from '../../src/lguest/core.js';
import { GuestDeath } from '../../src/lguest/death.js';
import { DeviceBus, layoutDevices, type BusLayout } from '../../src/launcher/device-bus.js';
import { MemoryDisk } from '../../src/launcher/disk.js';
import { asGuestDeath } from '../../src/launcher/power-on.js';
import { BlockDevice } from '../../src/launcher/virtio-block.js';
import { ConsoleDevice } from '../../src/launcher/virtio-console.js';
import { RngDevice, seededRandom } from '../../src/launcher/virtio-rng.js';
import { createEngine, type EngineKind } from '../../src/runtime/create-engine.js';
import '../../src/runtime/offer-reference-engine.js';
import type { Engine } from '../../src/runtime/engine.js';
import { InterpreterEngine } from '../../src/runtime/interpreter-engine.js';
import { RAM_BYTES, type HostileGuest } from './guest.js';

const DISK_BYTES = 64 * 1024;

function devicesOf(print: (bytes: Uint8Array) => void): { layout: BusLayout; console: ConsoleDevice } {
  const console = new ConsoleDevice(print);
  const disk = new MemoryDisk(new Uint8Array(DISK_BYTES), false);
  const devices = [new BlockDevice('block0', disk), new RngDevice(seededRandom(1)), console];
  return { layout: layoutDevices(devices, RAM_BYTES), console };
}

/** Addresses that a NOTIFY may name: rings and descriptors. */
export function deviceAddresses(): number[] {
  const { layout } = devicesOf(() => undefined);
  return [...layout.queues.map((q) => q.address), ...layout.devices.map((d) => RAM_BYTES + d.offset)];
}

/** How a stretch ended: compared between engines as it stands. */
export type Stop = string;

export class FuzzMachine {
  readonly engine: Engine;
  /** FNV hash of what the guest printed. */
  printed = 0;
  private host!: Host;
  private readonly pages: number;

  constructor(readonly kind: EngineKind) {
    this.pages = devicesOf(() => undefined).layout.pages;
    this.engine = createEngine({ ramBytes: RAM_BYTES, devicePages: this.pages, kind });
  }

  private print(bytes: Uint8Array): void {
    for (const b of bytes) this.printed = Math.imul(this.printed ^ b, 0x01000193);
  }

  load(guest: HostileGuest): void {
    const { engine } = this;
    const { memory } = engine;
    memory.write(0, guest.ram);
    memory.write(RAM_BYTES, new Uint8Array(this.pages * 4096));
    engine.instructions = 0;
    engine.mmu.flushAll();
    this.printed = 0;
    const { layout, console } = devicesOf((bytes) => this.print(bytes));
    let bus: DeviceBus | undefined;
    this.host = new Host({
      engine,
      gdtAddress: GDT,
      clock: new VirtualClock(DEFAULT_VIRTUAL_EPOCH_MS),
      pae: guest.pae,
      onNotify: (address) => asGuestDeath(engine, () => bus!.notify(address)),
      onEarlyConsole: (text) => this.print(Buffer.from(text, 'latin1')),
    });
    bus = new DeviceBus(layout, { memory, raiseIrq: (irq) => this.host.raiseIrq(irq) });
    this.host.start(guest.entry);
    this.input = (bytes) => asGuestDeath(engine, () => console.input(bytes));
  }

  private input: (bytes: Uint8Array) => number = () => 0;

  /** Raises an interrupt; may say how the guest died. */
  poke(irq: number, typed: boolean): Stop | undefined {
    try {
      if (typed) this.input(Uint8Array.of(0x41, 0x42));
      else this.host.raiseIrq(irq);
      return undefined;
    } catch (error) {
      if (error instanceof GuestDeath) return error.message;
      throw error;
    }
  }

  /** Runs to an instruction count, at most `slice` at a time. */
  runTo(count: number, slice: number): Stop {
    const { engine } = this;
    let stuck = 0;
    try {
      while (engine.instructions < count) {
        const before = engine.instructions;
        const event = this.host.run(Math.min(slice, count - before));
        if (event.kind === 'shutdown') return `shutdown ${event.what} ${event.message}`;
        if (event.kind === 'halted') return `halted until ${event.until}`;
        // A handler that traps on its first instruction.
        if (engine.instructions === before && ++stuck === 3) return 'stuck';
      }
      return 'budget';
    } catch (error) {
      if (error instanceof GuestDeath) return error.message;
      throw error;
    }
  }

  /** The first difference of guest-visible state from another machine, if any. */
  differs(other: FuzzMachine): string | undefined {
    const [a, b] = [this.engine.cpu, other.engine.cpu];
    if (this.engine.instructions !== other.engine.instructions)
      return `count ${this.engine.instructions} / ${other.engine.instructions}`;
    if (a.eflags !== b.eflags) return `eflags ${a.eflags.toString(16)} / ${b.eflags.toString(16)}`;
    // Behind them are the counters of what an engine performs by itself.
    for (let slot = 0; slot < S.DIRECT_CALLS; slot += 4) {
      if (NOT_STATE.has(slot) || (slot >= S.FPU_SCRATCH && slot < S.XMM)) continue;
      if (a.get(slot) !== b.get(slot))
        return `slot ${slot}: ${a.get(slot).toString(16)} / ${b.get(slot).toString(16)}`;
    }
    if (this.printed !== other.printed) return 'console output';
    const limit = this.engine.memory.limitBytes;
    const [p, q] = [this.engine.memory.view(0, limit), other.engine.memory.view(0, limit)];
    if (Buffer.compare(p, q) === 0) return undefined;
    const at = p.findIndex((byte, i) => byte !== q[i]);
    return `memory at ${at.toString(16)}: ${p[at]!.toString(16)} / ${q[at]!.toString(16)}`;
  }

  get decodedBlocks(): number {
    return this.engine instanceof InterpreterEngine ? this.engine.code.decoded.blocks : 0;
  }
}

/**
 * What the Host says of direct traps before a run, and after a call that it served inside one: but for the stack not the
 * guest's state, and one engine may have been told more of late.
 */
const DIRECT_TRAP_SLOTS = Array.from(
  { length: (S.DIRECT_CR2_ADDRESS - S.DIRECT_TRAPS) / 4 + 1 },
  (_, i) => S.DIRECT_TRAPS + 4 * i,
).filter((slot) => slot !== S.DIRECT_ESP);

/** Slots whose values are not the guest's: besides, lazily kept flags (compared as EFLAGS), and how a run ended. */
const NOT_STATE: ReadonlySet<number> = new Set([
  ...DIRECT_TRAP_SLOTS,
  S.FLAG_RESULT,
  S.FLAG_AUX,
  S.FAULT_ADDRESS,
  S.EXIT_REASON,
  S.EXIT_DETAIL,
  S.EXIT_ERROR,
  S.EXIT_NEXT,
]);

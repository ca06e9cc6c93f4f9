/** An engine that executes no code but a script: real memory, MMU and CPU state for tests of the Host. */
import * as S from '../../frontend-x86/cpu-state.js';
import { LEAVE } from '../../frontend-x86/leave.js';
import { GDT } from '../../backend-wasm/memory-layout.js';
import { CpuState } from '../../runtime/cpu.js';
import { type Engine, SERVED } from '../../runtime/engine.js';
import type { GuestMemory } from '../../runtime/guest-memory.js';
import { MachineMemory } from '../../runtime/machine-memory.js';
import { GuestMmu } from '../../runtime/mmu.js';
import type { GuestAbi } from '../abi/abi.js';
import { LINUX_3_10 } from '../abi/linux-3.10.js';
import { VirtualClock, type Clock } from '../clock.js';
import { Host, type HostOptions } from '../core.js';

/** One run of the engine: changes the CPU, counts instructions, returns a LEAVE reason. */
type Step = (budget: number) => number;

export class ScriptedEngine implements Engine {
  readonly memory: MachineMemory;
  readonly cpu: CpuState;
  readonly mmu: GuestMmu;
  instructions = 0;
  clock: Engine['clock'] = BigInt;
  cpuid: Engine['cpuid'] = () => [0, 0, 0, 0];
  segmentChanges = 0;
  attentionRequested = false;
  /** Budgets of the runs so far. */
  readonly budgets: number[] = [];
  /** What the next runs do; when it is used up, a run executes its whole budget. */
  readonly script: Step[] = [];

  constructor(ramBytes = 1 << 22) {
    this.memory = new MachineMemory(ramBytes, 16);
    this.cpu = new CpuState(this.memory.data);
    this.mmu = new GuestMmu(this.memory, this.cpu);
  }

  run(budget: number): number {
    this.budgets.push(budget);
    if (this.attentionRequested) {
      this.attentionRequested = false;
      return LEAVE.attention;
    }
    const step = this.script.shift();
    if (step !== undefined) return step(budget);
    this.instructions += budget;
    return LEAVE.budget;
  }

  requestAttention(): void {
    this.attentionRequested = true;
  }
  roughBudgets = false;
  serve: Engine['serve'] = () => SERVED.no;
  directTraps(): { systemCalls: number; pageFaults: number } {
    return { systemCalls: 0, pageFaults: 0 };
  }
  counters(): Record<string, number> {
    return {};
  }
  segmentsChanged(): void {
    this.segmentChanges++;
  }

  private exit(reason: number, detail: number, error: number, length: number): number {
    this.cpu.set(S.EXIT_DETAIL, detail);
    this.cpu.set(S.EXIT_ERROR, error);
    this.cpu.set(S.EXIT_NEXT, this.cpu.eip + length);
    return reason;
  }

  // Additions to the script.

  /** `count` instructions, in as many runs as the budgets make it. */
  execute(count: number, then: () => void = () => undefined): this {
    let left = count;
    const step: Step = (budget) => {
      const now = Math.min(left, budget);
      left -= now;
      this.instructions += now;
      if (left > 0) this.script.unshift(step);
      else then();
      return LEAVE.budget;
    };
    this.script.push(step);
    return this;
  }
  int(vector: number, prepare: () => void = () => undefined): this {
    this.script.push(() => {
      prepare();
      return this.exit(LEAVE.int, vector, 0, 2);
    });
    return this;
  }
  leave(reason: number, detail: number): this {
    this.script.push(() => this.exit(reason, detail, 0, 3));
    return this;
  }
  fault(vector: number, error: number, address = 0): this {
    this.script.push(() => {
      this.cpu.set(S.FAULT_ADDRESS, address);
      return this.exit(LEAVE.fault, vector, error, 0);
    });
    return this;
  }
  /** `int $0x1f` with the registers of the 3.10 convention. */
  hypercall(number: number, a1 = 0, a2 = 0, a3 = 0, a4 = 0): this {
    return this.int(0x1f, () => {
      this.cpu.setReg(0, number);
      this.cpu.setReg(3, a1);
      this.cpu.setReg(1, a2);
      this.cpu.setReg(2, a3);
      this.cpu.setReg(6, a4);
    });
  }
}

/** Where the test guest keeps things, guest-physical; below, handler addresses by vector. */
export const DATA = 0x20000;
export const STACK_TOP = 0x31000;
export const ENTRY = 0x100000;
export const NOIRQ = 0x104000;
export const handlerOf = (vector: number): number => 0x110000 + 16 * vector;

export interface Fixture {
  readonly engine: ScriptedEngine;
  readonly host: Host;
  /** A field of lguest_data of the 3.10 layout. */
  field(offset: number): number;
  setField(offset: number, value: number): void;
  /** Dwords of the stack from esp on (linear mode). */
  stack(count: number): number[];
}

/** Fills lguest_data as a guest of `abi` has it at boot. */
export function fillLguestData(memory: GuestMemory, abi: GuestAbi, address: number): void {
  const layout = abi.data;
  memory.write(address, new Uint8Array(layout.size));
  memory.write(address + layout.hcallStatus, new Uint8Array(64).fill(0xff));
  memory.write32(address + layout.blockedInterrupts, 1);
  if (layout.noirqStart >= 0) {
    memory.write32(address + layout.noirqStart, NOIRQ);
    memory.write32(address + layout.noirqEnd, NOIRQ + 8);
  }
  if (layout.noirqIret >= 0) memory.write32(address + layout.noirqIret, NOIRQ);
  memory.write32(address + layout.kernelAddress, 0xc0000000);
  memory.write32(address + layout.syscallVec, 0x80);
}

/** A Host over a scripted engine, before LGUEST_INIT. */
export function bareFixture(options: Partial<HostOptions> = {}, abi = LINUX_3_10): Fixture {
  const engine = new ScriptedEngine();
  const clock: Clock = options.clock ?? new VirtualClock(0);
  const host = new Host({ engine, gdtAddress: GDT, ...options, clock });
  host.start(ENTRY);
  fillLguestData(engine.memory, abi, DATA);
  return {
    engine,
    host,
    field: (offset) => engine.memory.read32(DATA + offset),
    setField: (offset, value) => engine.memory.write32(DATA + offset, value),
    stack: (count) =>
      Array.from({ length: count }, (_, i) => engine.memory.read32(engine.cpu.get(S.ESP) + 4 * i)),
  };
}

/** Likewise, initialised, with gates for exceptions, irqs and 0x80, a kernel stack, and interrupts on and unmasked. */
export function fixture(options: Partial<HostOptions> = {}): Fixture {
  const f = bareFixture(options);
  const { engine, host } = f;
  engine.hypercall(1, DATA);
  engine.hypercall(7, 0x69, STACK_TOP, 1);
  for (let vector = 0; vector < 48; vector++)
    setGate(engine, vector, 0xe, vector === 3 || vector === 4 ? 3 : 0);
  setGate(engine, 0x80, 0xf, 3);
  const calls = engine.script.length;
  host.run(calls);
  engine.cpu.eip = ENTRY;
  engine.cpu.set(S.ESP, STACK_TOP - 0x100);
  f.setField(LINUX_3_10.data.irqEnabled, 0x200);
  f.setField(LINUX_3_10.data.blockedInterrupts, 0);
  engine.budgets.length = 0;
  return f;
}

function setGate(engine: ScriptedEngine, vector: number, type: number, level: number): void {
  const handler = handlerOf(vector);
  const low = 0x00600000 | (handler & 0xffff);
  const high = ((handler & 0xffff0000) | 0x8000 | (level << 13) | (type << 8)) >>> 0;
  engine.hypercall(6, vector, low, high);
}

/** Puts the CPU into ring 3 with a user stack. */
export function enterUser(engine: ScriptedEngine, eip: number, esp: number): void {
  const { cpu } = engine;
  cpu.set(S.CPL, 3);
  cpu.set(S.SELECTOR + 4 * S.CS, 0x73);
  cpu.set(S.SELECTOR + 4 * S.SS, 0x7b);
  cpu.eip = eip;
  cpu.set(S.ESP, esp);
}

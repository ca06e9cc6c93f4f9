/**
 * Journals of stores, made when they are wanted: engines do not record what they store, which would cost them speed.
 * The stores of a stretch of code are had by evaluating it once more on a copy of the machine; those of the Host and the
 * devices, which all go through `GuestMemory`, by listening.
 */
import * as S from '../frontend-x86/cpu-state.js';
import { LEAVE } from '../frontend-x86/leave.js';
import { GDT } from '../backend-wasm/memory-layout.js';
import type { Engine } from './engine.js';
import { ReferenceEngine } from './reference-engine.js';

export interface StoreRecord {
  /** Instructions executed before the one that stores; of the Host's stores: before the Host ran. */
  readonly count: number;
  /** Guest-physical address of the first byte. */
  readonly physical: number;
  readonly bytes: Uint8Array;
}

export interface CodeStore extends StoreRecord {
  /** Of the instruction. */
  readonly eip: number;
  /** Linear address of the first byte. */
  readonly linear: number;
}

const GDT_BYTES = 32 * 8;

class Recorder extends ReferenceEngine {
  readonly stores: CodeStore[] = [];

  override store(address: number, bytes: 1 | 2 | 4, value: number): void {
    super.store(address, bytes, value);
    this.record(address, bytes, BigInt(value));
  }
  override store64(address: number, value: bigint): void {
    super.store64(address, value);
    this.record(address, 8, value);
  }
  private record(address: number, length: number, value: bigint): void {
    const linear = address >>> 0;
    const bytes = Uint8Array.from({ length }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
    const physical = this.mmu.translate(linear, true, this.cpu.get(S.CPL) === 3);
    this.stores.push({ count: this.instructions, eip: this.cpu.eip, linear, physical, bytes });
  }
}

/** A machine without Host or devices that stands where `engine` stands. */
function copyOf(engine: Engine): Recorder {
  const { memory, mmu, cpu } = engine;
  const { ramBytes, limitBytes } = memory;
  const copy = new Recorder({ ramBytes, devicePages: (limitBytes - ramBytes) / 4096 });
  copy.memory.write(0, memory.view(0, limitBytes));
  copy.cpu.i32.set(cpu.i32);
  copy.memory.u8.set(new Uint8Array(cpu.view.buffer, GDT, GDT_BYTES), GDT);
  copy.mmu.pfnLimit = mmu.pfnLimit;
  copy.mmu.kernelAddress = mmu.kernelAddress;
  if (mmu.root < 0) copy.mmu.setLinear();
  else copy.mmu.setPageTable(mmu.root, mmu.pae);
  copy.segmentsChanged();
  copy.instructions = engine.instructions;
  copy.clock = engine.clock;
  copy.cpuid = engine.cpuid;
  return copy;
}

/**
 * The stores of the next `instructions` (at least 1) guest instructions of an engine, as the reference evaluator executes them; up to
 * where the engine would be left, if that comes first. The engine itself stays where it is.
 */
export function storesOf(engine: Engine, instructions: number): CodeStore[] {
  const copy = copyOf(engine);
  const end = engine.instructions + instructions;
  let reason: number = LEAVE.budget;
  while (reason === LEAVE.budget && copy.instructions < end) reason = copy.run(end - copy.instructions);
  return copy.stores;
}

/** Records what the Host and the devices store into an engine's memory from now on, `most` stores at the most. */
export function listenToHost(engine: Engine, most: number): StoreRecord[] {
  const stores: StoreRecord[] = [];
  const { memory } = engine;
  const written = memory.written.bind(memory);
  memory.written = (address, length) => {
    if (length > 0 && stores.length < most) {
      const bytes = memory.view(address, length).slice();
      stores.push({ count: engine.instructions, physical: address, bytes });
    }
    written(address, length);
  };
  return stores;
}

export function sameStore(a: StoreRecord, b: StoreRecord): boolean {
  return a.count === b.count && a.physical === b.physical && Buffer.compare(a.bytes, b.bytes) === 0;
}

/**
 * The engine that evaluates each instruction's IR as it stands, on the same memory image as the others. Slow, and
 * simple enough to be the judge of the others: no blocks, no TLB, no lazily dropped code.
 */
import * as S from '../frontend-x86/cpu-state.js';
import { decode } from '../frontend-x86/decode.js';
import { LEAVE } from '../frontend-x86/leave.js';
import { lift } from '../frontend-x86/lift/lift.js';
import { Builder } from '../ir/builder.js';
import { type Environment, GuestFault } from '../ir/environment.js';
import { evaluate, type Position } from '../ir/evaluate.js';
import type { Block } from '../ir/ir.js';
import * as L from '../backend-wasm/memory-layout.js';
import { CODE_BASE, CpuState } from './cpu.js';
import { BadPageTable, type Engine, SERVED } from './engine.js';
import { MachineMemory } from './machine-memory.js';
import { GuestMmu } from './mmu.js';
import { segmentsAreFlat } from './flat-segments.js';
import { MAX_INSTRUCTION, PAGE } from '../frontend-x86/limits.js';
import { VECTOR } from '../frontend-x86/vectors.js';

const DEFAULT_SIZE_32 = 0x4000;
/** Lifted instructions kept; all are forgotten beyond that. */
const MAX_CACHED = 200_000;

interface Lifted {
  readonly block: Block;
}

export class ReferenceEngine implements Engine, Environment {
  readonly cpu: CpuState;
  readonly memory: MachineMemory;
  readonly mmu: GuestMmu;
  readonly control: DataView;
  instructions = 0;
  // `Engine.clock` maps counts to time; the environment's `clock()` is the time of the current instruction.
  private clockAt: (instructions: number) => bigint = BigInt;
  cpuid: Engine['cpuid'] = () => [0, 0, 0, 0];
  /** It never asks. */
  serve: Engine['serve'] = () => SERVED.no;
  private attention = false;
  private left = 0;
  private readonly cache = new Map<string, Lifted>();
  private readonly fetched = new Uint8Array(MAX_INSTRUCTION);
  private readonly position: Position = { eip: 0 };

  constructor(options: { ramBytes: number; devicePages: number }) {
    this.memory = new MachineMemory(options.ramBytes, options.devicePages);
    this.control = this.memory.data;
    this.cpu = new CpuState(this.memory.data);
    this.mmu = new GuestMmu(this.memory, this.cpu);
    this.cpu.set(S.DIRECTION, 1);
    this.segmentsChanged();
  }

  get clock(): (() => bigint) & ((instructions: number) => bigint) {
    return (instructions?: number) => this.clockAt(instructions ?? this.instructions);
  }
  set clock(f: (instructions: number) => bigint) {
    this.clockAt = f;
  }

  /** Its runs are exact. */
  get roughBudgets(): boolean {
    return false;
  }
  set roughBudgets(_: boolean) {
    // It need not make use of it.
  }

  segmentsChanged(): void {
    this.cpu.forgetLoadedSegments();
    this.mmu.selectTlb();
  }
  requestAttention(): void {
    this.attention = true;
  }
  /** It leaves for all of them. */
  directTraps(): { systemCalls: number; pageFaults: number } {
    return { systemCalls: 0, pageFaults: 0 };
  }

  counters(): Record<string, number> {
    return { 'instructions lifted': this.cache.size };
  }

  run(budget: number): number {
    if (this.attention) {
      this.attention = false;
      return LEAVE.attention;
    }
    const { cpu } = this;
    this.left = budget;
    cpu.set(S.EXIT_REASON, LEAVE.none);
    while (this.left > 0) {
      const reason = this.step();
      if (reason !== LEAVE.none) {
        cpu.set(S.EXIT_REASON, reason);
        return reason;
      }
      // TF was set: the owner steps from here on.
      if (cpu.get(S.FLAGS_SYSTEM) & S.F_TF) break;
    }
    cpu.set(S.EXIT_REASON, LEAVE.budget);
    return LEAVE.budget;
  }

  private complete(eip: number): number {
    this.cpu.eip = eip;
    this.left--;
    this.instructions++;
    return LEAVE.none;
  }

  private step(): number {
    const { cpu, position } = this;
    try {
      const block = this.fetch();
      position.eip = cpu.eip;
      const outcome = evaluate(block, this, position);
      if (outcome.kind !== 'leave') return this.complete(outcome.eip);
      cpu.set(S.EXIT_DETAIL, outcome.detail);
      cpu.set(S.EXIT_NEXT, outcome.next);
      if (outcome.reason !== LEAVE.cpuid) return outcome.reason;
      const [eax, ebx, ecx, edx] = this.cpuid(cpu.get(S.EAX), cpu.get(S.ECX));
      cpu.set(S.EAX, eax);
      cpu.set(S.EBX, ebx);
      cpu.set(S.ECX, ecx);
      cpu.set(S.EDX, edx);
      return this.complete(outcome.next);
    } catch (error) {
      if (error instanceof GuestFault) {
        cpu.set(S.EXIT_DETAIL, error.vector);
        cpu.set(S.EXIT_ERROR, error.errorCode);
        return LEAVE.fault;
      }
      if (error instanceof BadPageTable) {
        cpu.set(S.EXIT_DETAIL, error.address);
        cpu.set(S.EXIT_ERROR, error.entry);
        return LEAVE.badPageTable;
      }
      throw error;
    }
  }

  /** The IR of the instruction at eip. */
  private fetch(): Block {
    const { cpu, fetched } = this;
    const flat = segmentsAreFlat(cpu);
    if (!flat) {
      const attr = cpu.get(S.SEGMENT_ATTR + 4 * S.CS);
      if (cpu.eip > cpu.get(S.SEGMENT_LIMIT + 4 * S.CS) || !(attr & DEFAULT_SIZE_32)) {
        throw new GuestFault(VECTOR.GP, 0);
      }
    }
    const linear = (cpu.eip + cpu.get(CODE_BASE)) >>> 0;
    const here = Math.min(MAX_INSTRUCTION, PAGE - (linear & (PAGE - 1)));
    const physical = this.physical(linear, false);
    fetched.set(this.memory.view(physical, here));
    let insn = decode(fetched, 0, here, flat);
    if (insn === 'more') {
      const second = this.physical((linear + here) >>> 0, false);
      fetched.set(this.memory.view(second, MAX_INSTRUCTION - here), here);
      insn = decode(fetched, 0, MAX_INSTRUCTION, flat);
      if (insn === 'more') throw new Error('the decoder wants more than 15 bytes');
    }
    let key = flat ? 'f' : 's';
    for (let i = 0; i < insn.length; i++) key += String.fromCharCode(fetched[i]!);
    const known = this.cache.get(key);
    if (known) return known.block;
    const b = new Builder();
    b.mark(0, insn.length);
    lift(b, insn);
    const lifted: Lifted = { block: b.block() };
    if (this.cache.size >= MAX_CACHED) this.cache.clear();
    this.cache.set(key, lifted);
    return lifted.block;
  }

  private physical(linear: number, write: boolean): number {
    const physical = this.mmu.translate(linear, write, this.cpu.get(S.CPL) === 3);
    if (physical < 0) {
      this.cpu.set(S.FAULT_ADDRESS, linear);
      throw new GuestFault(VECTOR.PF, this.mmu.errorCode);
    }
    return physical;
  }

  /** Control-memory address of each byte of an access, checked as a whole before it happens. */
  private place(address: number, bytes: number, write: boolean): (i: number) => number {
    const linear = address >>> 0;
    const first = L.RAM + this.physical(linear, write);
    const room = PAGE - (linear & (PAGE - 1));
    if (bytes <= room) return (i) => first + i;
    const second = L.RAM + this.physical((linear + room) >>> 0, write);
    return (i) => (i < room ? first + i : second + i - room);
  }

  load(address: number, bytes: 1 | 2 | 4, forWrite: boolean): number {
    const at = this.place(address, bytes, forWrite);
    let value = 0;
    for (let i = 0; i < bytes; i++) value |= this.memory.u8[at(i)]! << (8 * i);
    return bytes === 4 ? value : value >>> 0;
  }
  load64(address: number, forWrite: boolean): bigint {
    const at = this.place(address, 8, forWrite);
    let value = 0n;
    for (let i = 0; i < 8; i++) value |= BigInt(this.memory.u8[at(i)]!) << BigInt(8 * i);
    return value;
  }
  store(address: number, bytes: 1 | 2 | 4, value: number): void {
    const at = this.place(address, bytes, true);
    for (let i = 0; i < bytes; i++) this.memory.u8[at(i)] = value >>> (8 * i);
  }
  store64(address: number, value: bigint): void {
    const at = this.place(address, 8, true);
    for (let i = 0; i < 8; i++) this.memory.u8[at(i)] = Number((value >> BigInt(8 * i)) & 0xffn);
  }
  probe(address: number, bytes: number): void {
    this.place(address, bytes, true);
  }
  fuel(): number {
    return this.left - 1;
  }
  charge(instructions: number): void {
    this.left -= instructions;
    this.instructions += instructions;
  }
}

/**
 * What two engines on the same guest must agree on, and how it is compared: the architectural state at every exit of
 * the engine, by a digest that is recorded, and all of guest memory now and then. Equal exits make the Host do equal
 * things, so the first exit that differs is where the engines part.
 */
import * as S from '../frontend-x86/cpu-state.js';
import { LEAVE } from '../frontend-x86/leave.js';
import type { CpuState } from './cpu.js';
import { type Engine, SERVED } from './engine.js';

const GENERAL = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'];
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];

interface NamedSlot {
  readonly name: string;
  readonly slot: number;
}

function row(prefix: string, names: readonly string[], slot: number, stride: number): NamedSlot[] {
  return names.map((name, i) => ({ name: `${prefix}${name}`, slot: slot + i * stride }));
}
const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i));

/** Dwords of the state that must be equal as they stand; EFLAGS are compared as `pushf` shows them. */
export const COMPARED_SLOTS: readonly NamedSlot[] = [
  ...row('', GENERAL, S.REG, 4),
  { name: 'eip', slot: S.EIP },
  ...row('', SEGMENTS, S.SELECTOR, 4),
  ...row('base of ', SEGMENTS, S.SEGMENT_BASE, 4),
  ...row('limit of ', SEGMENTS, S.SEGMENT_LIMIT, 4),
  ...row('attributes of ', SEGMENTS, S.SEGMENT_ATTR, 4),
  { name: 'privilege level', slot: S.CPL },
  { name: 'CR0.TS', slot: S.CR0_TS },
  { name: 'interrupt shadow', slot: S.INTERRUPT_SHADOW },
  { name: 'address of the last page fault', slot: S.FAULT_ADDRESS },
  ...row('x87 mantissa, low, r', numbers(8), S.FPU_MANTISSA, 8),
  ...row('x87 mantissa, high, r', numbers(8), S.FPU_MANTISSA + 4, 8),
  ...row('x87 exponent r', numbers(8), S.FPU_EXPONENT, 4),
  { name: 'x87 control', slot: S.FPU_CONTROL },
  { name: 'x87 status', slot: S.FPU_STATUS },
  { name: 'x87 top', slot: S.FPU_TOP },
  { name: 'x87 tags', slot: S.FPU_TAGS },
  { name: 'x87 last eip', slot: S.FPU_LAST_EIP },
  { name: 'x87 last cs', slot: S.FPU_LAST_CS },
  { name: 'x87 last operand', slot: S.FPU_LAST_DATA },
  { name: 'x87 last operand segment', slot: S.FPU_LAST_DS },
  { name: 'x87 last opcode', slot: S.FPU_LAST_OPCODE },
  ...row('xmm dword ', numbers(32), S.XMM, 4),
  { name: 'mxcsr', slot: S.MXCSR },
];

const SLOT_NAMES: ReadonlyMap<number, string> = new Map([
  ...COMPARED_SLOTS.map(({ name, slot }) => [slot, name] as const),
  [S.FLAG_RESULT, 'flags: result'],
  [S.FLAG_AUX, 'flags: carries'],
]);

/** Name of a dword of the state, for listings of IR. */
export function slotName(slot: number): string | undefined {
  return SLOT_NAMES.get(slot);
}

const COMPARED_INDICES = Int32Array.from(COMPARED_SLOTS, ({ slot }) => slot >> 2);

/** Exits whose EXIT_DETAIL and EXIT_NEXT the Host looks at. */
const WITH_DETAIL: ReadonlySet<number> = new Set<number>([
  LEAVE.int,
  LEAVE.trap,
  LEAVE.icebp,
  LEAVE.vmcall,
  LEAVE.debugRegister,
]);

/** A 32-bit digest of the state in `cpu` as an exit for `reason` leaves it. */
export function stateDigest(cpu: CpuState, reason: number): number {
  const { i32 } = cpu;
  let hash = Math.imul(reason, 0x9e3779b1) ^ cpu.eflags;
  const mix = (value: number): void => {
    hash = Math.imul(hash ^ value, 0x85ebca6b);
    hash ^= hash >>> 15;
  };
  for (let i = 0; i < COMPARED_INDICES.length; i++) {
    hash = Math.imul(hash ^ i32[COMPARED_INDICES[i]!]!, 0x85ebca6b);
    hash ^= hash >>> 15;
  }
  if (reason === LEAVE.fault) {
    mix(cpu.get(S.EXIT_DETAIL));
    mix(cpu.get(S.EXIT_ERROR));
  } else if (WITH_DETAIL.has(reason)) {
    mix(cpu.get(S.EXIT_DETAIL));
    mix(cpu.get(S.EXIT_NEXT));
  }
  return hash | 0;
}

/**
 * The exits of an engine's runs since `clear`: instruction count, reason and digest of each. Exits because the budget
 * is used up are not among them: engines may end a run early for reasons of their own.
 */
export class ExitJournal {
  length = 0;
  counts = new Float64Array(1024);
  reasons = new Uint8Array(1024);
  digests = new Int32Array(1024);

  /**
   * Records every exit of `engine` from now on. `base`: instructions executed before this engine was made, by those
   * that it takes the place of. Nothing is served inside its runs any more: that would be no exit.
   */
  attach(engine: Engine, base = 0): void {
    engine.serve = () => SERVED.no;
    const run = engine.run.bind(engine);
    engine.run = (budget) => {
      const reason = run(budget);
      if (reason !== LEAVE.attention && reason !== LEAVE.budget)
        this.add(base + engine.instructions, reason, engine.cpu);
      return reason;
    };
  }

  private add(count: number, reason: number, cpu: CpuState): void {
    if (this.length === this.counts.length) this.grow();
    this.counts[this.length] = count;
    this.reasons[this.length] = reason;
    this.digests[this.length] = stateDigest(cpu, reason);
    this.length++;
  }

  private grow(): void {
    const { counts, reasons, digests } = this;
    const size = 2 * this.length;
    (this.counts = new Float64Array(size)).set(counts);
    (this.reasons = new Uint8Array(size)).set(reasons);
    (this.digests = new Int32Array(size)).set(digests);
  }

  clear(): void {
    this.length = 0;
  }

  /** Number of the first exit that is not the same in both, or -1. */
  firstDifference(other: ExitJournal): number {
    const both = Math.min(this.length, other.length);
    for (let i = 0; i < both; i++) {
      if (
        this.digests[i] !== other.digests[i] ||
        this.counts[i] !== other.counts[i] ||
        this.reasons[i] !== other.reasons[i]
      )
        return i;
    }
    return this.length === other.length ? -1 : both;
  }
}

/** Something that is not the same in two machines. */
export interface Difference {
  readonly name: string;
  readonly values: readonly [number, number];
}

/** The parts of the CPU state that are not the same. */
export function stateDifferences(a: CpuState, b: CpuState): Difference[] {
  const found: Difference[] = [];
  const check = (name: string, x: number, y: number): void => {
    if (x !== y) found.push({ name, values: [x, y] });
  };
  for (const { name, slot } of COMPARED_SLOTS) {
    check(name, a.get(slot), b.get(slot));
    if (name === 'eip') check('eflags', a.eflags, b.eflags);
  }
  return found;
}

/** All of an engine's guest memory, device pages included. */
function guestBytes({ memory }: Engine): Uint8Array {
  return memory.view(0, memory.limitBytes);
}

const COMPARED_AT_ONCE = 4096;

export function memoryIsSame(a: Engine, b: Engine): boolean {
  return Buffer.compare(guestBytes(a), guestBytes(b)) === 0;
}

/** The first `most` dwords of guest-physical memory that are not the same. */
export function memoryDifferences(
  a: Engine,
  b: Engine,
  most: number,
): { address: number; difference: Difference }[] {
  const found: { address: number; difference: Difference }[] = [];
  const x = guestBytes(a);
  const y = guestBytes(b);
  const dword = (bytes: Uint8Array, at: number): number =>
    (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0;
  for (let at = 0; at < x.length && found.length < most; at += COMPARED_AT_ONCE) {
    const end = at + COMPARED_AT_ONCE;
    if (Buffer.compare(x.subarray(at, end), y.subarray(at, end)) === 0) continue;
    for (let address = at; address < end && found.length < most; address += 4) {
      const values = [dword(x, address), dword(y, address)] as const;
      if (values[0] !== values[1])
        found.push({ address, difference: { name: `memory 0x${address.toString(16)}`, values } });
    }
  }
  return found;
}

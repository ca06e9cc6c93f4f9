/** Steps a program on the reference engine and says whether the manual defines what it does. */
import { decode } from '../../src/frontend-x86/decode.js';
import type { DecodedInstruction } from '../../src/frontend-x86/decoded-instruction.js';
import { undefinedResult } from '../../src/frontend-x86/lift/undefined-flags.js';
import { FPU_CONTROL } from '../../src/frontend-x86/cpu-state.js';
import { LEAVE } from '../../src/frontend-x86/leave.js';
import { sameBytes, type Case } from './case.js';
import type { EngineRunner } from './engine-runner.js';
import { FlagUse, shiftCount } from './flag-use.js';
import { BASED, DOWN, imageOffset, READ_ONLY, SHORT, USER_CODE, USER_DATA } from './layout.js';

const ESP = 4;
const TF_AND_AC = 0x40100;
const LONGEST = 15;
const MOST_REPETITIONS = 200;

/** Results that belong to a machine, system calls, and what is only nearly the same everywhere. */
export const LEFT_OUT = new Set([
  ...'int icebp cpuid rdtsc vmcall sldt str sgdt sidt smsw lar lsl verr verw'.split(' '),
  ...'ldmxcsr stmxcsr fxsave fxrstor fldenv frstor fldcw fnstenv fnsave mov_dr'.split(' '),
  ...'f2xm1 fyl2x fyl2xp1 fpatan fptan fsin fcos fsincos iret callf jmpf retf'.split(' '),
  ...'pusha popa enter'.split(' '),
]);

/** Selectors that the kernel's table and the engines' agree on. */
export const SELECTORS: readonly number[] = [
  0,
  1,
  2,
  3,
  USER_CODE,
  USER_DATA,
  USER_DATA,
  USER_DATA,
  BASED,
  SHORT,
  DOWN,
];

/** Null selectors that are not 0. */
const NULL_SELECTORS: readonly number[] = [1, 2, 3];

/** What a program may not do, and at which instruction: look at undefined flags, run for long, or anything else. */
export interface Objection {
  readonly kind: 'flags' | 'long' | 'other';
  readonly eip: number;
}

/**
 * A dword pushed from a segment register: the manual (volume 2, PUSH) leaves it to the processor whether the upper half is
 * zeros, as here, or what was on the stack.
 */
function pushesSelector(insn: DecodedInstruction): boolean {
  return insn.op === 'push' && insn.shown[0]?.kind === 'sreg' && insn.operandSize === 4;
}

const COMPARISONS = new Set(['cmps', 'scas']);
const X87_STORES = new Set('fst fstp fist fistp fbstp'.split(' '));
const MASKED = 0x3f;
/** Bytes of a register of the x87. */
const EXTENDED = 10;

export class Scrutiny {
  readonly flags = new FlagUse();
  /** Something was executed that processors do in more ways than one. */
  variesByProcessor = false;
  private readonly decoded = new Map<number, { bytes: Uint8Array; insn: DecodedInstruction }>();

  /** `runner`: of a reference engine that stands in front of the program's first instruction. */
  constructor(private readonly runner: EngineRunner) {}

  private reg(n: number): number {
    return this.runner.engine.cpu.reg(n);
  }

  /** The instruction at an address of the window; undefined near the window's ends. */
  at(eip: number): DecodedInstruction | undefined {
    if (imageOffset(eip) < 0 || imageOffset(eip + LONGEST - 1) < 0) return undefined;
    const bytes = this.runner.read(eip, LONGEST);
    const known = this.decoded.get(eip);
    if (known && sameBytes(known.bytes, bytes.subarray(0, known.bytes.length))) return known.insn;
    const insn = decode(bytes, 0, LONGEST, true);
    if (insn === 'more') return undefined;
    this.decoded.set(eip, { bytes: bytes.slice(0, insn.length), insn });
    return insn;
  }

  /** Whether the instruction, as the registers are now, is left out for anything but the flags that it looks at. */
  isLeftOut(insn: DecodedInstruction): boolean {
    const { op } = insn;
    if (LEFT_OUT.has(op)) return true;
    // What this processor does not know others may.
    if (op === 'ud' && insn.variant.row.mnemonic !== 'ud2') return true;
    if (undefinedResult(op, shiftCount(insn, this.reg(1)), 8 * insn.operandSize)) return true;
    const loaded = this.selector(insn);
    if (loaded !== undefined && !SELECTORS.includes(loaded)) return true;
    if (op === 'popf') return (this.stackTop() & TF_AND_AC) !== 0;
    if (insn.rep === 'none') return false;
    // It may take long, and where it overwrites itself, processors go on with what they fetched.
    const count = this.reg(1);
    const reach = (count + 1) * insn.operandSize;
    return count > MOST_REPETITIONS || Math.abs(this.reg(7) - this.runner.engine.cpu.eip) <= reach + LONGEST;
  }

  /** The selector that an instruction loads into a segment register; -1 if it comes from memory. */
  private selector(insn: DecodedInstruction): number | undefined {
    if (/^l[defgs]s$/.test(insn.op)) return -1;
    const [to, from] = insn.shown;
    if (to?.kind !== 'sreg' || insn.op === 'push') return undefined;
    if (insn.op === 'pop') return this.stackTop() & 0xffff;
    return from?.kind === 'reg' ? this.reg(insn.rm >> 2) & 0xffff : -1;
  }

  /**
   * Faults of which processors tell differently. A repeated comparison that faults after some iterations: with the flags
   * from before the instruction (Intel) or of the last iteration (AMD, as here). An x87 store, while not all exceptions
   * are masked: where an unmasked exception keeps it from storing, Intel's do not look at the address, AMD's do, as here.
   * One of ten bytes over the end of a page: Intel's have stored the first of them, AMD's none, as here.
   */
  private faultVaries(insn: DecodedInstruction): boolean {
    if (insn.rep !== 'none' && COMPARISONS.has(insn.op)) return true;
    const [to] = insn.shown;
    if (X87_STORES.has(insn.op) && to?.kind === 'mem' && to.size === EXTENDED) return true;
    const masks = this.runner.engine.cpu.get(FPU_CONTROL) & MASKED;
    return X87_STORES.has(insn.op) && masks !== MASKED;
  }

  private stackTop(): number {
    const at = this.reg(ESP);
    if (imageOffset(at) < 0 || imageOffset(at + 3) < 0) return TF_AND_AC;
    return Buffer.from(this.runner.read(at, 4)).readUInt32LE();
  }

  /** Executes the instruction at eip, unless there is an objection. Returns the engine's reason to stop. */
  step(): number | Objection {
    const { engine } = this.runner;
    const { eip } = engine.cpu;
    // Outside of the window the engine finds a fault.
    const insn = this.at(eip);
    const isMapped = imageOffset(eip) >= 0;
    // Not every processor executes from the read-only page, since not every page table lets it.
    if (isMapped && (insn === undefined || eip >= READ_ONLY - LONGEST)) return { kind: 'other', eip };
    if (insn && this.isLeftOut(insn)) return { kind: 'other', eip };
    if (insn && this.flags.readsUndefined(insn)) return { kind: 'flags', eip };
    const ecx = this.reg(1);
    // Until the next return from a kernel: some processors (Intel) make it 0 then.
    const loadsNull = insn !== undefined && NULL_SELECTORS.includes(this.selector(insn) ?? 0);
    const reason = engine.run(1);
    if (insn && reason === LEAVE.budget) this.flags.executed(insn, ecx);
    if (insn && (loadsNull || pushesSelector(insn) || (reason === LEAVE.fault && this.faultVaries(insn))))
      this.variesByProcessor = true;
    return reason;
  }
}

/** What the manual says of a whole program. */
export interface Defined {
  /** EFLAGS bits that are undefined at the end. */
  readonly undefinedFlags: number;
  /** Processors end it in more ways than one: only engines can be compared. */
  readonly variesByProcessor: boolean;
  /** Instructions executed until it ended. */
  readonly steps: number;
}
export type Finding = Defined | Objection;
export const isDefined = (finding: Finding): finding is Defined => 'undefinedFlags' in finding;

/** Runs a program of at most `most` instructions to its end. */
export function scrutinise(runner: EngineRunner, input: Case, most: number): Finding {
  runner.begin(input);
  try {
    const scrutiny = new Scrutiny(runner);
    for (let steps = 0; steps < most; steps++) {
      const reason = scrutiny.step();
      if (typeof reason !== 'number') return reason;
      const { variesByProcessor, flags } = scrutiny;
      if (reason !== LEAVE.budget) return { undefinedFlags: flags.undefined, variesByProcessor, steps };
    }
    return { kind: 'long', eip: runner.engine.cpu.eip };
  } finally {
    runner.end();
  }
}

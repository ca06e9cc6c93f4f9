/**
 * Random programs. They are written along their own execution: the reference engine steps, and each instruction is made
 * for the registers as they are then, so that memory operands meet the window. What a branch skips stays unwritten.
 */
import { decode } from '../../src/frontend-x86/decode.js';
import type { DecodedInstruction } from '../../src/frontend-x86/decoded-instruction.js';
import { ZERO } from '../../src/frontend-x86/cpu-state.js';
import { isSized, rmKinds } from '../../src/frontend-x86/forms.js';
import { undefinedFlags, undefinedResult } from '../../src/frontend-x86/lift/undefined-flags.js';
import { LEAVE } from '../../src/frontend-x86/leave.js';
import { ROWS, type Row } from '../../src/frontend-x86/opcodes.js';
import type { Case } from './case.js';
import { encode } from './encode.js';
import type { EngineRunner } from './engine-runner.js';
import {
  BASED,
  CODE,
  CODE_BYTES,
  DATA,
  DOWN,
  imageOffset,
  PAGE,
  READ_ONLY,
  SHORT,
  USER_CODE,
  USER_DATA,
} from './layout.js';
import { Random } from './random.js';

const START = CODE + 0x100;
/** Programs stay in front of the last bytes of the code pages. */
const CODE_END = CODE + CODE_BYTES - 0x80;
const ESP = 4;
const TF_AND_AC = 0x40100;
const STATUS_AND_DF = 0xcd5;
const LONGEST = 15;
const INT3 = 0xcc;
/** Programs that run longer are given up. */
const MOST_STEPS = 400;

/** Results that belong to a machine, system calls, and what is only nearly the same everywhere. */
const LEFT_OUT = new Set([
  ...[
    'int',
    'icebp',
    'cpuid',
    'rdtsc',
    'vmcall',
    'sldt',
    'str',
    'sgdt',
    'sidt',
    'smsw',
    'lar',
    'lsl',
    'verr',
    'verw',
  ],
  ...['ldmxcsr', 'stmxcsr', 'fxsave', 'fxrstor', 'fldenv', 'frstor', 'fldcw', 'fnstenv', 'fnsave', 'mov_dr'],
  ...[
    'f2xm1',
    'fyl2x',
    'fyl2xp1',
    'fpatan',
    'fptan',
    'fsin',
    'fcos',
    'fsincos',
    'iret',
    'callf',
    'jmpf',
    'retf',
  ],
  ...['pusha', 'popa', 'enter'],
]);
const RARE = new Set([
  'privileged',
  'ud',
  'nop',
  'int3',
  'into',
  'bound',
  'lds',
  'les',
  'lss',
  'lfs',
  'lgs',
  'arpl',
  'aam',
]);
const isX87 = (row: Row): boolean => row.map === 0 && row.opcode >= 0xd8 && row.opcode <= 0xdf;
const isJump = (row: Row): boolean => row.operands.includes('Jb') || row.operands.includes('Jz');

const COMMON: readonly Row[] = ROWS.filter(
  (row) => !LEFT_OUT.has(row.op) && !RARE.has(row.op) && !isX87(row),
);
const JUMPS = COMMON.filter(isJump);
const PLAIN = COMMON.filter((row) => !isJump(row));
const X87 = ROWS.filter((row) => !LEFT_OUT.has(row.op) && isX87(row));
const SELDOM = ROWS.filter((row) => RARE.has(row.op));

/** Selectors that the kernel's table and the engines' agree on. */
const SELECTORS: readonly number[] = [
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

/** One instruction that the generator wrote. */
export interface Written {
  readonly address: number;
  readonly length: number;
}

export interface Program {
  readonly input: Case;
  readonly written: readonly Written[];
  /** Instructions executed until it ended. */
  readonly steps: number;
}

export class ProgramMaker {
  private readonly code = new Uint8Array(CODE_END - START);
  private readonly taken = new Uint8Array(CODE_END - START);
  private readonly written: Written[] = [];

  constructor(
    private readonly r: Random,
    private readonly runner: EngineRunner,
  ) {}

  private get regs(): number[] {
    return Array.from({ length: 8 }, (_, n) => this.runner.engine.cpu.reg(n));
  }

  private target(size: number): number {
    const { r } = this;
    const eip = this.runner.engine.cpu.eip;
    switch (r.below(40)) {
      case 0:
        return DATA + PAGE - r.between(0, size);
      case 1:
        return READ_ONLY - r.between(0, size);
      case 2:
        return READ_ONLY + r.below(PAGE - 64);
      case 3:
      case 4:
        // Into the code that comes, or that is being executed.
        return eip + r.between(-8, 40);
      case 5:
        return r.chance(20) ? DATA - r.between(0, size) : DATA + r.below(64);
      default:
        // Few places, so that stores and loads meet.
        return DATA + 0x800 + r.below(96);
    }
  }

  private row(): Row {
    const n = this.r.below(100);
    if (n < 14) return this.r.pick(JUMPS);
    if (n < 22) return this.r.pick(X87);
    if (n < 24) return this.r.pick(SELDOM);
    return this.r.pick(PLAIN);
  }

  private jumpDistance(row: Row): number {
    if (row.operands.includes('Jz') && this.r.chance(10)) return this.r.between(0, PAGE);
    return this.r.below(24);
  }

  private encodeRow(row: Row): Uint8Array | undefined {
    const { r } = this;
    const seed = r.next();
    const { register, memory } = rmKinds(row);
    const useMemory = memory && (!register || r.chance(50));
    const sized = isSized(row) && r.chance(25) && !/^(call|jmp|ret|jcc|loop)/.test(row.op);
    const reps = row.flags.has('rep') || row.flags.has('repz');
    const rm = r.below(8);
    const reg = r.below(8);
    const absolute = this.target(4);
    const jump = this.jumpDistance(row);
    const override = useMemory && r.chance(6) ? r.pick([0x64, 0x65, 0x3e, 0x36]) : 0;
    const lock = useMemory && row.flags.has('lock') && r.chance(10);
    const rep = reps && r.chance(60) ? r.pick([0xf3, 0xf2] as const) : 0;
    const make = (displacement: number) =>
      encode(new Random(seed), row, {
        environment: { size16: sized, address16: false, rep, lock, override },
        mod: useMemory ? 2 : 3,
        rm,
        reg,
        absolute,
        jump,
        farSelector: 0x23,
        displacement,
        flat: true,
      });
    let { bytes, insn } = make(0);
    const o = insn.shown.find((x) => x.kind === 'mem');
    if (useMemory && o?.kind === 'mem') {
      const { regs } = this;
      const at = (slot: number): number => (slot === ZERO ? 0 : regs[slot >> 2]!);
      const { base, index, scale, segment } = o.address;
      const segmentBase = this.runner.engine.cpu.get(80 + 4 * (segment as number));
      const sum = at(base as number) + at(index as number) * 2 ** (scale as number) + segmentBase;
      ({ bytes, insn } = make((this.target(o.size) - sum) | 0));
    }
    return this.tainted(insn) === 'never' ? undefined : bytes;
  }

  /** Whether a result is undefined: for programs written so far, or in all cases. */
  private tainted(insn: DecodedInstruction): 'never' | 'flags' | 'no' {
    if (LEFT_OUT.has(insn.op)) return 'never';
    const { regs } = this;
    const last = insn.shown.at(-1);
    const counted = last?.kind === 'imm' ? (last.value as number) & 0xff : regs[1]! & 0xff;
    const bits = 8 * insn.operandSize;
    if (undefinedResult(insn.op, counted, bits)) return 'never';
    const loaded = this.selector(insn);
    if (loaded !== undefined && !SELECTORS.includes(loaded)) return 'never';
    if (insn.op === 'popf') return this.stackTop() & TF_AND_AC ? 'never' : 'no';
    if (insn.rep !== 'none') {
      // It may take long, and where it overwrites itself, processors go on with what they fetched.
      const [count, eip] = [regs[1]!, this.runner.engine.cpu.eip];
      const reach = (count + 1) * insn.operandSize;
      if (count > 200 || Math.abs(regs[7]! - eip) <= reach + LONGEST) return 'never';
    }
    return undefinedFlags(insn.op, counted, bits) === 0 ? 'no' : 'flags';
  }

  /** The selector that an instruction loads into a segment register; -1 if it comes from memory. */
  private selector(insn: DecodedInstruction): number | undefined {
    if (/^l[defgs]s$/.test(insn.op)) return -1;
    const [to, from] = insn.shown;
    if (to?.kind !== 'sreg' || insn.op === 'push') return undefined;
    if (insn.op === 'pop') return this.stackTop() & 0xffff;
    return from?.kind === 'reg' ? this.regs[insn.rm >> 2]! & 0xffff : -1;
  }

  private stackTop(): number {
    const at = this.regs[ESP]!;
    return imageOffset(at) < 0 || imageOffset(at + 3) < 0 ? TF_AND_AC : this.runner.engine.memory.read32(at);
  }

  private giveUp(): undefined {
    this.runner.end();
    return undefined;
  }

  /** Nothing was written there, by the generator or by the program. */
  private isFresh(address: number, bytes: number): boolean {
    const at = address - START;
    if (at < 0 || at + bytes > this.code.length) return false;
    for (let i = 0; i < bytes; i++) if (this.taken[at + i]) return false;
    return this.runner.engine.memory.view(address, bytes).every((v) => v === INT3);
  }

  /** Puts bytes at an address, unless there is something already. */
  private write(address: number, bytes: Uint8Array): boolean {
    if (!this.isFresh(address, bytes.length)) return false;
    const at = address - START;
    this.code.set(bytes, at);
    this.taken.fill(1, at, at + bytes.length);
    this.written.push({ address, length: bytes.length });
    this.runner.poke(address, bytes);
    return true;
  }

  /** Bytes for the next place, several instructions where one needs company. */
  private next(): Uint8Array[] {
    const { r, regs } = this;
    if (r.chance(2)) {
      // popf, with an image that does not trap.
      const image = r.next() & STATUS_AND_DF;
      return [Uint8Array.of(0x68, image, image >> 8, 0, 0), Uint8Array.of(0x9d)];
    }
    if (r.chance(1)) {
      // mov edx, selector; mov es, ds, fs or gs from dx
      return [
        Uint8Array.of(0xba, r.pick(SELECTORS), 0, 0, 0),
        Uint8Array.of(0x8e, 0xc2 | (r.pick([0, 3, 4, 5]) << 3)),
      ];
    }
    const row = this.row();
    if (row.op === 'popf') return [];
    if ((row.flags.has('rep') || row.flags.has('repz')) && r.chance(85)) {
      const to = (n: number): Uint8Array => Uint8Array.of(0xb8 + n, ...little(this.target(4)));
      const out = [to(6), to(7)];
      out.push(Uint8Array.of(0xb9, ...little(r.below(24))));
      const bytes = this.encodeRow(row);
      return bytes ? [...out, bytes] : out;
    }
    // A way back to a good stack.
    if (imageOffset(regs[ESP]!) < 0 && r.chance(60))
      return [Uint8Array.of(0xbc, ...little(DATA + 0x1000 + 4 * r.below(64)))];
    if (row.op === 'ret' && r.chance(80)) {
      const target = this.runner.engine.cpu.eip + 6 + r.below(24);
      return [Uint8Array.of(0x68, ...little(target)), Uint8Array.of(0xc3)];
    }
    if ((row.op === 'call' || row.op === 'jmp') && !isJump(row)) {
      const n = r.below(4);
      const target = this.runner.engine.cpu.eip + 7 + r.below(24);
      return [
        Uint8Array.of(0xb8 + n, ...little(target)),
        Uint8Array.of(0xff, (row.op === 'call' ? 0xd0 : 0xe0) | n),
      ];
    }
    const bytes = this.encodeRow(row);
    return bytes ? [bytes] : [];
  }

  /** `cmp` of two registers: defines all flags, and cannot fault. */
  private defineFlags(): Uint8Array {
    return Uint8Array.of(0x39, 0xc0 | (this.r.below(8) << 3) | this.r.below(8));
  }

  /** A program of about `length` instructions, or undefined if it came upon something undefined. */
  make(length: number): Program | undefined {
    const { r, runner } = this;
    const regs = Array.from({ length: 8 }, () => r.value());
    regs[ESP] = DATA + 0x1000 + 4 * r.below(64);
    const input: Case = {
      eip: START,
      code: this.code,
      segments: 0,
      regs,
      eflags: r.next() & STATUS_AND_DF,
      patches: [],
    };
    this.code.fill(INT3);
    runner.begin(input);
    const { engine } = runner;
    let queue: Uint8Array[] = [];
    let steps = 0;
    for (let reason: number = LEAVE.budget; reason === LEAVE.budget; steps++) {
      const eip = engine.cpu.eip;
      const fresh = eip >= START && eip < CODE_END - LONGEST && this.isFresh(eip, 1);
      if (steps > MOST_STEPS) return this.giveUp();
      if (fresh && steps < length) {
        for (let n = 0; queue.length === 0 && n < 20; n++) queue = this.next();
        const bytes = queue.shift();
        if (bytes === undefined || !this.write(eip, bytes)) return this.giveUp();
      } else queue = [];
      let guard = 0;
      if (imageOffset(eip) >= 0) {
        if (imageOffset(eip + LONGEST - 1) < 0) return this.giveUp();
        const insn = decode(engine.memory.view(eip, LONGEST), 0, LONGEST, true);
        if (insn === 'more') return this.giveUp();
        const taint = this.tainted(insn);
        if (taint === 'never') return this.giveUp();
        if (taint === 'flags') {
          guard = eip + insn.length;
          if (!this.write(guard, this.defineFlags())) return this.giveUp();
        }
      }
      reason = engine.run(1);
      // What defines the flags must not have been overwritten in the meantime.
      if (
        guard > 0 &&
        engine.memory.read16(guard) !== this.code[guard - START]! + 256 * this.code[guard - START + 1]!
      )
        return this.giveUp();
    }
    runner.end();
    const used = this.taken.lastIndexOf(1) + 1;
    return { input: { ...input, code: this.code.slice(0, used) }, written: this.written, steps };
  }
}

function little(v: number): number[] {
  return [v & 0xff, (v >>> 8) & 0xff, (v >>> 16) & 0xff, v >>> 24];
}

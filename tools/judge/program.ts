/**
 * Random programs. They are written along their own execution: the reference engine steps, and each instruction is made
 * for the registers as they are then, so that memory operands meet the window. What a branch skips stays unwritten.
 */
import { decode } from '../../src/frontend-x86/decode.js';
import { ZERO } from '../../src/frontend-x86/cpu-state.js';
import { isSized, rmKinds } from '../../src/frontend-x86/forms.js';
import { LEAVE } from '../../src/frontend-x86/leave.js';
import type { Row } from '../../src/frontend-x86/opcodes.js';
import { little } from './assembly.js';
import type { Case } from './case.js';
import { encode } from './encode.js';
import type { EngineRunner } from './engine-runner.js';
import { CODE, CODE_BYTES, DATA, imageOffset, PAGE, READ_ONLY } from './layout.js';
import { Random } from './random.js';
import { isJump, JUMPS, PLAIN, SELDOM, X87 } from './rows.js';
import { isDefined, scrutinise, Scrutiny, SELECTORS, type Defined } from './scrutiny.js';

const START = CODE + 0x100;
/** Programs stay in front of the last bytes of the code pages. */
const CODE_END = CODE + CODE_BYTES - 0x80;
const ESP = 4;
const STATUS_AND_DF = 0xcd5;
const LONGEST = 15;
const INT3 = 0xcc;
/** Programs that run longer are given up. */
const MOST_STEPS = 400;

/** One instruction that the generator wrote. */
export interface Written {
  readonly address: number;
  readonly length: number;
}

export interface Program {
  readonly input: Case;
  readonly written: readonly Written[];
  readonly defined: Defined;
}

export class ProgramMaker {
  private readonly code = new Uint8Array(CODE_END - START);
  private readonly taken = new Uint8Array(CODE_END - START);
  private readonly written: Written[] = [];

  private readonly scrutiny: Scrutiny;

  constructor(
    private readonly r: Random,
    private readonly runner: EngineRunner,
  ) {
    this.scrutiny = new Scrutiny(runner);
  }

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
    return this.scrutiny.isLeftOut(insn) ? undefined : bytes;
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
    return this.runner.read(address, bytes).every((v) => v === INT3);
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
    const { scrutiny } = this;
    let queue: Uint8Array[] = [];
    let steps = 0;
    for (let reason: number = LEAVE.budget; reason === LEAVE.budget; steps++) {
      const { eip } = engine.cpu;
      const fresh = eip >= START && eip < CODE_END - LONGEST && this.isFresh(eip, 1);
      if (steps > MOST_STEPS) return this.giveUp();
      if (fresh && steps < length) {
        for (let n = 0; queue.length === 0 && n < 20; n++) queue = this.next();
        const next = queue[0];
        if (next === undefined) return this.giveUp();
        const insn = decode(next, 0, next.length, true);
        const guarded = insn === 'more' || scrutiny.flags.readsUndefined(insn);
        if (!this.write(eip, guarded ? this.defineFlags() : queue.shift()!)) return this.giveUp();
      } else queue = [];
      const outcome = scrutiny.step();
      if (typeof outcome !== 'number') return this.giveUp();
      reason = outcome;
    }
    runner.end();
    const used = this.taken.lastIndexOf(1) + 1;
    const whole = { ...input, code: this.code.slice(0, used) };
    // It may have looked at code that was not yet written.
    const finding = scrutinise(runner, whole, MOST_STEPS);
    return isDefined(finding) ? { input: whole, written: this.written, defined: finding } : undefined;
  }
}

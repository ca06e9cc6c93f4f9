/** Chooses the state in which an encoded instruction runs: so that its memory operands meet the window and its edges. */
import { EAX, EBP, EBX, ECX, EDI, EDX, ESI, ESP, ZERO } from '../../src/frontend-x86/cpu-state.js';
import { AddressShape, type Address } from '../../src/frontend-x86/instruction.js';
import type { Case, Patch, X87 } from './case.js';
import type { Encoding } from './encode.js';
import { CODE, CODE_BYTES, DATA, imageOffset, PAGE, READ_ONLY, SEGMENT_SETS, SEGMENTS } from './layout.js';
import type { Random } from './random.js';

const END = READ_ONLY + PAGE;
const STATUS_AND_DF = 0xcd5;
const NT = 0x4000;
const ID = 0x200000;
const FLAT = 0;
const ES = 0;
const SS = 2;

/** An address for an operand of `size` bytes: mostly well inside, else at the edges of pages and of what is mapped. */
export function target(r: Random, size: number): number {
  const back = r.between(0, Math.max(size, 2));
  switch (r.below(24)) {
    case 0:
    case 1:
      return DATA + PAGE - back;
    case 2:
      return READ_ONLY - back;
    case 3:
      return READ_ONLY + r.below(PAGE - 128);
    case 4:
      return END - back;
    case 5:
      return DATA - back;
    case 6:
      return r.chance(50)
        ? r.between(CODE + CODE_BYTES, DATA - 64)
        : r.chance(50)
          ? r.next()
          : END + r.below(PAGE);
    default:
      return DATA + r.between(0x40, 2 * PAGE - 0x140);
  }
}

function segmentBase(set: number, segment: number): number {
  const selector = SEGMENT_SETS[set]![segment]!;
  return SEGMENTS.find((s) => s.selector === selector)?.base ?? 0;
}

/** Inverses of 3, 5 and 9 modulo 2^32. */
const INVERSE: Readonly<Record<number, number>> = { 3: 0xaaaaaaab, 5: 0xcccccccd, 9: 0x38e38e39 };

const STRING_OPS = new Set(['movs', 'cmps', 'stos', 'lods', 'scas']);
const SELECTOR_OPS = new Set(['lar', 'lsl', 'verr', 'verw', 'lds', 'les', 'lss', 'lfs', 'lgs']);
const FAR_OPS = new Set(['callf', 'jmpf', 'retf', 'iret']);
const JUMPS = new Set(['call', 'jmp']);
/** Selectors that the kernel's table and the engines' agree on, and some that are beyond both. */
const DATA_SELECTORS = [0, 3, 0x23, 0x2b, 0x2b, 0x63, 0x6b, 0x73, 0x2a, 0x60, 0xfff8, 0x100];
const CODE_SELECTORS = [0x23, 0x23, 0x23, 0x23, 0x23, 0, 3, 0x2b, 0x63, 0xfff8];

export class StateMaker {
  private readonly regs: number[];
  private readonly patches: Patch[] = [];
  private eflags: number;
  private readonly stackIsOperand: boolean;

  constructor(
    private readonly r: Random,
    private readonly encoding: Encoding,
    private readonly set: number,
    private readonly eip: number,
    base: readonly number[],
  ) {
    this.regs = [...base];
    this.eflags = r.next() & (STATUS_AND_DF | (r.chance(5) ? NT | ID : 0));
    this.stackIsOperand = encoding.insn.variant.row.flags.has('stack') || encoding.insn.op === 'leave';
  }

  private get op(): string {
    return this.encoding.insn.op;
  }
  private setReg(slot: number, v: number): void {
    this.regs[slot >> 2] = v >>> 0;
  }
  private reg(slot: number): number {
    return this.regs[slot >> 2]!;
  }
  /** Sets the low half, leaves random bits above. */
  private setLow(slot: number, v: number): void {
    this.setReg(slot, (this.reg(slot) & 0xffff0000) | (v & 0xffff));
  }
  /** Puts bytes at a linear address as far as it is mapped. */
  private patch(address: number, value: number | bigint, size: number): void {
    const wide = BigInt(value);
    const bytes: number[] = [];
    for (let i = 0; i < size; i++) {
      if (imageOffset((address + i) >>> 0) < 0) break;
      bytes.push(Number((wide >> BigInt(8 * i)) & 0xffn));
    }
    if (bytes.length > 0) this.patches.push({ address: address >>> 0, bytes: Uint8Array.from(bytes) });
  }

  private memory(): { address: Address; size: number } | undefined {
    const o = this.encoding.insn.shown.find((x) => x.kind === 'mem');
    return o?.kind === 'mem' ? { address: o.address, size: o.size } : undefined;
  }
  private baseOf(a: Address): number {
    return a.shape <= AddressShape.indexed ? FLAT : segmentBase(this.set, a.segment as number);
  }
  /** The linear address that the registers make. */
  private linear(a: Address): number {
    const [base, index] = [a.base as number, a.index as number];
    let v = a.disp as number;
    if (base !== ZERO) v += this.reg(base);
    if (index !== ZERO) v += this.reg(index) * 2 ** (a.scale as number);
    if (a.shape === AddressShape.general16) v &= 0xffff;
    return (v + this.baseOf(a)) >>> 0;
  }

  private aim(a: Address, size: number): void {
    const { r } = this;
    const offset = target(r, size) - this.baseOf(a);
    const base = a.base as number;
    const index = a.index as number;
    const scale = a.scale as number;
    const disp = a.disp as number;
    const free = (slot: number): boolean => slot !== ZERO && !(slot === ESP && this.stackIsOperand);
    if (a.shape === AddressShape.general16) {
      if (index !== ZERO) this.setLow(index, r.next());
      if (base !== ZERO) this.setLow(base, offset - disp - (index === ZERO ? 0 : this.reg(index)));
      else if (index !== ZERO) this.setLow(index, offset - disp);
      return;
    }
    if (free(base) && base !== index) {
      if (index !== ZERO) this.setReg(index, r.chance(50) ? r.below(64) : r.next());
      this.setReg(base, offset - disp - (index === ZERO ? 0 : this.reg(index) * 2 ** scale));
    } else if (free(base)) {
      const k = 1 + 2 ** scale;
      const rest = (offset - disp) | 0;
      this.setReg(base, k === 2 ? rest >>> 1 : Math.imul(rest, INVERSE[k]!));
    } else if (index !== ZERO) {
      const rest = (offset - disp - (base === ZERO ? 0 : this.reg(base))) | 0;
      this.setReg(index, rest >>> scale);
    }
  }

  private aimStack(): void {
    const { r } = this;
    if (!this.stackIsOperand) return;
    const pops = /^pop|ret|leave/.test(this.op);
    const at = target(r, 4) + (pops ? 0 : r.pick([0, 2, 4])) - segmentBase(this.set, SS);
    this.setReg(ESP, at);
    if (this.op === 'leave') this.setReg(EBP, target(r, 4) - segmentBase(this.set, SS));
    else if (this.op === 'enter')
      this.setReg(
        EBP,
        r.chance(80)
          ? DATA + r.between(0x200, 0x1e00) - segmentBase(this.set, SS)
          : r.between(0x60000000, 0xf0000000),
      );
    if (this.set === 3 && r.chance(50)) this.setReg(ESP, (this.reg(ESP) & 0xffff) | (r.next() & 0xffff0000));
  }

  private aimString(): void {
    const { r, encoding } = this;
    const { insn } = encoding;
    const size = insn.operandSize;
    const put = (slot: number, v: number): void =>
      insn.addressSize === 2 ? this.setLow(slot, v) : this.setReg(slot, v);
    const source = insn.flat ? 0 : segmentBase(this.set, insn.segment as number);
    const destination = insn.flat ? 0 : segmentBase(this.set, ES);
    const edge = (): number => {
      const t = target(r, size);
      return r.chance(30) ? t + r.between(-12, 12) * size : t;
    };
    put(ESI, edge() - source);
    put(EDI, edge() - destination);
    if (insn.rep !== 'none') put(ECX, r.chance(10) ? 0 : r.chance(4) ? r.next() & 0xfff : r.below(20));
    if (this.op === 'cmps' || this.op === 'scas') {
      // Alike for some elements, so that repetition goes on or ends.
      const value = r.value();
      this.setReg(EAX, value);
      const like = (base: number, slot: number): void => {
        const at = (this.reg(slot) & (insn.addressSize === 2 ? 0xffff : -1)) >>> 0;
        const forward = !(this.eflags & 0x400);
        for (let n = r.below(8); n >= 0; n--) this.patch(base + at + (forward ? n : -n) * size, value, size);
      };
      if (this.op === 'cmps') like(source, ESI);
      if (r.chance(70)) like(destination, EDI);
    }
  }

  /** Values that make the operation interesting. */
  private operands(): void {
    const { r, encoding } = this;
    const { insn } = encoding;
    const { op } = insn;
    const bits = 8 * insn.operandSize;
    if (insn.variant.row.operands.includes('CL') && r.chance(85)) {
      this.setReg(ECX, (this.reg(ECX) & 0xffffff00) | (r.chance(80) ? r.below(34) : r.next() >>> 24));
    }
    if (/^i?div$/.test(op) && r.chance(75)) {
      const small = r.chance(50);
      const sign = op === 'idiv' && r.chance(50) ? -1 : 0;
      if (bits === 8) this.setLow(EAX, small ? r.next() >>> 24 : r.next() >>> r.between(16, 24));
      else this.setReg(EDX, sign === 0 ? r.next() >>> r.between(16, 31) : sign);
      if (sign && r.chance(50)) this.setReg(EAX, r.pick([0x80000000, 0xffff8000, 0xffffff80]));
      if (r.chance(30)) this.setReg(EBX, r.pick([0xffffffff, 1, 2, 0x80]));
    }
    if (/^loop|^jecxz/.test(op)) this.setReg(ECX, r.pick([0, 1, 2, 0x10000, 0x10001, 0x20000, r.next()]));
    if (
      /^bt[src]?$/.test(op) &&
      insn.shown[0]?.kind === 'mem' &&
      insn.shown[1]?.kind === 'reg' &&
      r.chance(90)
    ) {
      this.setReg(insn.reg, r.chance(50) ? r.between(-0x4000, 0x4000) : r.between(-64, 64));
    }
  }

  /** Values in memory, once the addresses stand. */
  private contents(): void {
    const { r, encoding } = this;
    const { insn } = encoding;
    const { op } = insn;
    const mem = this.memory();
    const at = mem && this.linear(mem.address);
    const codeTarget = CODE + r.between(0x20, 0x1f00) - segmentBase(this.set, 1);
    const image = r.next() & (STATUS_AND_DF | (r.chance(20) ? NT | ID : 0));
    // Set 3 has a 16-bit stack.
    const stackAt = (this.reg(ESP) & (this.set === 3 ? 0xffff : -1)) + segmentBase(this.set, SS);
    const size = insn.variant.operandSize;
    if (at !== undefined && mem) {
      if (op === 'bound') {
        const n = this.reg(insn.reg);
        this.patch(at, (n + r.between(-3, 1)) >>> 0, size);
        this.patch(at + size, (n + r.between(-1, 3)) >>> 0, size);
      } else if (FAR_OPS.has(op)) {
        this.patch(at, codeTarget, size);
        this.patch(at + size, r.pick(CODE_SELECTORS), 2);
      } else if (op === 'lds' || op === 'les' || op === 'lss' || op === 'lfs' || op === 'lgs') {
        this.patch(at + size, r.pick(DATA_SELECTORS), 2);
      } else if (SELECTOR_OPS.has(op) || insn.shown[0]?.kind === 'sreg') {
        this.patch(at, r.pick(DATA_SELECTORS), 2);
      } else if (JUMPS.has(op)) this.patch(at, codeTarget, size);
      else if (op === 'cmpxchg' && r.chance(60)) this.patch(at, this.reg(EAX), mem.size);
      else if (op === 'cmpxchg8b' && r.chance(70))
        this.patch(at, BigInt(this.reg(EAX)) | (BigInt(this.reg(EDX)) << 32n), 8);
      else if (mem.size <= 4 && r.chance(40)) this.patch(at, r.value(), mem.size);
    } else if (JUMPS.has(op) && insn.shown[0]?.kind === 'reg') this.setReg(insn.rm, codeTarget);
    else if (SELECTOR_OPS.has(op)) this.setReg(insn.rm, r.pick(DATA_SELECTORS));
    else if (insn.shown[0]?.kind === 'sreg' && insn.shown[1]?.kind === 'reg')
      this.setReg(insn.rm, r.pick(DATA_SELECTORS) | (r.chance(50) ? 0x12340000 : 0));
    if (op === 'popf') this.patch(stackAt, image, size);
    else if (op === 'ret') this.patch(stackAt, codeTarget, size);
    else if (op === 'retf' || op === 'iret') {
      this.patch(stackAt, codeTarget, size);
      // With an immediate, where the processor looks before it refuses the selector is its own affair.
      const plain = insn.shown.length === 0;
      this.patch(stackAt + size, plain ? r.pick(CODE_SELECTORS) : CODE_SELECTORS[0]!, size);
      // iret with NT set means something else in a 64-bit kernel.
      if (op === 'iret') this.patch(stackAt + 2 * size, image, size);
      this.eflags &= ~NT;
    } else if (op === 'pop' && insn.shown[0]?.kind === 'sreg')
      this.patch(stackAt, r.pick(DATA_SELECTORS), size);
  }

  make(x87?: X87): Case {
    const { insn } = this.encoding;
    const { op } = insn;
    this.operands();
    this.aimStack();
    if (STRING_OPS.has(op)) this.aimString();
    if (op === 'xlat') {
      const base = insn.flat ? 0 : segmentBase(this.set, insn.segment as number);
      const v = target(this.r, 1) - base - (this.reg(EAX) & 0xff);
      if (insn.addressSize === 2) this.setLow(EBX, v);
      else this.setReg(EBX, v);
    }
    const mem = this.memory();
    if (mem && !/^bt[src]?$/.test(op)) this.aim(mem.address, mem.size);
    else if (mem) {
      const before = this.reg(insn.reg);
      this.aim(mem.address, mem.size);
      if (this.r.chance(50) && insn.reg !== (mem.address.base as number)) {
        if (insn.reg !== (mem.address.index as number)) this.setReg(insn.reg, before);
      }
    }
    this.contents();
    return {
      eip: this.eip,
      code: this.encoding.bytes,
      segments: this.set,
      regs: this.regs,
      eflags: this.eflags,
      patches: this.patches,
      x87,
    };
  }
}

/** The straight-line parts of structured programs: groups of accesses, arithmetic, stack, string and x87 operations. */
import type { DecodedInstruction } from '../../src/frontend-x86/decoded-instruction.js';
import { isSized } from '../../src/frontend-x86/forms.js';
import type { Row } from '../../src/frontend-x86/opcodes.js';
import { type Assembly, type Label, little } from './assembly.js';
import { encode, type EncodeOptions } from './encode.js';
import { CODE, CODE_BYTES, DATA, PAGE, READ_ONLY } from './layout.js';
import type { Random } from './random.js';
import { ON_MEMORY, ON_REGISTERS, USUALLY_ON_MEMORY, X87_ON_MEMORY, X87_ON_REGISTERS } from './rows.js';

export const ECX = 1;
export const ESP = 4;
const EBP = 5;
const ESI = 6;
const EDI = 7;
const END = READ_ONLY + PAGE;
/** Between pages of different kinds, most often between two that can be written. */
const BORDERS = [DATA + PAGE, DATA + PAGE, DATA + PAGE, READ_ONLY, READ_ONLY, END, DATA];
/** Dwords that nothing but loop counters in memory uses on purpose. */
const COUNTERS_AT = DATA + 0x700;
/** Ops that write a second operand too. */
const EXCHANGES = new Set(['xchg', 'xadd']);
/** Ops that write eax or edx besides their operands need no care: neither is ever protected. */
const NO_ENVIRONMENT = { address16: false, lock: false, override: 0 } as const;

export class Operations {
  /** Registers that hold addresses. */
  readonly pointers: readonly number[];
  /** Registers for loop counters. */
  readonly counters: readonly number[];
  /** Registers that must keep their values for the loops around to end. */
  readonly kept = new Set<number>([ESP]);

  constructor(
    readonly r: Random,
    readonly asm: Assembly,
  ) {
    const list = [3, EBP, ESI, EDI];
    for (let i = list.length - 1; i > 0; i--) {
      const k = r.below(i + 1);
      [list[i], list[k]] = [list[k]!, list[i]!];
    }
    this.pointers = list.slice(0, 2);
    this.counters = list.slice(2);
  }

  /** An address worth having a pointer at. */
  near(): number {
    const { r } = this;
    switch (r.below(20)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return DATA + PAGE + r.between(-48, 48);
      case 4:
      case 5:
      case 6:
        return READ_ONLY + r.between(-64, 24);
      case 7:
        return DATA + r.between(-8, 64);
      case 8:
        return END + r.between(-64, 4);
      case 9:
        return READ_ONLY + r.between(100, 3000);
      case 10:
        // A page with code, where there is none; and its last bytes.
        return CODE + CODE_BYTES - (r.chance(60) ? 0x180 + r.below(0x80) : r.between(-4, 64));
      default:
        // Few places, so that stores and loads meet.
        return DATA + 0x800 + r.below(128);
    }
  }

  scratch(): number {
    const list = [0, 1, 2].filter((n) => !this.kept.has(n));
    return this.r.pick(list);
  }
  anyRegister(): number {
    return this.r.below(8);
  }
  set(reg: number, value: number): void {
    this.asm.emit(0xb8 + reg, ...little(value));
  }
  add(reg: number, value: number): void {
    if (this.r.chance(30)) this.asm.emit(0x8d, ...this.based(reg, reg, value));
    else this.asm.emit(0x83, 0xc0 + reg, value & 0xff);
  }
  /** modrm, SIB and displacement of [base + displacement]. */
  based(reg: number, base: number, displacement: number): number[] {
    const sib = base === ESP ? [0x24] : [];
    return [0x80 | (reg << 3) | base, ...sib, ...little(displacement)];
  }

  private writesKept(insn: DecodedInstruction): boolean {
    const written = EXCHANGES.has(insn.op) ? insn.shown : insn.shown.slice(0, 1);
    return written.some(
      (o) => o.kind === 'reg' && (o.slot as number) < 32 && this.kept.has((o.slot as number) >> 2),
    );
  }
  /** Encodes a row until it leaves the kept registers alone. */
  private emitRow(rows: readonly Row[], options: (row: Row) => Partial<EncodeOptions>): void {
    const { r } = this;
    for (let n = 0; n < 10; n++) {
      const row = r.pick(rows);
      const { bytes, insn } = encode(r, row, {
        environment: { ...NO_ENVIRONMENT, size16: isSized(row) && r.chance(20), rep: 0 },
        mod: 3,
        rm: this.anyRegister(),
        reg: r.chance(60) ? this.scratch() : this.anyRegister(),
        absolute: this.near(),
        jump: 0,
        farSelector: 0,
        flat: true,
        ...options(row),
      });
      if (this.writesKept(insn)) continue;
      this.asm.emit(...bytes);
      return;
    }
  }

  /** An operation on registers. */
  compute(): void {
    this.emitRow(ON_REGISTERS, () => ({}));
  }
  /** Rows for an operation on memory. */
  private onMemory(): readonly Row[] {
    const { r } = this;
    return r.chance(65) ? USUALLY_ON_MEMORY : r.chance(85) ? ON_MEMORY : X87_ON_MEMORY;
  }
  /** An operation on memory at a register + displacement, some with an index. */
  access(base: number, displacement: number): void {
    const { r } = this;
    const rows = this.onMemory();
    const small = displacement >= -128 && displacement < 128;
    const lock = r.chance(4);
    this.emitRow(rows, (row) => ({
      mod: small && r.chance(85) ? 1 : 2,
      rm: base,
      displacement,
      ...(base === ESP && { sib: 0x24 }),
      ...(lock &&
        row.flags.has('lock') && { environment: { ...NO_ENVIRONMENT, size16: false, rep: 0, lock: true } }),
    }));
  }
  private indexed(base: number, displacement: number): void {
    const { r } = this;
    const index = r.pick([0, 2]);
    const scale = r.below(4);
    if (r.chance(80)) this.asm.emit(0x83, 0xe0 + index, r.below(4));
    else this.set(index, r.between(-3, 3));
    const sib = (scale << 6) | (index << 3) | base;
    this.emitRow(USUALLY_ON_MEMORY, () => ({ mod: 1, rm: 4, sib, displacement }));
  }

  /** Accesses through one register, at displacements not far from each other. */
  group(): void {
    const { r } = this;
    const base = r.chance(15) ? ESP : r.pick(this.pointers);
    const center = base === ESP ? r.between(0, 24) : r.between(-32, 32);
    if (base !== ESP && !this.kept.has(base) && r.chance(55)) {
      // Often with the ends of the group around the end of a page.
      const atBorder = r.chance(40);
      this.set(base, atBorder ? r.pick(BORDERS) - center + r.between(-18, 12) : this.near());
    }
    for (let n = r.between(2, 6); n > 0; n--) {
      const displacement = center + r.between(-12, 12);
      if (r.chance(10) && base !== ESP) this.indexed(base, displacement);
      else this.access(base, displacement);
      if (r.chance(20)) this.compute();
      if (r.chance(8) && base !== ESP && !this.kept.has(base)) this.add(base, r.between(-12, 12));
    }
  }
  /** Accesses at addresses in the instructions. */
  absolutes(): void {
    const { r } = this;
    const at = this.near();
    for (let n = r.between(1, 3); n > 0; n--) {
      const displacement = at + r.between(-6, 6);
      this.emitRow(USUALLY_ON_MEMORY, () => ({ mod: 0, rm: 5, absolute: displacement }));
    }
  }

  /** Accesses to a table: an address in the instruction and a small index. Some tables go over the end of a page. */
  table(): void {
    const { r, asm } = this;
    const index = this.scratch();
    if (r.chance(60)) asm.emit(0x0f, 0xb6, 0xc0 | (index << 3) | r.below(4));
    else asm.emit(0x83, 0xe0 + index, r.below(128));
    const sib = (r.below(4) << 6) | (index << 3) | 5;
    const at = r.chance(60) ? r.pick(BORDERS) - r.below(1100) : this.near();
    this.kept.add(index);
    for (let n = r.between(1, 3); n > 0; n--) {
      const displacement = at + r.between(-4, 4);
      this.emitRow(this.onMemory(), () => ({ mod: 0, rm: 4, sib, displacement }));
    }
    this.kept.delete(index);
  }

  /** Something that sets flags. */
  compare(): void {
    const { r, asm } = this;
    const [a, b] = [this.anyRegister(), this.anyRegister()];
    switch (r.below(7)) {
      case 0:
        asm.emit(0x85, 0xc0 | (a << 3) | b);
        break;
      case 1:
        asm.emit(0x80, 0xf8 | a, r.value() & 0xff);
        break;
      case 2:
        asm.emit(0x66, 0x39, 0xc0 | (a << 3) | b);
        break;
      case 3:
        this.access(r.pick(this.pointers), r.between(-16, 16));
        break;
      case 4:
        asm.emit(0x83, 0xe8 | this.scratch(), r.below(3));
        break;
      case 5:
        this.compute();
        break;
      default:
        asm.emit(0x39, 0xc0 | (a << 3) | b);
    }
  }
  /** Something that looks at flags. */
  consume(): void {
    const { r, asm } = this;
    const to = this.scratch();
    const cc = r.below(16);
    switch (r.below(9)) {
      case 0:
      case 1:
        // One of the low bytes of eax, ecx, edx.
        asm.emit(0x0f, 0x90 | cc, 0xc0 | to);
        break;
      case 2:
        asm.emit(0x0f, 0x40 | cc, 0xc0 | (to << 3) | this.anyRegister());
        break;
      case 3:
        asm.emit(0x83, 0xd0 | to, r.next() & 0xff);
        break;
      case 4:
        asm.emit(0x19, 0xc0 | (this.anyRegister() << 3) | to);
        break;
      case 5:
        asm.emit(0x9c, 0x58 | to);
        break;
      case 6:
        asm.emit(0x9f);
        break;
      case 7:
        asm.emit(0xd1, 0xd0 | to | (r.below(2) << 3));
        break;
      default:
        asm.emit(0x0f, 0x90 | cc, ...this.based(0, r.pick(this.pointers), r.between(-8, 8)));
    }
  }

  divide(): void {
    const { r, asm } = this;
    const by = r.chance(70) ? this.anyRegister() : ECX;
    if (r.chance(60)) asm.emit(...(r.chance(50) ? [0x31, 0xd2] : [0x99]));
    if (r.chance(75) && !this.kept.has(by)) asm.emit(0x83, 0xc8 | by, 1);
    const size = r.pick([[0xf7], [0xf7], [0x66, 0xf7], [0xf6]]);
    asm.emit(...size, 0xf0 | by | (r.below(2) << 3));
  }

  x87(): void {
    const { r } = this;
    const base = r.pick(this.pointers);
    for (let n = r.between(2, 5); n > 0; n--) {
      if (r.chance(50)) this.emitRow(X87_ON_REGISTERS, () => ({}));
      else this.emitRow(X87_ON_MEMORY, () => ({ mod: 1, rm: base, displacement: r.between(-24, 24) }));
    }
  }

  string(): void {
    const { r, asm } = this;
    const saved = [ECX, ESI, EDI].filter((reg) => this.kept.has(reg));
    for (const reg of saved) asm.emit(0x50 + reg);
    if (r.chance(25)) asm.emit(r.chance(60) ? 0xfd : 0xfc);
    if (r.chance(90)) this.set(ESI, this.near());
    if (r.chance(90)) this.set(EDI, this.near());
    this.set(ECX, r.below(20));
    const opcode = r.pick([0xa4, 0xa5, 0xa5, 0xaa, 0xab, 0xab, 0xac, 0xad, 0xa6, 0xa7, 0xae, 0xaf]);
    const prefix = r.chance(80) ? [r.pick([0xf3, 0xf3, 0xf2])] : [];
    asm.emit(...(r.chance(15) ? [0x66] : []), ...prefix, opcode);
    if (r.chance(70)) asm.emit(0xfc);
    for (const reg of saved.reverse()) asm.emit(0x58 + reg);
  }

  push(): void {
    const { r, asm } = this;
    switch (r.below(4)) {
      case 0:
        asm.emit(0x68, ...little(r.value()));
        break;
      case 1:
        asm.emit(0xff, ...this.based(6, r.pick(this.pointers), r.between(-16, 16)));
        break;
      default:
        asm.emit(0x50 + this.anyRegister());
    }
  }
  pop(): void {
    const { r, asm } = this;
    if (r.chance(15)) asm.emit(0x8f, ...this.based(0, r.pick(this.pointers), r.between(-16, 16)));
    else if (r.chance(10)) asm.emit(0x83, 0xc4, 4);
    else asm.emit(0x58 + this.scratch());
  }
  /** A stack frame and accesses to its variables. */
  frame(): void {
    const { r, asm } = this;
    asm.emit(0x55);
    asm.emit(0x89, 0xe5);
    asm.emit(0x83, 0xec, 16);
    for (let n = r.between(2, 5); n > 0; n--) this.access(EBP, r.between(-20, 12));
    asm.emit(0xc9);
  }

  /** The address of a loop counter in memory. */
  counterAddress(depth: number): number {
    return COUNTERS_AT + 64 * depth + this.r.below(8);
  }

  /** An instruction that a store changes while the program runs, and the store. */
  change(): { readonly target: Label; readonly emitTarget: () => void; readonly emitStore: () => void } {
    const { r, asm } = this;
    const to = this.scratch();
    const target = asm.label();
    const [offset, flips, ...bytes] = r.pick<[number, number[], ...number[]]>([
      [1, [], 0xb8 + to, ...little(r.value())],
      [2, [], 0x81, 0xc0 | (r.below(8) << 3) | to, ...little(r.value())],
      // inc and dec differ in a bit; add, or, adc, sbb, and, sub, xor, cmp of eax in bits 3..5.
      [0, [8], 0x40 + to],
      [0, [8, 0x10, 0x20, 0x28, 0x30], 0x05, ...little(r.value())],
    ]);
    const emitTarget = (): void => {
      asm.bind(target);
      asm.emit(...bytes);
    };
    const emitStore = (): void => {
      if (flips.length > 0) {
        asm.absolute([0x80, 0x35, 0, 0, 0, 0, r.pick(flips)], 2, target, offset);
        return;
      }
      const pointer = this.pointers.find((reg) => !this.kept.has(reg));
      switch (r.below(6)) {
        case 0:
          asm.absolute([0xc7, 0x05, 0, 0, 0, 0, ...little(r.value())], 2, target, offset);
          break;
        case 1:
          asm.absolute([0xc6, 0x05, 0, 0, 0, 0, r.next() & 0xff], 2, target, offset + r.below(4));
          break;
        case 2:
          asm.absolute([0xff, 0x05 | (r.below(2) << 3), 0, 0, 0, 0], 2, target, offset);
          break;
        case 3:
          asm.absolute(
            [0x66, 0x01, 0x05 | (this.anyRegister() << 3), 0, 0, 0, 0],
            3,
            target,
            offset + r.below(3),
          );
          break;
        default:
          if (pointer === undefined) asm.absolute([0xa3, 0, 0, 0, 0], 1, target, offset);
          else {
            asm.absolute([0xb8 + pointer, 0, 0, 0, 0], 1, target, offset - 8);
            asm.emit(0x89, 0x40 | (this.scratch() << 3) | pointer, 8);
          }
      }
    };
    return { target, emitTarget, emitStore };
  }
}

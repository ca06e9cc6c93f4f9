/** A decoded instruction: its form, and the numbers of the form's fields. */
import { Field, type Operand } from '../ir/ir.js';
import { SEGMENT_BASE } from './cpu-state.js';
import type { Variant } from './forms.js';
import type { FieldName, Instruction, InstructionOperand } from './instruction.js';

/** The interpreter needs only form and fields: the operands are made when they are asked for. */
export class DecodedInstruction implements Instruction {
  /** Lazily: see `operands`. */
  private made: readonly InstructionOperand[] | undefined = undefined;

  constructor(
    readonly variant: Variant,
    readonly lock: boolean,
    readonly length: number,
    /** Values of the fields of the same names. */
    readonly rm: number,
    readonly reg: number,
    readonly base: number,
    readonly index: number,
    readonly scale: number,
    readonly disp: number,
    readonly segment: number,
    readonly imm: number,
    readonly imm2: number,
    readonly target: number,
  ) {}

  get form(): number {
    return this.variant.form;
  }
  get op(): string {
    return this.variant.parts.op;
  }
  get cc(): number {
    return this.variant.parts.cc;
  }
  get operandSize(): 1 | 2 | 4 {
    return this.variant.parts.operandSize;
  }
  get addressSize(): 2 | 4 {
    return this.variant.parts.addressSize;
  }
  get rep(): Instruction['rep'] {
    return this.variant.parts.rep;
  }
  get flat(): boolean {
    return this.variant.parts.flat;
  }
  get next(): number {
    return this.length;
  }
  get segmentBase(): number {
    return SEGMENT_BASE + 4 * this.segment;
  }
  get operands(): readonly InstructionOperand[] {
    return (this.made ??= this.fill(this.variant.parts.operands));
  }
  /** The operands as an assembler shows them, also those that are never looked at. */
  get shown(): readonly InstructionOperand[] {
    return this.fill(this.variant.shown);
  }
  private fill(operands: readonly InstructionOperand[]): readonly InstructionOperand[] {
    return operands.map((o): InstructionOperand => {
      switch (o.kind) {
        case 'reg':
          return { kind: 'reg', slot: this.number(o.slot), size: o.size };
        case 'imm':
          return { kind: 'imm', value: this.number(o.value), size: o.size };
        case 'rel':
          return { kind: 'rel', target: this.target };
        case 'far':
          return { kind: 'far', offset: this.imm, selector: this.imm2 };
        case 'mem': {
          const address = {
            base: this.base,
            index: this.index,
            scale: this.scale,
            disp: this.disp,
            shape: o.address.shape,
            segment: this.segment,
            segmentBase: this.segmentBase,
          };
          return { kind: 'mem', address, size: o.size };
        }
        default:
          return o;
      }
    });
  }
  private number(o: Operand): number {
    return o instanceof Field ? fieldValue(this, o.name as FieldName) : o;
  }
}

/** Fields by small numbers, which take less time to tell apart than their names. */
export const FIELD_NUMBERS: Readonly<Record<FieldName, number>> = {
  rm: 0,
  rmVector: 0,
  reg: 1,
  regVector: 1,
  base: 2,
  index: 3,
  scale: 4,
  segment: 5,
  segmentBase: 6,
  disp: 7,
  imm: 8,
  imm2: 9,
  next: 10,
  target: 11,
};

/**
 * The number that a field of the instruction's form stands for. `next` and `target` are deltas from the instruction's
 * first byte. Fields that the form does not have give a meaningless number.
 */
export function fieldValue(insn: DecodedInstruction, name: FieldName): number {
  return numberedField(insn, FIELD_NUMBERS[name]);
}

/** `fieldValue` of the fields with a number in FIELD_NUMBERS. */
export function numberedField(insn: DecodedInstruction, field: number): number {
  switch (field) {
    case 0:
      return insn.rm;
    case 1:
      return insn.reg;
    case 2:
      return insn.base;
    case 3:
      return insn.index;
    case 4:
      return insn.scale;
    case 5:
      return insn.segment;
    case 6:
      return insn.segmentBase;
    case 7:
      return insn.disp;
    case 8:
      return insn.imm;
    case 9:
      return insn.imm2;
    case 10:
      return insn.length;
    case 11:
      return insn.target;
    default:
      throw new RangeError(`no field ${field}`);
  }
}

/** A decoded instruction: its form, and the numbers of the form's fields. */
import { Field, type Operand } from '../ir/ir.js';
import { SEGMENT_BASE } from './cpu-state.js';
import type { Variant } from './forms.js';
import type { FieldName, Instruction, InstructionOperand } from './instruction.js';

/** Its operands are made when they are asked for: the interpreter needs only form and fields. */
export class DecodedInstruction implements Instruction {
  readonly op: string;
  readonly cc: number;
  readonly operandSize: 1 | 2 | 4;
  readonly addressSize: 2 | 4;
  readonly rep: 'none' | 'rep' | 'repne';
  readonly flat: boolean;
  readonly form: number;
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
  ) {
    const form = variant.symbolic;
    this.op = form.op;
    this.cc = form.cc;
    this.operandSize = form.operandSize;
    this.addressSize = form.addressSize;
    this.rep = form.rep;
    this.flat = form.flat;
    this.form = variant.form;
  }

  get next(): number {
    return this.length;
  }
  get segmentBase(): number {
    return SEGMENT_BASE + 4 * this.segment;
  }
  get operands(): readonly InstructionOperand[] {
    return (this.made ??= this.fill(this.variant.symbolic.operands));
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

/**
 * The number that a field of the instruction's form stands for. `next` and `target` are deltas from the instruction's
 * first byte. Fields that the form does not have give a meaningless number.
 */
export function fieldValue(insn: DecodedInstruction, name: FieldName): number {
  switch (name) {
    case 'rm':
    case 'rmVector':
      return insn.rm;
    case 'reg':
    case 'regVector':
      return insn.reg;
    case 'base':
      return insn.base;
    case 'index':
      return insn.index;
    case 'scale':
      return insn.scale;
    case 'segment':
      return insn.segment;
    case 'segmentBase':
      return SEGMENT_BASE + 4 * insn.segment;
    case 'disp':
      return insn.disp;
    case 'imm':
      return insn.imm;
    case 'imm2':
      return insn.imm2;
    case 'next':
      return insn.length;
    case 'target':
      return insn.target;
  }
}

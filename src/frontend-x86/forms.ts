/**
 * Instruction forms: what is left of an instruction when its register slots, immediates, displacements, scales and targets
 * become fields. Forms are numbered densely and in the same way each time, from the opcode rows:
 * row × operand size × operand shape × prefixes that matter; rows that mean the same share their forms. They are numbered
 * when somebody first asks for a number: who decodes only to lift what is there, as a translator does, needs none.
 */
import { DS, SEGMENT_BASE } from './cpu-state.js';
import { REGISTER, numberedOperand, type Shape } from './form-operands.js';
import { AddressShape, FIELD, type Instruction, type InstructionOperand } from './instruction.js';
import { CONDITIONS, SEGMENT_NAMES } from './names.js';
import { ROWS, type Row } from './opcodes.js';

export { fieldValue } from './decoded-instruction.js';
export { REGISTER };

// A variant's number within its row: shape | these.
export const VARIANT_SIZE_16 = 8;
export const VARIANT_SEGMENTED = 16;
export const VARIANT_ADDRESS_16 = 32;
export const VARIANT_REP = 64;
export const VARIANT_REPNE = 128;

/** What operand codes say about their rows. */
interface CodeKind {
  /** Cannot be memory in modrm.rm, or cannot be a register. */
  readonly registerOnly: boolean;
  readonly memoryOnly: boolean;
  /** The operand size matters. */
  readonly sized: boolean;
}
const kinds = new Map<string, CodeKind>();

function kindOf(code: string): CodeKind {
  let kind = kinds.get(code);
  if (kind === undefined) {
    kind = {
      registerOnly: /^(R|N|U)/.test(code),
      memoryOnly: /^(M|m\d)/.test(code),
      sized: /v$|z$|^sIb$|^EvMw$|^eAX$|^M$|^Mp$|^Ma$|^Ap$|^J/.test(code),
    };
    kinds.set(code, kind);
  }
  return kind;
}

/** Whether modrm.rm can be a register or memory. */
export function rmKinds(row: Row): { register: boolean; memory: boolean } {
  let register = row.hasModrm;
  let memory = row.hasModrm && row.modrm < 0;
  for (const code of row.operands) {
    const kind = kindOf(code);
    if (kind.memoryOnly) register = false;
    if (kind.registerOnly) memory = false;
  }
  return { register, memory };
}

export function isSized(row: Row): boolean {
  return row.prefix !== '66' && (row.flags.has('sized') || row.operands.some((code) => kindOf(code).sized));
}

/** The shapes a memory operand of a row is decoded to. */
function shapesOf(row: Row): Shape[] {
  if (row.operands.includes('Ob') || row.operands.includes('Ov')) {
    return [AddressShape.absolute, AddressShape.fsgs, AddressShape.general, AddressShape.general16];
  }
  const { register, memory } = rmKinds(row);
  const shapes: Shape[] = [];
  if (memory && row.flags.has('rare')) {
    shapes.push(AddressShape.indexed, AddressShape.general, AddressShape.general16);
  } else if (memory && row.flags.has('nosegment')) {
    shapes.push(AddressShape.absolute, AddressShape.base, AddressShape.indexed, AddressShape.general16);
  } else if (memory) {
    shapes.push(AddressShape.absolute, AddressShape.base, AddressShape.indexed);
    shapes.push(AddressShape.fsgs, AddressShape.general, AddressShape.general16);
  }
  if (register || !row.hasModrm) shapes.push(REGISTER);
  return shapes;
}

/** `b` and `v` alone are no operands but the width of implicit ones. */
function isWidth(code: string): boolean {
  return code === 'b' || code === 'v';
}

/** Ops that never look at their operands, so that all their rows are one form. */
const OPERANDLESS = new Set(['nop', 'privileged', 'ud', 'too_long']);
const BYTE_CODE = /^[EGOZ]b$|^AL$/;

/** An instruction with fields in place of its numbers, but for its form's. */
export type FormParts = Omit<Instruction, 'form'>;

/**
 * A row with everything that a decoder can see but the numbers. Most of it is made when it is asked for: guests use few
 * of the variants there are.
 */
export class Variant {
  private made: FormParts | undefined = undefined;
  private numberedForm = -1;

  /**
   * @param number its number within its row
   * @param shape of the memory operand; `REGISTER` if there is none
   */
  constructor(
    readonly row: Row,
    private readonly number: number,
    readonly shape: Shape,
  ) {}

  /** The number of its form. */
  get form(): number {
    if (this.numberedForm < 0) numberForms();
    return this.numberedForm;
  }
  /** Gives it the number of the first variant that means the same, or else the next one. */
  enter(): void {
    const key = formKey(this.row, this.number, this.shape);
    const form = formByKey.get(key) ?? forms.length;
    this.numberedForm = form;
    if (form < forms.length) return;
    formByKey.set(key, form);
    forms.push(this);
  }

  /** Operands as an assembler shows them: also where the form has none because they are never looked at. */
  get shown(): readonly InstructionOperand[] {
    const { row, operandSize, shape } = this;
    return row.operands
      .filter((code) => !isWidth(code))
      .map((code) => numberedOperand(code, row.ordinal, operandSize, shape).operand);
  }
  // What the prefixes say, likewise.
  get operandSize(): 2 | 4 {
    return sizeOf(this.number);
  }
  get addressSize(): 2 | 4 {
    return addressSizeOf(this.number, this.shape);
  }
  get rep(): Instruction['rep'] {
    return this.number & VARIANT_REP ? 'rep' : this.number & VARIANT_REPNE ? 'repne' : 'none';
  }
  get flat(): boolean {
    return (this.number & VARIANT_SEGMENTED) === 0;
  }

  /** What its form is, which may be another row's as well. */
  get parts(): FormParts {
    return (this.made ??= this.makeParts());
  }

  private makeParts(): FormParts {
    const { row } = this;
    const bare = OPERANDLESS.has(row.op);
    const usesSegment = !bare && segmentMatters(row, this.number);
    return {
      op: row.op,
      cc: row.cc,
      operands: bare ? [] : this.shown,
      operandSize: bare ? 4 : isByte(row) ? 1 : this.operandSize,
      addressSize: bare ? 4 : this.addressSize,
      rep: bare ? 'none' : this.rep,
      lock: false,
      segment: usesSegment ? FIELD.segment : DS,
      segmentBase: usesSegment ? FIELD.segmentBase : SEGMENT_BASE + 4 * DS,
      flat: bare || this.flat,
      length: 0,
      next: FIELD.next,
    };
  }
}

function sizeOf(number: number): 2 | 4 {
  return number & VARIANT_SIZE_16 ? 2 : 4;
}
function addressSizeOf(number: number, shape: Shape): 2 | 4 {
  return number & VARIANT_ADDRESS_16 || shape === AddressShape.general16 ? 2 : 4;
}
function isByte(row: Row): boolean {
  return row.operands.includes('b') || BYTE_CODE.test(row.operands[0] ?? '');
}
/** A string operation whose source segment is part of the form. */
function segmentMatters(row: Row, number: number): boolean {
  return (number & VARIANT_SEGMENTED) !== 0 && row.flags.has('string');
}

/** The first variant of each form. */
const forms: Variant[] = [];
const formByKey = new Map<string, number>();

/** Bits of a variant's number that its form keeps as they are. */
const KEPT_BITS = VARIANT_SEGMENTED | VARIANT_REP | VARIANT_REPNE;

/** All that tells forms of an op apart: what is left of an instruction is constant, or follows from these. */
function formKey(row: Row, number: number, shape: Shape): string {
  if (OPERANDLESS.has(row.op)) return row.op;
  const size = sizeOf(number);
  let operands = '';
  for (const code of row.operands) {
    if (!isWidth(code)) operands += `${numberedOperand(code, row.ordinal, size, shape).number} `;
  }
  const sizes = (isByte(row) ? 1 : size) | (addressSizeOf(number, shape) << 8);
  return `${row.op} ${row.cc} ${operands}${sizes} ${number & KEPT_BITS} ${segmentMatters(row, number)}`;
}

function makeVariants(row: Row): (Variant | undefined)[] {
  const string = row.flags.has('string');
  const sizes = isSized(row) ? [0, VARIANT_SIZE_16] : [0];
  // A string operation with 16-bit addresses always goes through its segment.
  const environments = string
    ? [0, VARIANT_SEGMENTED, VARIANT_SEGMENTED | VARIANT_ADDRESS_16]
    : row.flags.has('stack')
      ? [0, VARIANT_SEGMENTED]
      : row.flags.has('address')
        ? [0, VARIANT_ADDRESS_16]
        : [0];
  const reps = row.flags.has('repz')
    ? [0, VARIANT_REP, VARIANT_REPNE]
    : row.flags.has('rep')
      ? [0, VARIANT_REP]
      : [0];
  const shapes = shapesOf(row);
  const variants: (Variant | undefined)[] = [];
  for (const rep of reps) {
    for (const environment of environments) {
      for (const size of sizes) {
        for (const shape of shapes) {
          const segmented = (environment & VARIANT_SEGMENTED) !== 0;
          if (segmented && !string && shape < AddressShape.general) continue;
          const bits = shape | size | environment | rep;
          variants[bits] = new Variant(row, bits, shape);
        }
      }
    }
  }
  // Dense: decoding reads all of it.
  return Array.from(variants);
}

function specialRow(mnemonic: string, opcode: number): Row {
  return {
    map: 1,
    opcode,
    opcodeRegister: false,
    prefix: 'any',
    hasModrm: false,
    reg: -1,
    modrm: -1,
    modrmCount: 1,
    mnemonic,
    op: mnemonic,
    cc: 0,
    operands: [],
    ordinal: 0,
    flags: new Set(),
  };
}

/** An undefined instruction: raises #UD. */
export const UNDEFINED = new Variant(specialRow('ud', 0x0b), REGISTER, REGISTER);
/** More than 15 bytes: raises #GP(0) (Intel SDM vol. 2, 2.3.11). */
export const TOO_LONG = new Variant(specialRow('too_long', 0), REGISTER, REGISTER);

/** Per row of `ROWS`, as far as anybody has asked. */
const variants: (readonly (Variant | undefined)[])[] = [];

/** The variants by number of the row with this index in `ROWS`. */
export function variantsOf(row: number): readonly (Variant | undefined)[] {
  return (variants[row] ??= makeVariants(ROWS[row]!));
}

/** Numbers all forms. */
function numberForms(): void {
  UNDEFINED.enter();
  TOO_LONG.enter();
  for (let row = 0; row < ROWS.length; row++) {
    for (const variant of variantsOf(row)) variant?.enter();
  }
}

/** The first variants of all forms, in order of their numbers. */
function numberedForms(): readonly Variant[] {
  if (forms.length === 0) numberForms();
  return forms;
}

export function formCount(): number {
  return numberedForms().length;
}

/** The first row and its variant that have this form. Throws RangeError for a form that does not exist. */
export function formVariant(form: number): Variant {
  const found = numberedForms()[form];
  if (found === undefined) throw new RangeError(`no instruction form ${form}`);
  return found;
}

/** The form of an instruction, or form number, with fields in place of its numbers. Throws RangeError likewise. */
export function symbolic(form: number | Instruction): Instruction {
  const number = typeof form === 'number' ? form : form.form;
  return { ...formVariant(number).parts, form: number };
}

/** All forms in order of their numbers. */
export function* allForms(): Generator<Instruction> {
  for (let form = 0; form < formCount(); form++) yield symbolic(form);
}

const SHAPE_NAMES = ['abs', 'base', 'indexed', 'fsgs', 'general', 'general16'];
const REGISTER_NAMES = ['', 'al', 'ax', '', 'eax'];

function operandName(o: InstructionOperand, operandSize: number): string {
  switch (o.kind) {
    case 'reg': {
      if (typeof o.slot !== 'number') return o.slot.name + (o.size === operandSize ? '' : 8 * o.size);
      const letter = 'acdb'[o.slot >> 2]!;
      return o.size === 1 ? `${letter}l` : REGISTER_NAMES[o.size]!.replace('a', letter);
    }
    case 'mem':
      return `[${SHAPE_NAMES[o.address.shape]}]${o.size === operandSize ? '' : 8 * o.size}`;
    case 'imm':
      return typeof o.value === 'number'
        ? `${o.value}`
        : o.value.name + (o.size === operandSize ? '' : 8 * o.size);
    case 'rel':
      return 'rel';
    case 'far':
      return 'far';
    case 'sreg':
      return SEGMENT_NAMES[o.number]!;
    case 'creg':
      return `cr${o.number}`;
    case 'dreg':
      return `dr${o.number}`;
    case 'st':
      return `st${o.number}`;
  }
}

/** A form's name for people, such as `add.32 [base],reg`; no two forms share one. */
export function formName(form: number | Instruction): string {
  const i = symbolic(form);
  const condition = CONDITIONS[i.cc]!;
  const prefix = i.rep === 'none' ? '' : `${i.rep} `;
  const name = i.op.endsWith('cc') ? i.op.slice(0, -2) + condition : i.op;
  const address = i.addressSize === 2 ? '.a16' : '';
  const flat = i.flat ? '' : '.seg';
  const operands = i.operands.map((o) => operandName(o, i.operandSize)).join(',');
  return `${prefix}${name}.${8 * i.operandSize}${address}${flat} ${operands}`.trimEnd();
}

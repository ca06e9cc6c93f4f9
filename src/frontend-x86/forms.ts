/**
 * Instruction forms: what is left of an instruction when its register slots, immediates, displacements, scales and targets
 * become fields. Forms are numbered densely and in the same way each time, from the opcode rows:
 * row × operand size × operand shape × prefixes that matter; rows that mean the same share their forms.
 */
import type { Operand } from '../ir/ir.js';
import { DS, EAX, ECX, EDX, SEGMENT_BASE, ZERO } from './cpu-state.js';
import {
  AddressShape,
  FIELD,
  type Address,
  type Instruction,
  type InstructionOperand,
  type OperandSize,
} from './instruction.js';
import { CONDITIONS, SEGMENT_NAMES } from './names.js';
import { ROWS, type Row } from './opcodes.js';

export { fieldValue } from './decoded-instruction.js';

/** A row with everything that a decoder can see but the numbers. */
export interface Variant {
  readonly row: Row;
  /** Shape of the memory operand; `REGISTER` if there is none. */
  readonly shape: Shape;
  readonly form: number;
  /** Operands as an assembler shows them: also where the form has none because they are never looked at. */
  readonly shown: readonly InstructionOperand[];
  /** What the prefixes say, likewise. */
  readonly operandSize: 2 | 4;
  readonly addressSize: 2 | 4;
  readonly rep: Instruction['rep'];
  readonly flat: boolean;
  readonly symbolic: Instruction;
}

export const REGISTER = 6;
export type Shape = AddressShape | typeof REGISTER;

// A variant's number within its row: shape | these.
export const VARIANT_SIZE_16 = 8;
export const VARIANT_SEGMENTED = 16;
export const VARIANT_ADDRESS_16 = 32;
export const VARIANT_REP = 64;
export const VARIANT_REPNE = 128;

function memory(shape: Shape, size: OperandSize): InstructionOperand {
  if (shape === REGISTER) throw new Error('a memory operand without a shape');
  const segmented = shape >= AddressShape.fsgs;
  const hasIndex = shape >= AddressShape.indexed;
  const address: Address = {
    base: shape === AddressShape.absolute ? ZERO : FIELD.base,
    index: hasIndex ? FIELD.index : ZERO,
    scale: hasIndex && shape !== AddressShape.general16 ? FIELD.scale : 0,
    disp: FIELD.disp,
    shape,
    segment: segmented ? FIELD.segment : DS,
    segmentBase: segmented ? FIELD.segmentBase : SEGMENT_BASE + 4 * DS,
  };
  return { kind: 'mem', address, size };
}

function reg(slot: Operand, size: OperandSize): InstructionOperand {
  return { kind: 'reg', slot, size };
}
function imm(value: Operand, size: OperandSize): InstructionOperand {
  return { kind: 'imm', value, size };
}

/** Bytes of the operand codes' last letters; `v` and `z` are the operand size. */
const WIDTHS: Readonly<Record<string, OperandSize>> = { b: 1, w: 2, d: 4, q: 8, x: 16 };
/** Memory operands with widths of their own. */
const MEMORY_BYTES: Readonly<Record<string, OperandSize>> = {
  M8: 1,
  Mw: 2,
  Md: 4,
  Mq: 8,
  Mx: 16,
  Ms: 6,
  m16: 2,
  m32: 4,
  m64: 8,
  m80: 10,
  m28: 28,
  m108: 108,
  m512: 512,
};

/** The operand that a code of a row stands for. */
function operandOf(code: string, row: Row, size: 2 | 4, shape: Shape): InstructionOperand {
  const width = WIDTHS[code.at(-1)!] ?? size;
  switch (code) {
    case 'M':
      return memory(shape, size);
    case 'Mp':
      return memory(shape, size === 2 ? 4 : 6);
    case 'Ma':
      return memory(shape, size === 2 ? 4 : 8);
    case 'EvMw':
      return shape === REGISTER ? reg(FIELD.rm, size) : memory(shape, 2);
    case 'EdMw':
      return shape === REGISTER ? reg(FIELD.rm, 4) : memory(shape, 2);
    case 'Ob':
    case 'Ov':
      return memory(shape, width);
    case 'AL':
      return reg(EAX, 1);
    case 'AX':
      return reg(EAX, 2);
    case 'eAX':
      return reg(EAX, size);
    case 'CL':
      return reg(ECX, 1);
    case 'DX':
      return reg(EDX, 2);
    case '1':
      return imm(1, 1);
    case 'Ib':
    case 'uIb':
      return imm(FIELD.imm, 1);
    case 'Ib2':
      return imm(FIELD.imm2, 1);
    case 'Iw':
      return imm(FIELD.imm, 2);
    case 'sIb':
    case 'Iz':
      return imm(FIELD.imm, size);
    case 'Jb':
    case 'Jz':
      return { kind: 'rel', target: FIELD.target };
    case 'Ap':
      return { kind: 'far', offset: FIELD.imm, selector: FIELD.imm2 };
    case 'ST0':
      return { kind: 'st', number: 0 };
    case 'STi':
      return { kind: 'st', number: row.ordinal };
    case 'Sw':
      return { kind: 'sreg', number: row.ordinal };
    case 'Cd':
      return { kind: 'creg', number: row.ordinal };
    case 'Dd':
      return { kind: 'dreg', number: row.ordinal };
  }
  const segment = SEGMENT_NAMES.indexOf(code.toLowerCase());
  if (segment >= 0) return { kind: 'sreg', number: segment };
  if (code in MEMORY_BYTES) return memory(shape, MEMORY_BYTES[code]!);
  switch (code[0]) {
    case 'E':
      return shape === REGISTER ? reg(FIELD.rm, width) : memory(shape, width);
    case 'R':
      return reg(FIELD.rm, width);
    case 'G':
    case 'Z':
      return reg(FIELD.reg, width);
    case 'P':
      return reg(FIELD.regVector, 8);
    case 'V':
      return reg(FIELD.regVector, 16);
    case 'Q':
      return shape === REGISTER ? reg(FIELD.rmVector, 8) : memory(shape, width);
    case 'W':
      return shape === REGISTER ? reg(FIELD.rmVector, 16) : memory(shape, width);
    case 'N':
      return reg(FIELD.rmVector, 8);
    case 'U':
      return reg(FIELD.rmVector, 16);
  }
  throw new Error(`operand code ${code}`);
}

/** Whether a code can be a register (R) or memory (M) in modrm.rm. */
export function rmKinds(row: Row): { register: boolean; memory: boolean } {
  let register = true;
  let memory = true;
  for (const code of row.operands) {
    if (/^(M|m\d)/.test(code)) register = false;
    if (/^(R|N|U)/.test(code)) memory = false;
  }
  if (row.modrm >= 0) memory = false;
  return { register: register && row.hasModrm, memory: memory && row.hasModrm };
}

/** `b` and `v` alone are no operands but the width of implicit ones. */
function isWidth(code: string): boolean {
  return code === 'b' || code === 'v';
}

const SIZED_CODE = /v$|z$|^sIb$|^EvMw$|^eAX$|^M$|^Mp$|^Ma$|^Ap$|^J/;
export function isSized(row: Row): boolean {
  return (
    row.prefix !== '66' && (row.flags.has('sized') || row.operands.some((code) => SIZED_CODE.test(code)))
  );
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

interface Form {
  readonly symbolic: Instruction;
  /** The first that has this form. */
  readonly variant: Variant;
}
const forms: Form[] = [];
const formByKey = new Map<string, number>();

/** Ops that never look at their operands, so that all their rows are one form. */
const OPERANDLESS = new Set(['nop', 'privileged', 'ud', 'too_long']);

function repOf(bits: number): Instruction['rep'] {
  return bits & VARIANT_REP ? 'rep' : bits & VARIANT_REPNE ? 'repne' : 'none';
}

function symbolicOf(
  row: Row,
  bits: number,
  shape: Shape,
): { symbolic: Instruction; shown: InstructionOperand[] } {
  const size = bits & VARIANT_SIZE_16 ? 2 : 4;
  const isByte = row.operands.some((code) => code === 'b') || /^[EGOZ]b$|^AL$/.test(row.operands[0] ?? '');
  const shown = row.operands
    .filter((code) => !isWidth(code))
    .map((code) => operandOf(code, row, size, shape));
  const bare = OPERANDLESS.has(row.op);
  const isString = row.flags.has('string');
  const segmented = (bits & VARIANT_SEGMENTED) !== 0;
  const usesSegment = isString && segmented && !bare;
  const address16 = (bits & VARIANT_ADDRESS_16) !== 0 || shape === AddressShape.general16;
  const symbolic: Instruction = {
    op: row.op,
    cc: row.cc,
    operands: bare ? [] : shown,
    operandSize: bare ? 4 : isByte ? 1 : size,
    addressSize: address16 && !bare ? 2 : 4,
    rep: bare ? 'none' : repOf(bits),
    lock: false,
    segment: usesSegment ? FIELD.segment : DS,
    segmentBase: usesSegment ? FIELD.segmentBase : SEGMENT_BASE + 4 * DS,
    flat: bare || !segmented,
    length: 0,
    next: FIELD.next,
    form: -1,
  };
  return { symbolic, shown };
}

function keyOf(i: Instruction): string {
  return JSON.stringify({ ...i, form: 0 });
}

function addVariant(row: Row, bits: number, shape: Shape): Variant {
  const { symbolic, shown } = symbolicOf(row, bits, shape);
  const key = keyOf(symbolic);
  const known = formByKey.get(key);
  const form = known ?? forms.length;
  const variant: Variant = {
    row,
    shape,
    form,
    shown,
    operandSize: bits & VARIANT_SIZE_16 ? 2 : 4,
    addressSize: bits & VARIANT_ADDRESS_16 || shape === AddressShape.general16 ? 2 : 4,
    rep: repOf(bits),
    flat: (bits & VARIANT_SEGMENTED) === 0,
    symbolic: known === undefined ? { ...symbolic, form } : forms[known]!.symbolic,
  };
  if (known === undefined) {
    formByKey.set(key, form);
    forms.push({ symbolic: variant.symbolic, variant });
  }
  return variant;
}

function variantsOf(row: Row): (Variant | undefined)[] {
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
  const variants: (Variant | undefined)[] = [];
  for (const rep of reps) {
    for (const environment of environments) {
      for (const size of sizes) {
        for (const shape of shapesOf(row)) {
          const segmented = (environment & VARIANT_SEGMENTED) !== 0;
          if (segmented && !string && shape < AddressShape.general) continue;
          const bits = shape | size | environment | rep;
          variants[bits] = addVariant(row, bits, shape);
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
export const UNDEFINED = addVariant(specialRow('ud', 0x0b), REGISTER, REGISTER);
/** More than 15 bytes: raises #GP(0) (Intel SDM vol. 2, 2.3.11). */
export const TOO_LONG = addVariant(specialRow('too_long', 0), REGISTER, REGISTER);

/** Per row of `ROWS`: its variants by number. */
export const VARIANTS: readonly (readonly (Variant | undefined)[])[] = ROWS.map(variantsOf);

export const formCount = forms.length;

/** The form of an instruction, or form number, with fields in place of its numbers. */
export function symbolic(form: number | Instruction): Instruction {
  const found = forms[typeof form === 'number' ? form : form.form];
  if (found === undefined) throw new RangeError(`no instruction form ${String(form)}`);
  return found.symbolic;
}

/** The first row and its variant that have this form. Throws RangeError for a form that does not exist. */
export function formVariant(form: number): Variant {
  const found = forms[form];
  if (found === undefined) throw new RangeError(`no instruction form ${form}`);
  return found.variant;
}

/** All forms in order of their numbers. */
export function* allForms(): Generator<Instruction> {
  for (const form of forms) yield form.symbolic;
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

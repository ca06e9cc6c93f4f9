/**
 * Instruction forms: what is left of an instruction when its register slots, immediates, displacements, scales and targets
 * become fields. Forms are numbered densely and in the same way each time, from the opcode rows:
 * row × operand size × operand shape × prefixes that matter; rows that mean the same share their forms.
 */
import { DS, SEGMENT_BASE } from './cpu-state.js';
import { REGISTER, numberedOperand, type Shape } from './form-operands.js';
import { AddressShape, FIELD, type Instruction, type InstructionOperand } from './instruction.js';
import { CONDITIONS, SEGMENT_NAMES } from './names.js';
import { ROWS, type Row } from './opcodes.js';

export { fieldValue } from './decoded-instruction.js';
export { REGISTER };

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

// A variant's number within its row: shape | these.
export const VARIANT_SIZE_16 = 8;
export const VARIANT_SEGMENTED = 16;
export const VARIANT_ADDRESS_16 = 32;
export const VARIANT_REP = 64;
export const VARIANT_REPNE = 128;

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
): { symbolic: Instruction; shown: InstructionOperand[]; key: string } {
  const size = bits & VARIANT_SIZE_16 ? 2 : 4;
  const isByte = row.operands.some((code) => code === 'b') || /^[EGOZ]b$|^AL$/.test(row.operands[0] ?? '');
  const numbered = row.operands
    .filter((code) => !isWidth(code))
    .map((code) => numberedOperand(code, row, size, shape));
  const shown = numbered.map(({ operand }) => operand);
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
  const { op, cc, operandSize, addressSize, rep, flat } = symbolic;
  const numbers = bare ? '' : numbered.map(({ number }) => number).join();
  // All that differs: what is left of an instruction is constant, or follows from these.
  const key = `${op} ${cc} ${numbers} ${operandSize} ${addressSize} ${rep} ${flat} ${usesSegment}`;
  return { symbolic, shown, key };
}

function addVariant(row: Row, bits: number, shape: Shape): Variant {
  const { symbolic, shown, key } = symbolicOf(row, bits, shape);
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

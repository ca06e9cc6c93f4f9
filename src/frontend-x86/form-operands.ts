/** The operands of instruction forms: what the operand codes of the opcode rows stand for (see `opcodes.ts`). */
import type { Operand } from '../ir/ir.js';
import { DS, EAX, ECX, EDX, SEGMENT_BASE, ZERO } from './cpu-state.js';
import {
  AddressShape,
  FIELD,
  type Address,
  type InstructionOperand,
  type OperandSize,
} from './instruction.js';
import { SEGMENT_NAMES } from './names.js';

/** In place of a shape: there is no memory operand. */
export const REGISTER = 6;
export type Shape = AddressShape | typeof REGISTER;

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
function operandOf(code: string, ordinal: number, size: 2 | 4, shape: Shape): InstructionOperand {
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
      return { kind: 'st', number: ordinal };
    case 'Sw':
      return { kind: 'sreg', number: ordinal };
    case 'Cd':
      return { kind: 'creg', number: ordinal };
    case 'Dd':
      return { kind: 'dreg', number: ordinal };
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

/** An operand of a form, with a number that equal operands share, by which forms are compared. */
export interface NumberedOperand {
  readonly operand: InstructionOperand;
  readonly number: number;
}

const numbers = new Map<string, number>();
/** By what they are made from: the same code gives the same object, another code (ST0, STi) another one. */
const made = new Map<string, (NumberedOperand | undefined)[]>();

/**
 * The operand that a code of a row stands for.
 * @param ordinal the row's
 * @param size operand size in bytes
 * @param shape the memory operand's
 */
export function numberedOperand(code: string, ordinal: number, size: 2 | 4, shape: Shape): NumberedOperand {
  let ofCode = made.get(code);
  if (ofCode === undefined) made.set(code, (ofCode = []));
  const index = (ordinal << 4) | ((size << 1) & 8) | shape;
  return (ofCode[index] ??= number(operandOf(code, ordinal, size, shape)));
}

function number(operand: InstructionOperand): NumberedOperand {
  const key = JSON.stringify(operand);
  const known = numbers.get(key) ?? numbers.size;
  numbers.set(key, known);
  return { operand, number: known };
}

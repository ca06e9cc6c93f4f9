/** The way back from a form to bytes, so that tests and the vectors of the native CPU can enumerate all forms. */
import { CS, DS, EBX, ES, ESI, FPU_MANTISSA, FS, GS, SS, XMM, ZERO } from './cpu-state.js';
import { REGISTER, formVariant, type Variant } from './forms.js';
import { AddressShape, type FieldName, type Instruction } from './instruction.js';

export interface Sample {
  readonly bytes: Uint8Array;
  /** What `decode` must be told to arrive at the form. */
  readonly flat: boolean;
}

export type FieldValues = Partial<Record<FieldName, number>>;

const OVERRIDES: Readonly<Record<number, number>> = {
  [ES]: 0x26,
  [CS]: 0x2e,
  [SS]: 0x36,
  [DS]: 0x3e,
  [FS]: 0x64,
  [GS]: 0x65,
};
/** modrm.rm of the 16-bit address forms by base and index slot (SDM vol. 2, table 2-1). */
const RM_16: Readonly<Record<string, number>> = {
  '12,24': 0,
  '12,28': 1,
  '20,24': 2,
  '20,28': 3,
  '24,32': 4,
  '28,32': 5,
  '20,32': 6,
  '12,32': 7,
};

/** Register number of the state slot that a field is given, or `otherwise`. */
function registerNumber(
  variant: Variant,
  field: 'rm' | 'reg',
  values: FieldValues,
  otherwise: number,
): number {
  for (const o of variant.shown) {
    if (o.kind !== 'reg' || typeof o.slot === 'number') continue;
    if (o.slot.name === `${field}Vector`) {
      const slot = values[`${field}Vector`];
      if (slot === undefined) return otherwise;
      return o.size === 8 ? (slot - FPU_MANTISSA) / 8 : (slot - XMM) / 16;
    }
    const slot = values[field];
    if (o.slot.name !== field || slot === undefined) continue;
    return o.size === 1 ? (slot >> 2) | ((slot & 1) << 2) : slot >> 2;
  }
  return otherwise;
}

function little(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, n) => (value >>> (8 * n)) & 0xff);
}

function memoryBytes(variant: Variant, reg: number, values: FieldValues): number[] {
  const disp = values.disp ?? 0x12345678;
  const base = values.base ?? EBX;
  const index = values.index ?? ESI;
  const modrm = (mod: number, rm: number): number => (mod << 6) | (reg << 3) | rm;
  switch (variant.shape) {
    case AddressShape.absolute:
      return [modrm(0, 5), ...little(disp, 4)];
    case AddressShape.base:
      return [modrm(2, base >> 2), ...(base >> 2 === 4 ? [0x24] : []), ...little(disp, 4)];
    case AddressShape.general16: {
      if (base === ZERO && index === ZERO) return [modrm(0, 6), ...little(disp, 2)];
      const rm = RM_16[`${base},${index}`];
      if (rm === undefined) throw new RangeError(`no 16-bit address form with slots ${base} and ${index}`);
      return [modrm(2, rm), ...little(disp, 2)];
    }
    default: {
      const sib = ((values.scale ?? 2) << 6) | ((index === ZERO ? 4 : index >> 2) << 3);
      if (base === ZERO) return [modrm(0, 4), sib | 5, ...little(disp, 4)];
      return [modrm(2, 4), sib | (base >> 2), ...little(disp, 4)];
    }
  }
}

function immediateBytes(variant: Variant, at: number, values: FieldValues): number[] {
  const size = variant.operandSize;
  const imm = values.imm ?? 0x11;
  const out: number[] = [];
  for (const code of variant.row.operands) {
    switch (code) {
      case 'Ib':
      case 'uIb':
      case 'sIb':
        out.push(...little(imm, 1));
        break;
      case 'Ib2':
        out.push(...little(values.imm2 ?? 1, 1));
        break;
      case 'Iw':
        out.push(...little(imm, 2));
        break;
      case 'Iz':
        out.push(...little(imm, size));
        break;
      case 'Jb':
        out.push(...little((values.target ?? 0x20) - (at + 1), 1));
        break;
      case 'Jz':
        out.push(...little((values.target ?? 0x20) - (at + size), size));
        break;
      case 'Ap':
        out.push(...little(imm, size), ...little(values.imm2 ?? 0x1b, 2));
        break;
      case 'Ob':
      case 'Ov':
        out.push(...little(values.disp ?? 0x1234, variant.addressSize));
        break;
    }
  }
  return out;
}

/**
 * An encoding of a form, with these field values or, where they are missing, some of its choice. Register fields are
 * slots. Values that no encoding of the form can have are truncated as the encoding does. Throws RangeError for a form
 * that does not exist.
 */
export function sampleEncoding(form: number | Instruction, values: FieldValues = {}): Sample {
  const variant = formVariant(typeof form === 'number' ? form : form.form);
  const { row, shape } = variant;
  if (row.op === 'too_long') return { bytes: new Uint8Array(15).fill(0x66), flat: true };
  const general = shape === AddressShape.general;
  const segmented = general || shape === AddressShape.fsgs || !variant.flat;
  const bytes: number[] = [];
  // With a flat stack, only an override leads to the general shape.
  const flatStack = general && variant.flat && row.flags.has('stack');
  const implied =
    shape === AddressShape.fsgs ? GS : flatStack ? (row.flags.has('rare') ? FS : CS) : undefined;
  const segment = values.segment ?? implied;
  if (segment !== undefined && (segmented || shape === AddressShape.general16))
    bytes.push(OVERRIDES[segment]!);
  if (variant.addressSize === 2) bytes.push(0x67);
  if (variant.operandSize === 2) bytes.push(0x66);
  if (variant.rep !== 'none') bytes.push(variant.rep === 'rep' ? 0xf3 : 0xf2);
  if (row.prefix === '66' || row.prefix === 'f2' || row.prefix === 'f3') bytes.push(parseInt(row.prefix, 16));
  if (row.map === 1) bytes.push(0x0f);
  const rm = registerNumber(variant, 'rm', values, 1);
  const reg = row.reg >= 0 ? row.reg : registerNumber(variant, 'reg', values, 2);
  bytes.push(row.opcodeRegister ? row.opcode | reg : row.opcode);
  if (row.modrm >= 0) bytes.push(row.modrm);
  else if (row.hasModrm && shape === REGISTER) bytes.push(0xc0 | (reg << 3) | rm);
  else if (row.hasModrm) bytes.push(...memoryBytes(variant, reg, values));
  bytes.push(...immediateBytes(variant, bytes.length, values));
  return { bytes: Uint8Array.from(bytes), flat: variant.flat && (!general || flatStack) };
}

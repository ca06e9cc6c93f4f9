/** A decoded instruction, and its form: what is left when its numbers become fields. */
import { Field, type Operand } from '../ir/ir.js';

/**
 * A memory operand's effective address, before the segment base:
 * [base + index << scale + disp], truncated to 16 bits with 16-bit addressing.
 */
export interface Address {
  /** State slot of a dword register (ZERO if none). */
  readonly base: Operand;
  readonly index: Operand;
  /** 0..3; always a number for shapes that have none (0). */
  readonly scale: Operand;
  readonly disp: Operand;
  readonly shape: AddressShape;
  /** Segment register 0..5 whose base is added; meaningful unless `flat`. */
  readonly segment: Operand;
  /** Slot of the segment's base, SEGMENT_BASE + 4 × segment, likewise. */
  readonly segmentBase: Operand;
}

/**
 * Shapes of address forms, chosen by the decoder. The flat shapes leave the segment out: it is flat (base 0, 4 GiB).
 * `absolute`: disp. `base`: base + disp. `indexed`: base + (index << scale) + disp. `general`: as `indexed`, with the
 * segment's base added and its limit and type checked. `general16`: likewise, with the offset truncated to 16 bits.
 * `fsgs`: as `indexed` + base of FS or GS, whose limit is known to be 4 GiB.
 */
export const enum AddressShape {
  absolute = 0,
  base = 1,
  indexed = 2,
  fsgs = 3,
  general = 4,
  general16 = 5,
}

/** The fields a form can have. Each is one number in the predecoded record. */
export const FIELD = {
  /** Slot of the modrm.rm register (of the operand's width: AH is slot 1). */
  rm: new Field('rm', 1),
  /** Slot of the modrm.reg (or opcode-encoded) register. */
  reg: new Field('reg', 1),
  /** Likewise for MMX and XMM registers, whose slots need more than a byte. */
  rmVector: new Field('rmVector', 4),
  regVector: new Field('regVector', 4),
  base: new Field('base', 1),
  index: new Field('index', 1),
  scale: new Field('scale', 1),
  segment: new Field('segment', 1),
  segmentBase: new Field('segmentBase', 1),
  disp: new Field('disp', 4),
  imm: new Field('imm', 4),
  /** Second immediate: enter's level, far pointer's selector. */
  imm2: new Field('imm2', 4),
  /** Where the next instruction starts (as `pcrel` delta). */
  next: new Field('next', 4),
  /** Target of a relative jump or call (as `pcrel` delta). */
  target: new Field('target', 4),
} as const;

export type FieldName = keyof typeof FIELD;

export type OperandSize = 1 | 2 | 4 | 6 | 8 | 10 | 16 | 28 | 108 | 512;

export type InstructionOperand =
  /** A register: the slot of its first byte (AH is slot 1) and its width in bytes; XMM registers are 16 wide. */
  | { readonly kind: 'reg'; readonly slot: Operand; readonly size: OperandSize }
  | { readonly kind: 'mem'; readonly address: Address; readonly size: OperandSize }
  /** Already sign- or zero-extended to 32 bits as the instruction wants it. */
  | { readonly kind: 'imm'; readonly value: Operand; readonly size: OperandSize }
  /** Target of a relative transfer as a `pcrel` delta (with 16-bit operand size the lifter truncates eip). */
  | { readonly kind: 'rel'; readonly target: Operand }
  /** ptr16:16 and ptr16:32. */
  | { readonly kind: 'far'; readonly offset: Operand; readonly selector: Operand }
  /** Segment register by number: always a number, it is part of the form. */
  | { readonly kind: 'sreg'; readonly number: number }
  /** Control or debug register by number, part of the form. */
  | { readonly kind: 'creg' | 'dreg'; readonly number: number }
  /** ST(i): always a number, part of the form. */
  | { readonly kind: 'st'; readonly number: number };

/**
 * One decoded instruction; or, with fields in place of numbers, one instruction form.
 * `op` names the lift function: the Intel mnemonic in lower case without its condition or size
 * (`add`, `movzx`, `jcc`, `setcc`, `cmovcc`, `movs`, `fadd`, `fiadd`…).
 */
export interface Instruction {
  readonly op: string;
  /** Condition code 0..15 of jcc, setcc, cmovcc, fcmovcc (Intel encoding; part of the form). */
  readonly cc: number;
  readonly operands: readonly InstructionOperand[];
  /** Operand size attribute in bytes (string operations and in/out of bytes: 1), address size in bytes. */
  readonly operandSize: 1 | 2 | 4;
  readonly addressSize: 2 | 4;
  readonly rep: 'none' | 'rep' | 'repne';
  readonly lock: boolean;
  /** Segment of a string operation's source or of xlat, and how to form addresses with it. */
  readonly segment: Operand;
  readonly segmentBase: Operand;
  /** All of CS DS ES SS are flat (so string operations and pushes need no base); FS/GS string overrides are never flat. */
  readonly flat: boolean;
  /** Bytes, 1..15 (0 in a form). */
  readonly length: number;
  /** Delta to the next instruction: the length, or FIELD.next. */
  readonly next: Operand;
  /** Dense small number that names the form: opcode row, operand shapes, sizes, prefixes. */
  readonly form: number;
}

/** Intel-syntax text of decoded instructions, as `objdump -M intel` writes them. */
import { EBP, ESP, FPU_MANTISSA, XMM, ZERO, DS, ES, SS } from './cpu-state.js';
import type { DecodedInstruction } from './decoded-instruction.js';
import { AddressShape, type Address, type InstructionOperand } from './instruction.js';
import { CONDITIONS, SEGMENT_NAMES } from './names.js';

const DWORDS = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'];
const WORDS = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];
/** By slot: low byte, high byte. */
const BYTES: Readonly<Record<number, string>> = {
  0: 'al',
  1: 'ah',
  4: 'cl',
  5: 'ch',
  8: 'dl',
  9: 'dh',
  12: 'bl',
  13: 'bh',
};
const SIZE_NAMES: Readonly<Record<number, string>> = {
  1: 'BYTE PTR ',
  2: 'WORD PTR ',
  4: 'DWORD PTR ',
  6: 'FWORD PTR ',
  8: 'QWORD PTR ',
  10: 'TBYTE PTR ',
  16: 'XMMWORD PTR ',
};
/** Memory operands whose size is not part of the text. */
const UNSIZED = new Set(['lea', 'sgdt', 'sidt', 'lgdt', 'lidt', 'fxsave', 'fxrstor']);
/** Take a `w` when no operand shows that the operand size is 16. */
const WORD_SUFFIX = new Set(['push', 'pop', 'call', 'jmp']);
/** [16-bit, 32-bit] names of instructions without operands. */
const BY_SIZE: Readonly<Record<string, readonly [string, string]>> = {
  cbw: ['cbw', 'cwde'],
  cwd: ['cwd', 'cdq'],
  pusha: ['pushaw', 'pusha'],
  popa: ['popaw', 'popa'],
  pushf: ['pushfw', 'pushf'],
  popf: ['popfw', 'popf'],
  iret: ['iretw', 'iret'],
  ret: ['retw', 'ret'],
  retf: ['retfw', 'retf'],
  leave: ['leavew', 'leave'],
  enter: ['enterw', 'enter'],
  callf: ['callw', 'call'],
  jmpf: ['jmpw', 'jmp'],
  sgdt: ['sgdtw', 'sgdtd'],
  sidt: ['sidtw', 'sidtd'],
  lgdt: ['lgdtw', 'lgdtd'],
  lidt: ['lidtw', 'lidtd'],
};

function hex(n: number): string {
  return `0x${(n >>> 0).toString(16)}`;
}

function register(slot: number, size: number): string {
  if (slot >= XMM) return `xmm${(slot - XMM) / 16}`;
  if (slot >= FPU_MANTISSA) return `mm${(slot - FPU_MANTISSA) / 8}`;
  if (size === 1) return BYTES[slot]!;
  return (size === 2 ? WORDS : DWORDS)[slot >> 2]!;
}

function signed(n: number): string {
  return n < 0 ? `-${hex(-n)}` : `+${hex(n)}`;
}

/** Without size. */
function memory(a: Address): string {
  const base = a.base as number;
  const index = a.index as number;
  const disp = a.disp as number;
  const segment = a.segment as number;
  const usual = base === EBP || base === ESP ? SS : DS;
  const override = segment === usual ? '' : `${SEGMENT_NAMES[segment]!}:`;
  if (base === ZERO && index === ZERO) return `${override || 'ds:'}${hex(disp)}`;
  if (a.shape === AddressShape.general16) {
    const parts = [base, index].filter((slot) => slot !== ZERO).map((slot) => register(slot, 2));
    return `${override}[${parts.join('+')}${disp === 0 ? '' : signed(disp)}]`;
  }
  const parts: string[] = [];
  if (base !== ZERO) parts.push(register(base, 4));
  if (index !== ZERO) parts.push(`${register(index, 4)}*${1 << (a.scale as number)}`);
  return `${override}[${parts.join('+')}${disp === 0 && base !== ZERO ? '' : signed(disp)}]`;
}

function operand(o: InstructionOperand, insn: DecodedInstruction, address: number): string {
  switch (o.kind) {
    case 'reg':
      // Segment loads look at 16 bits of what is written as a 32-bit register.
      return register(o.slot as number, insn.variant.row.operands[0] === 'Sw' ? 4 : o.size);
    case 'mem': {
      const size = isUnsized(insn) ? '' : (SIZE_NAMES[o.size] ?? '');
      return size + memory(o.address);
    }
    case 'imm': {
      const value = o.value as number;
      // An implicit shift count of 1 is not a byte of the instruction.
      if (insn.variant.row.operands.includes('1')) return `${value}`;
      return hex(o.size === 1 ? value & 0xff : o.size === 2 ? value & 0xffff : value);
    }
    case 'rel': {
      const target = address + insn.target;
      return hex(insn.variant.operandSize === 2 ? target & 0xffff : target);
    }
    case 'far':
      return `${hex(insn.imm2)}:${hex(insn.imm)}`;
    case 'sreg':
      return SEGMENT_NAMES[o.number]!;
    case 'creg':
      return `cr${o.number}`;
    case 'dreg':
      return `dr${o.number}`;
    case 'st':
      return o.number === 0 && insn.shown.length > 1 && o !== insn.shown.at(-1) ? 'st' : `st(${o.number})`;
  }
}

/** Memory whose size is not written: it is no access, or the only possible one. */
function isUnsized(insn: DecodedInstruction): boolean {
  const { mnemonic, operands } = insn.variant.row;
  return UNSIZED.has(mnemonic) || operands.includes('Ob') || operands.includes('Ov');
}

/** Operands of string operations, which are implicit. */
function stringOperands(insn: DecodedInstruction, mnemonic: string): string {
  const { row } = insn.variant;
  const size = row.operands[0] === 'b' || mnemonic === 'xlat' ? 1 : insn.variant.operandSize;
  const name = SIZE_NAMES[size]!;
  const words = insn.variant.addressSize === 2;
  const source = `${name}${SEGMENT_NAMES[insn.segment]!}:[${words ? 'si' : 'esi'}]`;
  const target = `${name}${SEGMENT_NAMES[ES]!}:[${words ? 'di' : 'edi'}]`;
  const accumulator = register(0, size);
  switch (mnemonic) {
    case 'movs':
      return `${target},${source}`;
    case 'cmps':
      return `${source},${target}`;
    case 'stos':
      return `${target},${accumulator}`;
    case 'scas':
      return `${accumulator},${target}`;
    case 'lods':
      return `${accumulator},${source}`;
    case 'ins':
      return `${target},dx`;
    case 'outs':
      return `dx,${source}`;
    default:
      return `BYTE PTR ${SEGMENT_NAMES[insn.segment]!}:[${words ? 'bx' : 'ebx'}]`;
  }
}

/** The text of an instruction whose first byte is at offset `address`. */
export function disassemble(insn: DecodedInstruction, address: number): string {
  const { row } = insn.variant;
  const sized = BY_SIZE[row.mnemonic];
  let name = sized === undefined ? row.mnemonic : sized[insn.variant.operandSize === 2 ? 0 : 1];
  if (row.mnemonic === 'jecxz' && insn.addressSize === 2) name = 'jcxz';
  if (name.endsWith('cc') && insn.op.endsWith('cc')) name = name.slice(0, -2) + conditionName(insn);
  const first = insn.shown[0]?.kind;
  if (insn.variant.operandSize === 2 && (first === 'imm' || first === 'sreg' || first === 'rel')) {
    if (WORD_SUFFIX.has(name)) name += 'w';
  }
  let operands: string;
  if (row.flags.has('string') && !row.hasModrm) operands = stringOperands(insn, row.mnemonic);
  else operands = insn.shown.map((o) => operand(o, insn, address)).join(',');
  const lock = insn.lock ? 'lock ' : '';
  const repeat =
    insn.variant.rep === 'none'
      ? ''
      : insn.variant.rep === 'repne'
        ? 'repnz '
        : row.flags.has('repz')
          ? 'repz '
          : 'rep ';
  return `${lock}${repeat}${name}${operands === '' ? '' : ` ${operands}`}`;
}

/** x87 has `u` (unordered) where integers have `p` (parity). */
function conditionName(insn: DecodedInstruction): string {
  const name = CONDITIONS[insn.cc]!;
  if (insn.op !== 'fcmovcc') return name;
  return name === 'p' ? 'u' : name === 'np' ? 'nu' : name === 'ae' ? 'nb' : name === 'a' ? 'nbe' : name;
}

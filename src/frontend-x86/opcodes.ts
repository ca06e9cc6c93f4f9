/**
 * Reads the opcode tables into rows.
 *
 * A line of a table is `opcode mnemonic operands flags…`.
 * - opcode: `01`; `80/2` with modrm.reg 2; `d9:e0` with just this modrm byte; `50+` eight opcodes with a register in
 *   their low bits; `d8:c0+` eight modrm bytes with ST(i) in their low bits; `70cc` sixteen opcodes with a condition.
 *   `66.` `f3.` `f2.` before it: only with this mandatory prefix; `np.`: only without. Without a row: #UD.
 * - mnemonic: `pause=nop` prints as `pause` and lifts as `nop`; `fcmovcc.2` fixes the condition.
 * - operands: Intel's letters (SDM vol. 2, A.2): E modrm.rm, G modrm.reg, M memory, R register in modrm.rm, Z register in
 *   the opcode, I immediate, J relative, O offset, S C D segment, control and debug register, V W U XMM, P Q N MMX;
 *   b w d q x bytes 1 2 4 8 16, v and z the operand size. Ib is sign-extended, uIb zero-extended, sIb sign-extended to
 *   the operand size. m16…m512 are memory of so many bits (m28, m108, m512 bytes). `b` and `v` alone are the width
 *   of an operation with implicit operands. The manual's order of operands.
 */
import { ONE_BYTE } from './opcodes-one-byte.js';
import { SSE } from './opcodes-sse.js';
import { TWO_BYTE } from './opcodes-two-byte.js';
import { X87 } from './opcodes-x87.js';

/** What a row may be marked with. */
export type RowFlag =
  /** LOCK is allowed when the first operand is memory. */
  | 'lock'
  /** The operand size matters though no operand shows it. */
  | 'sized'
  /** The address size matters though there is no memory operand. */
  | 'address'
  /** Uses the stack, so its form depends on flat segments. */
  | 'stack'
  /** String operation (or xlat): source segment, flatness and address size are part of the form. */
  | 'string'
  /** F2 and F3 mean the same: repeat. */
  | 'rep'
  /** F3 repeats while equal, F2 while not equal. */
  | 'repz'
  /** Raises #GP(0) at CPL 1..3 before it looks at its operands. */
  | 'priv'
  /** The operand is never accessed. */
  | 'hint'
  /** Not hot: memory operands have few shapes. */
  | 'rare'
  /** The memory operand is an address only, without a segment. */
  | 'nosegment';

export interface Row {
  /** 0 one-byte opcodes, 1 those behind 0F. */
  readonly map: 0 | 1;
  readonly opcode: number;
  /** The opcode's low three bits are a register. */
  readonly opcodeRegister: boolean;
  readonly prefix: 'any' | 'np' | '66' | 'f3' | 'f2';
  readonly hasModrm: boolean;
  /** modrm.reg 0..7, or -1 for any. */
  readonly reg: number;
  /** A modrm byte c0..ff, or -1 for any; and how many from it on. */
  readonly modrm: number;
  readonly modrmCount: number;
  /** The name to print, and the name of the lift function. */
  readonly mnemonic: string;
  readonly op: string;
  readonly cc: number;
  readonly operands: readonly string[];
  /** Number of the ST(i), segment, control or debug register, which is part of the row. */
  readonly ordinal: number;
  readonly flags: ReadonlySet<RowFlag>;
}

const PREFIXES = new Set(['np', '66', 'f3', 'f2']);
const MODRM_CODE = /^[EGMRVWPQNUCDm]|^S[wT]|^ST0$/;
/** Operand codes that start like modrm codes but name fixed registers. */
const FIXED = new Set(['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'DX', 'CL']);

function usesModrm(code: string): boolean {
  return !FIXED.has(code) && MODRM_CODE.test(code);
}

/** Registers that exist, by operand code: SDM vol. 2, MOV (segment, control, debug registers). */
const ORDINALS: Readonly<Record<string, readonly number[]>> = {
  Sw: [0, 1, 2, 3, 4, 5],
  Cd: [0, 2, 3, 4],
  Dd: [0, 1, 2, 3, 4, 5, 6, 7],
};

function parseLine(map: 0 | 1, line: string): Row[] {
  const [place, name, spec, ...flagNames] = line.split(/\s+/);
  const match = /^(?:(\w\w)\.)?([0-9a-f]{2})(cc|\+)?(?:\/([0-7])|:([0-9a-f]{2})(\+)?)?$/.exec(place ?? '');
  if (match === null || name === undefined || spec === undefined) throw new Error(`opcode row: ${line}`);
  const [, prefix, opcodeHex, many, reg, modrm, manyModrm] = match;
  if (prefix !== undefined && !PREFIXES.has(prefix)) throw new Error(`opcode row: ${line}`);
  const operands = spec === '-' ? [] : spec.split(',');
  const [mnemonic, opAndCc = mnemonic!] = name.split('=');
  const [op, cc] = opAndCc.split('.');
  const row: Row = {
    map,
    opcode: parseInt(opcodeHex!, 16),
    opcodeRegister: many === '+',
    prefix: (prefix ?? 'any') as Row['prefix'],
    hasModrm: reg !== undefined || modrm !== undefined || operands.some(usesModrm),
    reg: reg === undefined ? -1 : Number(reg),
    modrm: modrm === undefined ? -1 : parseInt(modrm, 16),
    modrmCount: manyModrm === undefined ? 1 : 8,
    mnemonic: mnemonic!,
    op: op!,
    cc: cc === undefined ? 0 : Number(cc),
    operands,
    ordinal: 0,
    flags: new Set(flagNames as RowFlag[]),
  };
  if (many === 'cc') {
    return Array.from({ length: 16 }, (_, n) => ({ ...row, opcode: row.opcode + n, cc: n }));
  }
  if (operands.includes('STi')) {
    return Array.from({ length: 8 }, (_, n) => ({ ...row, modrm: row.modrm + n, modrmCount: 1, ordinal: n }));
  }
  const numbered = operands.find((code) => code in ORDINALS);
  if (numbered !== undefined) {
    // CS cannot be the destination of mov.
    const numbers = ORDINALS[numbered]!.filter((n) => !(operands[0] === 'Sw' && n === 1));
    return numbers.map((n) => ({ ...row, reg: n, ordinal: n }));
  }
  return [row];
}

function parse(map: 0 | 1, text: string): Row[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .flatMap((line) => parseLine(map, line.trim()));
}

/** x87 rows are all rare. */
function rare(rows: Row[]): Row[] {
  return rows.map((row) => ({ ...row, flags: new Set<RowFlag>([...row.flags, 'rare']) }));
}

/**
 * Whether MMX, SSE and SSE2 instructions have rows. They have no lift functions, so their ~950 forms would all raise #UD;
 * without rows they do so as one form, which is what software expects while `cpuid` does not tell the features.
 */
export const MULTIMEDIA = false;

/** All rows; more exact ones (modrm byte, then modrm.reg) go before less exact ones of the same opcode. */
export const ROWS: readonly Row[] = [
  ...parse(0, ONE_BYTE),
  ...rare(parse(0, X87)),
  ...parse(1, TWO_BYTE),
  ...(MULTIMEDIA ? rare(parse(1, SSE)) : []),
];

/** The opcode rows as the decoder wants them: arrays by modrm, made for each opcode byte when it is first met. */
import { UNDEFINED, isSized, rmKinds, variantsOf, type Variant } from './forms.js';
import { ROWS, type Row } from './opcodes.js';

/** Bytes behind modrm: what they are. */
export const enum ImmKind {
  none,
  signedByte,
  byte,
  word,
  full,
  relativeByte,
  relativeFull,
  far,
  offset,
  wordAndByte,
}
/** How a register number becomes a slot. */
export const enum RegKind {
  dword,
  byte,
  mmx,
  xmm,
}

function regKind(row: Row, byte: RegExp, mmx: RegExp, xmm: RegExp): RegKind {
  const has = (pattern: RegExp): boolean => row.operands.some((code) => pattern.test(code));
  return has(byte) ? RegKind.byte : has(mmx) ? RegKind.mmx : has(xmm) ? RegKind.xmm : RegKind.dword;
}

const IMM_KINDS: readonly (readonly [code: string, kind: ImmKind])[] = [
  ['Ib2', ImmKind.wordAndByte],
  ['Ib', ImmKind.signedByte],
  ['sIb', ImmKind.signedByte],
  ['uIb', ImmKind.byte],
  ['Iw', ImmKind.word],
  ['Iz', ImmKind.full],
  ['Jb', ImmKind.relativeByte],
  ['Jz', ImmKind.relativeFull],
  ['Ap', ImmKind.far],
  ['Ob', ImmKind.offset],
  ['Ov', ImmKind.offset],
];

function immKind(row: Row): ImmKind {
  return IMM_KINDS.find(([code]) => row.operands.includes(code))?.[1] ?? ImmKind.none;
}

/** A row as the decoder wants it: small numbers of one hidden class. */
export class DecodeRow {
  readonly variants: readonly (Variant | undefined)[];
  readonly imm: ImmKind;
  readonly rmKind: RegKind;
  readonly regKind: RegKind;
  readonly sized: boolean;
  readonly lockable: boolean;
  readonly rare: boolean;
  readonly noSegment: boolean;
  readonly string: boolean;
  /** A segment override has no effect: only ES:edi is accessed. */
  readonly destinationOnly: boolean;
  readonly stack: boolean;
  readonly address: boolean;
  /** 0 prefixes do nothing, 1 both repeat, 2 F3 and F2 differ. */
  readonly rep: 0 | 1 | 2;
  readonly opcodeRegister: boolean;

  constructor(
    row: Row,
    variants: readonly (Variant | undefined)[],
    imm = immKind(row),
    sized = isSized(row),
  ) {
    this.variants = variants;
    this.imm = imm;
    this.rmKind = regKind(row, /^Eb$/, /^[QN]/, /^[WU]/);
    this.regKind = regKind(row, /^[GZ]b$/, /^P/, /^V/);
    this.sized = sized;
    this.lockable = row.flags.has('lock');
    this.rare = row.flags.has('rare');
    this.noSegment = row.flags.has('nosegment');
    this.string = row.flags.has('string');
    this.destinationOnly = row.op === 'stos' || row.op === 'scas' || row.mnemonic === 'ins';
    this.stack = row.flags.has('stack');
    this.address = row.flags.has('address');
    this.rep = row.flags.has('repz') ? 2 : row.flags.has('rep') ? 1 : 0;
    this.opcodeRegister = row.opcodeRegister;
  }
}

/** What an opcode byte leads to, behind certain prefixes. */
export interface Dispatch {
  readonly hasModrm: boolean;
  /** modrm.mod is ignored: the operand is a register (mov to and from control and debug registers). */
  readonly registerOnly: boolean;
  /** Without modrm: one row. With: by modrm.reg for memory; 8 + low six bits of modrm for registers. */
  readonly rows: readonly (DecodeRow | undefined)[];
}

/** A dispatch for each of: no prefix, 66, F3, F2. */
type Dispatches = readonly [Dispatch, Dispatch, Dispatch, Dispatch];

const NOTHING: Dispatch = { hasModrm: false, registerOnly: false, rows: [undefined] };

/** The rows that have a prefix of their own count where that is, the others everywhere. */
const PREFIXES = ['np', '66', 'f3', 'f2'] as const;

/** Numbers of the opcode rows, by map << 8 | opcode. */
const ROWS_OF: number[][] = Array.from({ length: 512 }, () => []);
ROWS.forEach((row, number) => {
  for (let n = 0; n < (row.opcodeRegister ? 8 : 1); n++)
    ROWS_OF[(row.map << 8) | (row.opcode + n)]!.push(number);
});

/** By map << 8 | opcode: made when a guest first has the opcode, as most have few. */
const DISPATCHES: (Dispatches | undefined)[] = new Array<Dispatches | undefined>(512).fill(undefined);

/**
 * What an opcode byte leads to.
 * @param map 0 one-byte opcodes, 1 those behind 0F
 * @param prefix 0 none, 1 66, 2 F3, 3 F2
 */
export function dispatchOf(map: number, prefix: number, opcode: number): Dispatch {
  const index = (map << 8) | opcode;
  return (DISPATCHES[index] ??= dispatchesOf(ROWS_OF[index]!))[prefix]!;
}

/** Rows with a mandatory prefix, an exact modrm byte, a modrm.reg, a single opcode go before the general ones. */
function exactness(row: Row): number {
  const place = (row.modrm >= 0 ? 2 : 0) + (row.reg >= 0 ? 1 : 0) - (row.opcodeRegister ? 1 : 0);
  return (row.prefix === 'any' ? 0 : 8) + place;
}

type Candidate = readonly [row: Row, compiled: DecodeRow];
type Table = (DecodeRow | undefined)[];

/** For undefined instructions, whatever they look like. */
const UNDEFINED_VARIANTS = new Array<Variant>(256).fill(UNDEFINED);

function dispatchesOf(numbers: readonly number[]): Dispatches {
  if (numbers.length === 0) return [NOTHING, NOTHING, NOTHING, NOTHING];
  const candidates = numbers
    .map((n): Candidate => [ROWS[n]!, new DecodeRow(ROWS[n]!, variantsOf(n))])
    .sort(([p], [q]) => exactness(q) - exactness(p));
  const hasModrm = candidates.some(([row]) => row.hasModrm);
  const places = hasModrm ? 8 + 64 : 1;
  const everywhere = candidates.every(([row]) => row.prefix === 'any');
  const behind = PREFIXES.slice(0, everywhere ? 1 : PREFIXES.length).map((prefix) =>
    candidates.filter(([row]) => row.prefix === 'any' || row.prefix === prefix),
  );
  const tables = behind.map((among) => tableOf(among, places));
  if (hasModrm) fillUp(tables);
  const dispatches = tables.map((rows, n): Dispatch => {
    const registerOnly = behind[n]!.some(
      ([{ operands }]) => operands.includes('Cd') || operands.includes('Dd'),
    );
    return { hasModrm, registerOnly, rows };
  });
  const [none, operandSize = none, repeat = none, repeatNot = none] = dispatches;
  return [none!, operandSize!, repeat!, repeatNot!];
}

function tableOf(candidates: readonly Candidate[], places: number): Table {
  const table = new Array<DecodeRow | undefined>(places).fill(undefined);
  for (const [row, compiled] of candidates) {
    if (row.hasModrm) enter(row, compiled, table);
    else table[0] ??= compiled;
  }
  return table;
}

/**
 * Undefined modrm bytes of defined opcodes: processors fetch operand bytes as for their neighbours before they raise #UD,
 * so a page fault on those comes first.
 */
function fillUp(tables: readonly Table[]): void {
  const like = tables.flat().find((row) => row !== undefined)!;
  const filler = new DecodeRow(UNDEFINED.row, UNDEFINED_VARIANTS, like.imm, like.sized);
  for (const table of tables) {
    for (let n = 0; n < table.length; n++) table[n] ??= filler;
  }
}

/** Enters a row wherever its modrm bytes lead and no more exact one stands. */
function enter(row: Row, compiled: DecodeRow, rows: Table): void {
  const kinds = rmKinds(row);
  for (let reg = 0; reg < 8; reg++) {
    if (row.reg >= 0 && row.reg !== reg) continue;
    if (kinds.memory) rows[reg] ??= compiled;
    if (!kinds.register) continue;
    for (let rm = 0; rm < 8; rm++) {
      const low = reg * 8 + rm;
      const modrm = 0xc0 | low;
      if (row.modrm >= 0 && (modrm < row.modrm || modrm >= row.modrm + row.modrmCount)) continue;
      rows[8 + low] ??= compiled;
    }
  }
}

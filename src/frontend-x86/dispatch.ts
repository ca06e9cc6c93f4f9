/** The opcode rows as the decoder wants them: arrays by opcode byte and modrm. */
import { UNDEFINED, VARIANTS, isSized, rmKinds, type Variant } from './forms.js';
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

type Rows = (DecodeRow | undefined)[];
const rowsOf = (row: DecodeRow | undefined): Rows => new Array<DecodeRow | undefined>(72).fill(row);
/** Of all opcodes that nothing is installed for: most of them. */
const NO_ROWS: Readonly<Rows> = rowsOf(undefined);

/** What an opcode byte leads to. */
export class Dispatch {
  hasModrm = false;
  /** modrm.mod is ignored: the operand is a register (mov to and from control and debug registers). */
  registerOnly = false;
  /** Without modrm: one row. With: by modrm.reg for memory; 8 + low six bits of modrm for registers. */
  rows: Readonly<Rows> = NO_ROWS;

  /** Its rows, to be changed. */
  ownRows(): Rows {
    if (this.rows === NO_ROWS) this.rows = rowsOf(undefined);
    return this.rows as Rows;
  }
}

/** [one-byte, 0F][no prefix, 66, F3, F2][opcode]. */
export const DISPATCH: Dispatch[][][] = [0, 1].map(() =>
  [0, 1, 2, 3].map(() => Array.from({ length: 256 }, () => new Dispatch())),
);

const PREFIX_MAPS: Readonly<Record<Row['prefix'], readonly number[]>> = {
  any: [0, 1, 2, 3],
  np: [0],
  '66': [1],
  f3: [2],
  f2: [3],
};

function install(
  row: Row,
  compiled: DecodeRow,
  kinds: ReturnType<typeof rmKinds>,
  opcode: number,
  map: number,
): void {
  const dispatch = DISPATCH[row.map]![map]![opcode]!;
  const rows = dispatch.ownRows();
  if (!row.hasModrm) {
    rows[0] ??= compiled;
    return;
  }
  dispatch.hasModrm = true;
  if (row.operands.includes('Cd') || row.operands.includes('Dd')) dispatch.registerOnly = true;
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

/** Rows with a mandatory prefix, an exact modrm byte, a modrm.reg, a single opcode go before the general ones. */
function exactness(row: Row): number {
  const place = (row.modrm >= 0 ? 2 : 0) + (row.reg >= 0 ? 1 : 0) - (row.opcodeRegister ? 1 : 0);
  return (row.prefix === 'any' ? 0 : 8) + place;
}

ROWS.map((row, n) => ({ row, compiled: new DecodeRow(row, VARIANTS[n]!), place: exactness(row) }))
  .sort((p, q) => q.place - p.place)
  .forEach(({ row, compiled }) => {
    const kinds = rmKinds(row);
    for (const map of PREFIX_MAPS[row.prefix]) {
      for (let n = 0; n < (row.opcodeRegister ? 8 : 1); n++) {
        install(row, compiled, kinds, row.opcode + n, map);
      }
    }
  });

/**
 * Undefined modrm bytes of defined opcodes: processors fetch operand bytes as for their neighbours before they raise #UD,
 * so a page fault on those comes first.
 */
const UNDEFINED_VARIANTS = new Array<Variant>(256).fill(UNDEFINED);
for (const maps of DISPATCH) {
  for (let opcode = 0; opcode < 256; opcode++) {
    const siblings = maps.map((map) => map[opcode]!);
    const like = siblings.find((d) => d.hasModrm)?.rows.find((row) => row !== undefined);
    if (like === undefined) continue;
    const filler = new DecodeRow(UNDEFINED.row, UNDEFINED_VARIANTS, like.imm, like.sized);
    const onlyFiller = rowsOf(filler);
    for (const dispatch of siblings) {
      dispatch.hasModrm = true;
      if (dispatch.rows === NO_ROWS) {
        dispatch.rows = onlyFiller;
        continue;
      }
      const rows = dispatch.ownRows();
      for (let n = 0; n < rows.length; n++) rows[n] ??= filler;
    }
  }
}

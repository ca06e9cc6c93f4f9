/** Encodings of each opcode row: operand sizes, prefixes and modrm bytes, so that every register meets every other. */
import { decode } from '../../src/frontend-x86/decode.js';
import type { DecodedInstruction } from '../../src/frontend-x86/decoded-instruction.js';
import { isSized, rmKinds } from '../../src/frontend-x86/forms.js';
import type { Row } from '../../src/frontend-x86/opcodes.js';
import type { Random } from './random.js';

export interface Encoding {
  readonly bytes: Uint8Array;
  readonly insn: DecodedInstruction;
}

const SEGMENT_PREFIXES = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65];
const PREFIX_BYTES: Readonly<Record<string, number>> = { '66': 0x66, f3: 0xf3, f2: 0xf2 };

/** What stands before the opcode, and how operands are addressed. */
export interface Environment {
  readonly size16: boolean;
  readonly address16: boolean;
  readonly rep: 0 | 0xf3 | 0xf2;
  readonly lock: boolean;
  /** Segment override byte or 0. */
  readonly override: number;
}

export const PLAIN: Environment = { size16: false, address16: false, rep: 0, lock: false, override: 0 };

function little(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, n) => (value >>> (8 * n)) & 0xff);
}

/** A displacement of that many bytes: small ones are as likely as any. */
function displacement(r: Random, bytes: number): number[] {
  return little(r.chance(50) ? r.between(-32, 32) : r.next(), bytes);
}

/** modrm, sib and displacement of a memory operand; `absolute` is the address where nothing else is. */
function memoryBytes(r: Random, o: EncodeOptions, reg: number): number[] {
  const { environment: e, mod, rm, absolute } = o;
  const wide = (bytes: number): number[] =>
    o.displacement !== undefined ? little(o.displacement, bytes) : displacement(r, bytes);
  const modrm = (mod << 6) | (reg << 3) | rm;
  if (e.address16) {
    if (mod === 0 && rm === 6) return [modrm, ...little(absolute, 2)];
    return [modrm, ...displacement(r, mod)];
  }
  const size = mod === 2 ? 4 : mod;
  if (rm === 4) {
    const sib = o.sib ?? r.next() >>> 24;
    if (mod === 0 && (sib & 7) === 5) {
      return [modrm, sib, ...(((sib >> 3) & 7) === 4 ? little(absolute, 4) : wide(4))];
    }
    return [modrm, sib, ...wide(size)];
  }
  if (mod === 0 && rm === 5) return [modrm, ...little(absolute, 4)];
  return [modrm, ...wide(size)];
}

/** Immediates by operand code. `jump`: the relative displacement that jumps get. */
function immediateBytes(
  r: Random,
  row: Row,
  e: Environment,
  absolute: number,
  jump: number,
  far: number,
): number[] {
  const size = e.size16 ? 2 : 4;
  const out: number[] = [];
  for (const code of row.operands) {
    switch (code) {
      case 'Ib':
      case 'sIb':
        out.push(r.value() & 0xff);
        break;
      case 'uIb':
        out.push(r.chance(70) ? r.below(36) : r.next() >>> 24);
        break;
      case 'Ib2':
        out.push(r.chance(60) ? r.below(4) : r.below(256));
        break;
      case 'Iw':
        out.push(...little(r.chance(80) ? r.below(64) : r.next(), 2));
        break;
      case 'Iz':
        out.push(...little(r.value(), size));
        break;
      case 'Jb':
        out.push(jump & 0xff);
        break;
      case 'Jz':
        out.push(...little(jump, size));
        break;
      case 'Ap':
        out.push(...little(absolute, size), ...little(far, 2));
        break;
      case 'Ob':
      case 'Ov':
        out.push(...little(absolute, e.address16 ? 2 : 4));
        break;
    }
  }
  return out;
}

export interface EncodeOptions {
  readonly environment: Environment;
  /** modrm.mod (3: a register), rm and reg where the row leaves them open. */
  readonly mod: number;
  readonly rm: number;
  readonly reg: number;
  /** Address of operands without registers; offset of far pointers. */
  readonly absolute: number;
  readonly jump: number;
  readonly farSelector: number;
  /** Displacement beside a base or index in 32-bit addresses, instead of one by chance. */
  readonly displacement?: number;
  /** SIB byte, instead of one by chance. */
  readonly sib?: number;
  /** As `decode` wants it. */
  readonly flat: boolean;
}

export function encode(r: Random, row: Row, o: EncodeOptions): Encoding {
  const e = o.environment;
  const bytes: number[] = [];
  if (e.lock) bytes.push(0xf0);
  if (e.override) bytes.push(e.override);
  if (e.address16) bytes.push(0x67);
  if (e.size16) bytes.push(0x66);
  if (e.rep) bytes.push(e.rep);
  if (row.prefix in PREFIX_BYTES) bytes.push(PREFIX_BYTES[row.prefix]!);
  if (row.map === 1) bytes.push(0x0f);
  bytes.push(row.opcodeRegister ? row.opcode | o.reg : row.opcode);
  const reg = row.reg >= 0 ? row.reg : o.reg;
  if (row.modrm >= 0) bytes.push(row.modrm + (row.modrmCount > 1 ? r.below(row.modrmCount) : 0));
  else if (row.hasModrm && o.mod === 3) bytes.push(0xc0 | (reg << 3) | o.rm);
  else if (row.hasModrm) bytes.push(...memoryBytes(r, o, reg));
  bytes.push(...immediateBytes(r, row, e, o.absolute, o.jump, o.farSelector));
  const code = Uint8Array.from(bytes);
  const insn = decode(code, 0, code.length, o.flat);
  if (insn === 'more') throw new Error(`${row.mnemonic}: the decoder wants more bytes`);
  return { bytes: code, insn };
}

/** modrm choices of a row: [mod, rm, reg]. All pairs of registers; every mod and rm for memory, some with each SIB. */
export function places(r: Random, row: Row, address16: boolean): [number, number, number][] {
  const { register, memory } = rmKinds(row);
  const out: [number, number, number][] = [];
  const usesReg = row.opcodeRegister || row.operands.some((code) => /^G/.test(code));
  if (!row.hasModrm || row.modrm >= 0) {
    for (let reg = 0; reg < (usesReg ? 8 : 1); reg++) out.push([3, 0, reg]);
    return out;
  }
  if (register && !address16) {
    for (let rm = 0; rm < 8; rm++) {
      for (let reg = 0; reg < (usesReg ? 8 : 1); reg++) out.push([3, rm, reg]);
    }
  }
  if (memory) {
    for (let mod = 0; mod < 3; mod++) {
      for (let rm = 0; rm < 8; rm++) {
        const times = address16 || rm !== 4 ? 1 : usesReg ? 10 : 5;
        for (let k = 0; k < times; k++) {
          out.push([mod, rm, r.below(8)]);
          // The base is the other operand too.
          if (usesReg && !address16 && rm !== 4) out.push([mod, rm, rm]);
        }
      }
    }
  }
  return out;
}

/** Prefixes that matter for a row. */
export function environments(r: Random, row: Row): Environment[] {
  const out: Environment[] = [];
  const string = row.flags.has('string');
  const { memory } = rmKinds(row);
  const hasAddress =
    memory || string || row.flags.has('address') || /^O[bv]$/.test(row.operands.join(' ').slice(-2));
  const moffs = row.operands.includes('Ob') || row.operands.includes('Ov');
  const reps: Environment['rep'][] = row.flags.has('rep') || row.flags.has('repz') ? [0, 0xf3, 0xf2] : [0];
  for (const size16 of isSized(row) ? [false, true] : [false]) {
    for (const address16 of hasAddress || moffs ? [false, true] : [false]) {
      for (const rep of reps) {
        out.push({ size16, address16, rep, lock: false, override: 0 });
        if (hasAddress || moffs)
          out.push({ size16, address16, rep, lock: false, override: r.pick(SEGMENT_PREFIXES) });
        if (row.flags.has('lock') && rep === 0 && (!address16 || r.chance(30)))
          out.push({ size16, address16, rep, lock: true, override: 0 });
      }
    }
  }
  return out;
}

/**
 * Status flags that the manual leaves undefined (Intel SDM vol. 1, appendix A). The lifter gives them fixed values, the
 * same in every engine; comparisons with real processors ignore them.
 */
import { F_AF, F_CF, F_OF, F_PF, F_SF, F_ZF } from '../cpu-state.js';

const ALL = F_CF | F_PF | F_AF | F_ZF | F_SF | F_OF;

/** Op to mask of EFLAGS bits, whatever the operands. */
const FIXED: Readonly<Record<string, number>> = {
  and: F_AF,
  or: F_AF,
  xor: F_AF,
  test: F_AF,
  mul: F_SF | F_ZF | F_AF | F_PF,
  imul: F_SF | F_ZF | F_AF | F_PF,
  div: ALL,
  idiv: ALL,
  bt: F_OF | F_SF | F_AF | F_PF,
  bts: F_OF | F_SF | F_AF | F_PF,
  btr: F_OF | F_SF | F_AF | F_PF,
  btc: F_OF | F_SF | F_AF | F_PF,
  bsf: F_CF | F_OF | F_SF | F_AF | F_PF,
  bsr: F_CF | F_OF | F_SF | F_AF | F_PF,
  aaa: F_OF | F_SF | F_ZF | F_PF,
  aas: F_OF | F_SF | F_ZF | F_PF,
  daa: F_OF,
  das: F_OF,
  aam: F_OF | F_AF | F_CF,
  aad: F_OF | F_AF | F_CF,
};

/** `count`: the shift or rotate count before it is reduced; `bits`: operand width. */
type ByCount = (count: number, bits: number) => number;

const shift: ByCount = (n, bits) => F_AF | (n === 1 ? 0 : F_OF) | (n >= bits ? F_CF : 0);
const arithmetic: ByCount = (n) => F_AF | (n === 1 ? 0 : F_OF);
const rotate: ByCount = (n) => (n === 1 ? 0 : F_OF);
const double: ByCount = (n, bits) => (n > bits ? ALL : F_AF | (n === 1 ? 0 : F_OF));

const COUNTED: Readonly<Record<string, ByCount>> = {
  shl: shift,
  sal: shift,
  shr: shift,
  sar: arithmetic,
  rol: rotate,
  ror: rotate,
  rcl: rotate,
  rcr: rotate,
  shld: double,
  shrd: double,
};

/**
 * Mask of the EFLAGS bits that are undefined after `op`. For shifts and rotates `count` is the count given and `bits` the
 * operand's width; a count that is 0 modulo 32 leaves all flags as they were.
 */
export function undefinedFlags(op: string, count = 1, bits = 32): number {
  const counted = COUNTED[op];
  if (counted === undefined) return FIXED[op] ?? 0;
  const n = count & 31;
  return n === 0 ? 0 : counted(n, bits);
}

/** Whether the destination itself is undefined: double shifts by more than 16 bits of 16-bit operands, bswap of 16 bits. */
export function undefinedResult(op: string, count = 1, bits = 32): boolean {
  if (op === 'bswap') return bits === 16;
  return (op === 'shld' || op === 'shrd') && (count & 31) > bits;
}

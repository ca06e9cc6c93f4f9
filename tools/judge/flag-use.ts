/**
 * Which status flags instructions look at and define, so that a program is followed by the processor only as far as the
 * manual says what it does.
 */
import { F_AF, F_CF, F_OF, F_PF, F_SF, F_ZF } from '../../src/frontend-x86/cpu-state.js';
import type { DecodedInstruction } from '../../src/frontend-x86/decoded-instruction.js';
import { undefinedFlags } from '../../src/frontend-x86/lift/undefined-flags.js';

const ALL = F_CF | F_PF | F_AF | F_ZF | F_SF | F_OF;

/** By condition code without its negating bit 0: o b e be s p l le. */
const CONDITION_FLAGS: readonly number[] = [
  F_OF,
  F_CF,
  F_ZF,
  F_CF | F_ZF,
  F_SF,
  F_PF,
  F_SF | F_OF,
  F_ZF | F_SF | F_OF,
];
const CONDITIONAL = new Set(['jcc', 'setcc', 'cmovcc', 'fcmovcc']);

/** Op to the flags that it looks at. */
const READS: Readonly<Record<string, number>> = {
  ...Object.fromEntries(['adc', 'sbb', 'rcl', 'rcr', 'cmc', 'salc'].map((op) => [op, F_CF])),
  loope: F_ZF,
  loopne: F_ZF,
  pushf: ALL,
  lahf: ALL & ~F_OF,
  into: F_OF,
  daa: F_CF | F_AF,
  das: F_CF | F_AF,
  aaa: F_AF,
  aas: F_AF,
};

const list = (ops: string, mask: number): [string, number][] => ops.split(' ').map((op) => [op, mask]);
/** Op to the flags that are new after it, defined or not. Shifts by zero and repetitions without an iteration: none. */
const WRITES: ReadonlyMap<string, number> = new Map([
  ...list('add or adc sbb and sub xor cmp neg test xadd cmpxchg shl shr sar shld shrd', ALL),
  ...list('mul imul div idiv bsf bsr bt bts btr btc daa das aaa aas aam aad popf cmps scas', ALL),
  ...list('fcomi fcomip fucomi fucomip', ALL),
  ...list('inc dec', ALL & ~F_CF),
  ...list('rol ror rcl rcr', F_CF | F_OF),
  ...list('clc stc cmc', F_CF),
  ['sahf', ALL & ~F_OF],
  ...list('arpl cmpxchg8b', F_ZF),
]);
const SHIFTS = new Set('rol ror rcl rcr shl shr sar shld shrd'.split(' '));
/** These leave ZF alone, which the table of undefined flags does not tell. */
const BIT_TESTS = new Set('bt bts btr btc'.split(' '));

/** Count operand of a shift or rotate. `cl`: register CL. */
export function shiftCount(insn: DecodedInstruction, cl: number): number {
  const last = insn.shown.at(-1);
  return (last?.kind === 'imm' ? (last.value as number) : cl) & 0xff;
}

export class FlagUse {
  /** EFLAGS bits whose value the manual leaves open. */
  undefined = 0;

  /** Whether the instruction looks at an undefined flag. */
  readsUndefined(insn: DecodedInstruction): boolean {
    const { op, cc } = insn;
    const read = CONDITIONAL.has(op) ? CONDITION_FLAGS[cc >> 1]! : (READS[op] ?? 0);
    return (read & this.undefined) !== 0;
  }

  /** The instruction was executed, in the state with these ecx. */
  executed(insn: DecodedInstruction, ecx: number): void {
    const { op } = insn;
    const written = WRITES.get(op);
    if (written === undefined) return;
    const count = SHIFTS.has(op) ? shiftCount(insn, ecx) : 1;
    if ((count & 31) === 0 || (insn.rep !== 'none' && ecx === 0)) return;
    const defined = BIT_TESTS.has(op) ? ALL & ~F_ZF : written;
    this.undefined = (this.undefined & ~defined) | undefinedFlags(op, count, 8 * insn.operandSize);
  }
}

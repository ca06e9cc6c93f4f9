/** From one instruction (or instruction form) to IR. */
import type { Builder } from '../../ir/builder.js';
import type { Instruction } from '../instruction.js';
import { ALU } from './alu.js';
import { BCD } from './bcd.js';
import { BITS } from './bits.js';
import { Lifter, type LiftTable } from './context.js';
import { CONTROL } from './control.js';
import { FXSR } from './fxsr.js';
import { MOVE } from './move.js';
import { MULDIV } from './muldiv.js';
import { SEGMENT } from './segment.js';
import { SHIFT } from './shift.js';
import { STACK } from './stack.js';
import { STRING } from './string.js';
import { SYSTEM } from './system.js';
import { X87_LIFTS } from './x87.js';

export const LIFTS: LiftTable = {
  ...MOVE,
  ...ALU,
  ...SHIFT,
  ...MULDIV,
  ...BITS,
  ...STRING,
  ...BCD,
  ...STACK,
  ...CONTROL,
  ...SEGMENT,
  ...SYSTEM,
  ...X87_LIFTS,
  ...FXSR,
};

/** The lifter of each builder: instructions lifted into one builder share what is known about the flags. */
const lifters = new WeakMap<Builder, Lifter>();

/**
 * Appends the instruction's IR. The caller has marked its start. Ends with a terminator exactly if `endsBlock` says so.
 * An instruction that has no lift function is undefined on this CPU (#UD).
 */
export function lift(b: Builder, i: Instruction): void {
  const f = LIFTS[i.op] ?? LIFTS['ud']!;
  let x = lifters.get(b);
  if (x === undefined) lifters.set(b, (x = new Lifter(b)));
  f(x, i);
}

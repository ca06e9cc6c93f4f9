/** Which instructions are the last of their basic block: what the interpreter's predecoding needs of the lifters. */
import { SS } from './cpu-state.js';
import type { DecodedInstruction } from './decoded-instruction.js';
import type { FormParts, Variant } from './forms.js';

/** Ops that always do: they jump, raise, leave, or change what the next instruction is decoded for. One without a lift function raises #UD. */
const ENDS: ReadonlySet<string> = new Set([
  ...['jcc', 'jecxz', 'loop', 'loope', 'loopne', 'jmp', 'jmpf', 'call', 'callf', 'ret', 'retf'],
  ...['int', 'int3', 'into', 'icebp', 'iret', 'popf', 'lss'],
  ...['ud', 'too_long', 'privileged', 'cpuid', 'vmcall', 'mov_dr'],
]);

/** Whether instructions of a form are the last of their basic blocks. */
export function formEndsBlock({ op, operands, rep }: FormParts): boolean {
  const to = operands[0];
  // A load of SS holds interrupts up for an instruction.
  const loadsStack = (op === 'mov' || op === 'pop') && to?.kind === 'sreg' && to.number === SS;
  // A repeated string operation goes to itself until it is done.
  return loadsStack || rep !== 'none' || ENDS.has(op);
}

/** As far as anybody has asked. */
const known = new Map<Variant, boolean>();

/** Whether an instruction is the last of its basic block. */
export function endsBlock({ variant }: DecodedInstruction): boolean {
  let ends = known.get(variant);
  if (ends === undefined) known.set(variant, (ends = formEndsBlock(variant.parts)));
  return ends;
}

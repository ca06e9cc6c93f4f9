/**
 * Precise faults: an instruction that faults must not have changed anything. This finds the ops that may fault after
 * the same instruction has already written state on some path to them.
 */
import type { Block, CallTarget, IrFunction, Op } from './ir.js';
import { OPS, type OpInfo } from './ops.js';
import type { Violation } from './verify.js';

const writingFunctions = new WeakMap<IrFunction, boolean>();

function callWrites(target: CallTarget): boolean {
  const { body } = target as IrFunction;
  // Without a body nothing is known: it may write.
  if (body === undefined) return true;
  const known = writingFunctions.get(target as IrFunction);
  if (known !== undefined) return known;
  writingFunctions.set(target as IrFunction, false); // A recursive call adds nothing of its own.
  const writes = body.ops.some(writesState);
  writingFunctions.set(target as IrFunction, writes);
  return writes;
}

/** True if the op changes CPU state, control memory, guest memory or the instruction count. */
export function writesState(op: Op): boolean {
  const { effect }: OpInfo = OPS[op.name];
  if (effect === 'put' || effect === 'poke' || effect === 'store') return true;
  if (effect === 'call') return callWrites(op.imm as CallTarget);
  return op.name === 'charge';
}

/** True if the op may end its instruction with an exception. */
export function mayFault(op: Op): boolean {
  const { effect }: OpInfo = OPS[op.name];
  if (effect === 'load' || effect === 'store' || effect === 'fault') return true;
  return effect === 'call' && (op.imm as CallTarget).faults;
}

/** Index of the first write on some path to here, or -1: nothing was written. */
type Written = number;

/**
 * The ops that may fault after a write of their instruction, each once. Not every one is a bug: a `probe` may have
 * made sure that a later store cannot fault, and a function that writes before it faults is reported at its callers'
 * later faults only.
 */
export function verifyFaultOrder(block: Block): readonly Violation[] {
  const found = new Map<number, Violation>();
  const { ops, marks } = block;

  function walk(from: number, to: number, entry: Written): Written {
    let written = entry;
    let mark = marks.findIndex((m) => m.at >= from);
    for (let i = from; i < to; i++) {
      if (mark >= 0 && mark < marks.length && marks[mark]!.at <= i) {
        written = -1;
        while (mark < marks.length && marks[mark]!.at <= i) mark++;
      }
      const op = ops[i]!;
      if (op.name === 'if' || op.name === 'loop') {
        const { otherwise, end } = matching(ops, i);
        if (op.name === 'loop') {
          // The second round starts with what the first one wrote.
          written = walk(i + 1, end, walk(i + 1, end, written));
        } else {
          const then = walk(i + 1, otherwise ?? end, written);
          const other = otherwise === undefined ? written : walk(otherwise + 1, end, written);
          written = then >= 0 ? then : other;
        }
        i = end;
        continue;
      }
      if (written >= 0 && mayFault(op)) {
        const message = `${op.name} may fault after ${ops[written]!.name} (op ${written}) of the same instruction`;
        found.set(i, { op: i, message });
      }
      // Nothing behind these is reached on this path.
      if (op.name === 'raise' || op.name === 'return') return -1;
      if (written < 0 && writesState(op)) written = i;
    }
    return written;
  }

  walk(0, ops.length, -1);
  return [...found.values()];
}

/** Where the structure opened at `start` has its else and its end. */
function matching(ops: readonly Op[], start: number): { otherwise: number | undefined; end: number } {
  let depth = 0;
  let otherwise: number | undefined;
  for (let i = start; i < ops.length; i++) {
    const { name } = ops[i]!;
    if (name === 'if' || name === 'loop') depth++;
    else if (name === 'else' && depth === 1) otherwise = i;
    else if (name === 'end' && --depth === 0) return { otherwise, end: i };
  }
  throw new Error(`op ${start}: ${ops[start]!.name} without end`);
}

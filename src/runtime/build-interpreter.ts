/** Builds the interpreter from the lifter: every instruction form becomes a handler. Run when the package is built. */
import { allForms, formName } from '../frontend-x86/forms.js';
import type { Instruction } from '../frontend-x86/instruction.js';
import { lift } from '../frontend-x86/lift/lift.js';
import { Builder } from '../ir/builder.js';
import { Field } from '../ir/ir.js';
import { OPS } from '../ir/ops.js';
import { optimize } from '../ir/passes/optimize.js';
import { fieldNameOf } from '../backend-wasm/record.js';
import {
  type Form,
  type FormPair,
  generateInterpreter,
  type InterpreterImage,
  type InterpreterOptions,
} from '../backend-wasm/interpreter.js';
import { HOT_FORMS, HOT_PAIRS } from './hot-forms.js';
import { DIRECT_TRAP_FUNCTION } from './direct-traps.js';
import { MODE_CHANGED_FUNCTION } from './mode.js';
import { SLOW_PATHS } from './slow-paths.js';

/** Pairs that get a handler; the rest of the fast handlers are single forms. */
const MAX_PAIRS = 110;

/** The IR of a form, operands as fields. */
export function liftForm(form: Instruction): Form {
  const b = new Builder();
  b.mark(0, 0);
  lift(b, form);
  return { id: form.form, name: formName(form), block: optimize(b.block()) };
}

/** The form with its fields renamed, to stand second in a pair. */
function renamed(form: Instruction): Instruction {
  const fields = new Map<string, Field>();
  const rename = (v: unknown): unknown => {
    if (v instanceof Field) {
      const name = fieldNameOf(v.name, 1);
      const known = fields.get(name) ?? new Field(name, v.width);
      fields.set(name, known);
      return known;
    }
    if (Array.isArray(v)) return v.map(rename);
    if (typeof v === 'object' && v !== null) {
      return Object.fromEntries(Object.entries(v).map(([k, inner]) => [k, rename(inner)]));
    }
    return v;
  };
  return rename(form) as Instruction;
}

/** Effects that keep a form from being the first of a pair: it might change the second, or end the block. */
const NOT_FIRST = new Set(['store', 'call', 'fault', 'end', 'poke', 'env']);

function pairOf(first: Instruction, second: Instruction): FormPair | undefined {
  const b = new Builder();
  b.mark(0, 0);
  lift(b, first);
  if (b.ops.some((op) => NOT_FIRST.has(OPS[op.name].effect))) return undefined;
  b.mark(0, 0);
  lift(b, renamed(second));
  if (b.ops.some((op) => op.name === 'leave' || op.name === 'call')) return undefined;
  return {
    first: first.form,
    second: second.form,
    name: `${formName(first)}; ${formName(second)}`,
    block: optimize(b.block()),
  };
}

/** Lifts and lowers all forms, the hottest (by `HOT_FORMS`) first, and the hottest pairs. */
export function buildInterpreter(options: InterpreterOptions): InterpreterImage {
  const rank = new Map(HOT_FORMS.map((name, i) => [name, i]));
  const coldest = HOT_FORMS.length;
  const symbols = [...allForms()];
  const forms = symbols.map(liftForm);
  forms.sort((a, b) => (rank.get(a.name) ?? coldest) - (rank.get(b.name) ?? coldest) || a.id - b.id);
  const byName = new Map(symbols.map((s) => [formName(s), s]));
  const pairs: FormPair[] = [];
  if (options.profile === undefined) {
    for (const [first, second] of HOT_PAIRS) {
      if (pairs.length >= MAX_PAIRS) break;
      const [a, c] = [byName.get(first), byName.get(second)];
      const pair = a && c && pairOf(a, c);
      if (pair) pairs.push(pair);
    }
  }
  return generateInterpreter(
    forms,
    pairs,
    [...SLOW_PATHS, MODE_CHANGED_FUNCTION, DIRECT_TRAP_FUNCTION],
    options,
  );
}

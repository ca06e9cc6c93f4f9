/** Builds the interpreter from the lifter: every instruction form becomes a handler. Run when the package is built. */
import { allForms, formName } from '../frontend-x86/forms.js';
import type { Instruction } from '../frontend-x86/instruction.js';
import { lift } from '../frontend-x86/lift/lift.js';
import { Builder } from '../ir/builder.js';
import { Field } from '../ir/ir.js';
import { OPS } from '../ir/ops.js';
import { optimize } from '../ir/passes/optimize.js';
import { fieldNameOf } from '../backend-wasm/record.js';
import { canBeHot } from '../backend-wasm/interpreter-hot-handlers.js';
import {
  type Form,
  type FormSequence,
  generateInterpreter,
  type InterpreterImage,
  type InterpreterOptions,
} from '../backend-wasm/interpreter.js';
import { HOT_FORMS, HOT_SEQUENCES } from './hot-forms.js';
import { DIRECT_HYPERCALL_FUNCTIONS } from './direct-hypercalls.js';
import { TLB_DROP_FUNCTIONS } from './tlb-drops.js';
import { DIRECT_TRAP_FUNCTION } from './direct-traps.js';
import { MODE_CHANGED_FUNCTION } from './mode.js';
import { SLOW_PATHS } from './slow-paths.js';

/** Forms that are fast alone. */
const HOT_FORM_COUNT = 110;

/** The IR of a form, operands as fields. */
export function liftForm(form: Instruction): Form {
  const b = new Builder();
  b.mark(0, 0);
  lift(b, form);
  return { id: form.form, name: formName(form), block: optimize(b.block()) };
}

/** The form with its fields renamed, to stand at a place of a sequence. */
function renamed(form: Instruction, place: number): Instruction {
  const fields = new Map<string, Field>();
  const rename = (v: unknown): unknown => {
    if (v instanceof Field) {
      const name = fieldNameOf(v.name, place);
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

/** The sequence's handler, or undefined if these forms cannot share one. */
export function sequenceOf(forms: readonly Instruction[]): FormSequence | undefined {
  const b = new Builder();
  for (const [place, form] of forms.entries()) {
    const before = b.ops.at(-1);
    if (before && OPS[before.name].effect === 'end') return undefined;
    b.mark(0, 0);
    lift(b, place === 0 ? form : renamed(form, place));
  }
  const block = optimize(b.block());
  if (!canBeHot(block)) return undefined;
  return { forms: forms.map((form) => form.form), name: forms.map(formName).join('; '), block };
}

/** Lifts and lowers all forms, the hottest (by `HOT_FORMS`) first, and the hottest sequences. */
export function buildInterpreter(options: InterpreterOptions): InterpreterImage {
  const symbols = [...allForms()];
  const forms = symbols.map(liftForm);
  const rank = new Map(HOT_FORMS.map((name, i) => [name, i]));
  const coldest = HOT_FORMS.length;
  const rankOf = ({ name }: Form): number => rank.get(name) ?? coldest;
  forms.sort((a, b) => rankOf(a) - rankOf(b) || a.id - b.id);
  const hot = new Set(forms.filter((f) => canBeHot(f.block)).slice(0, HOT_FORM_COUNT));
  // Those behind them stand together as well: what a guest never needs is never compiled.
  forms.sort((a, b) => Number(hot.has(b)) - Number(hot.has(a)));
  const byName = new Map(symbols.map((s) => [formName(s), s]));
  const sequences: FormSequence[] = [];
  for (const names of HOT_SEQUENCES) {
    const parts = names.map((name) => byName.get(name));
    const sequence = parts.every((p) => p !== undefined) ? sequenceOf(parts) : undefined;
    if (sequence === undefined) throw new Error(`no sequence: ${names.join('; ')}`);
    sequences.push(sequence);
  }
  return generateInterpreter(
    forms,
    hot.size,
    sequences,
    [
      ...SLOW_PATHS,
      MODE_CHANGED_FUNCTION,
      DIRECT_TRAP_FUNCTION,
      ...TLB_DROP_FUNCTIONS,
      ...DIRECT_HYPERCALL_FUNCTIONS,
    ],
    options,
  );
}

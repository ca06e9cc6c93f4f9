/** Builds the interpreter from the lifter: every instruction form becomes a handler. Run when the package is built. */
import { allForms, formName } from '../frontend-x86/forms.js';
import type { Instruction } from '../frontend-x86/instruction.js';
import { lift, LIFTS } from '../frontend-x86/lift/lift.js';
import { Builder } from '../ir/builder.js';
import { type Form, generateInterpreter, type InterpreterImage } from '../backend-wasm/interpreter.js';
import { HOT_FORMS } from './hot-forms.js';
import { MODE_CHANGED_FUNCTION } from './mode.js';
import { SLOW_PATHS } from './slow-paths.js';

/** The IR of a form, operands as fields. */
export function liftForm(form: Instruction): Form {
  const b = new Builder();
  b.mark(0, 0);
  lift(b, form);
  return { id: form.form, name: formName(form), block: b.block() };
}

/** Lifts and lowers all forms, the hottest (by `HOT_FORMS`) first. */
export function buildInterpreter(options: { validate: boolean; text?: boolean }): InterpreterImage {
  const rank = new Map(HOT_FORMS.map((name, i) => [name, i]));
  const coldest = HOT_FORMS.length;
  const forms = [...allForms()].filter((f) => f.op in LIFTS).map(liftForm);
  forms.sort((a, b) => (rank.get(a.name) ?? coldest) - (rank.get(b.name) ?? coldest) || a.id - b.id);
  return generateInterpreter(forms, [...SLOW_PATHS, MODE_CHANGED_FUNCTION], options);
}

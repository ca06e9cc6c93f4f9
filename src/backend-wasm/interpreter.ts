/**
 * Generates the interpreter: one Wasm function `run` with the hot handlers in a `br_table` loop, and further functions
 * with one for every form. Each handler is the IR of an instruction form, or of a sequence of them, lowered like
 * everything else.
 *
 * What is hot makes no calls: where the TLB does not have a page, the instruction starts again in its other handler.
 * So the interpreter's registers stay in the processor's, and a handler is small; functions of more than about twice as
 * much code get V8's lesser register allocator, which makes all of it slower.
 */
import type { Block, IrFunction } from '../ir/ir.js';
import { OPS } from '../ir/ops.js';
import { groupAccesses } from './access-groups.js';
import { Emitter, type Expr, Locals } from './binaryen.js';
import { FunctionTarget } from './function-target.js';
import { Traits } from './function-traits.js';
import { hotExits, hotRegisters } from './interpreter-hot-handlers.js';
import { addRareFunctions, rareExits, rareFunctionName, rareRegisters } from './interpreter-rare-handlers.js';
import { addRun } from './interpreter-run.js';
import { type Exits, HandlerTarget, type Registers } from './interpreter-target.js';
import { Lowering } from './lower.js';
import * as L from './memory-layout.js';
import { withFunctionName } from './name-section.js';
import { HANDLER, layoutOf, type RecordLayout } from './record.js';

/** An instruction form to be given a handler. */
export interface Form {
  /** The decoder's number of the form. */
  readonly id: number;
  readonly name: string;
  readonly block: Block;
}

/** The handlers that a form got. */
export interface InterpreterForm {
  readonly id: number;
  readonly handler: number;
  /** The handler that serves what the other cannot, if they are two. */
  readonly slow?: number;
  readonly layout: RecordLayout;
}

/** Forms that follow each other often enough to have a handler for all of them. */
export interface FormSequence {
  /** Numbers of the forms, in order. */
  readonly forms: readonly number[];
  readonly name: string;
  /** All instructions; fields of the one number k are named by `fieldNameOf(name, k)`. */
  readonly block: Block;
}

/** The handler that a sequence got. */
export interface InterpreterSequence {
  readonly forms: readonly number[];
  readonly handler: number;
}

export interface InterpreterImage {
  readonly wasm: Uint8Array;
  /** Forms, the hottest first. */
  readonly forms: readonly InterpreterForm[];
  readonly sequences: readonly InterpreterSequence[];
  readonly text?: string;
}

export interface InterpreterOptions {
  /** Let Binaryen check the module. */
  readonly validate: boolean;
  /** Also give the module's text. */
  readonly text?: boolean;
}

/** What gets a handler: a form, or a sequence of forms. */
interface Handler {
  readonly name: string;
  readonly block: Block;
  /** Records of its instructions, one behind the other. */
  readonly layouts: readonly RecordLayout[];
}

function endsItself(block: Block): boolean {
  const last = block.ops[block.ops.length - 1];
  return last !== undefined && OPS[last.name].effect === 'end';
}

/** The functions, and all that they and the blocks call. Imported functions have no body and are left out. */
function reachable(blocks: Iterable<Block>, functions: readonly IrFunction[]): IrFunction[] {
  const found = new Set<IrFunction>();
  const visit = (block: Block): void => {
    for (const op of block.ops) {
      const callee = op.imm as IrFunction;
      if (op.name === 'call' && 'body' in callee && !found.has(callee)) {
        found.add(callee);
        visit(callee.body);
      }
    }
  };
  for (const f of functions) found.add(f);
  for (const f of functions) visit(f.body);
  for (const block of blocks) visit(block);
  return [...found];
}

/** Lowers an out-of-line IR function into the module. */
function addIrFunction(e: Emitter, f: IrFunction, traits: Traits): void {
  const locals = new Locals(f.params);
  const target = new FunctionTarget(e, f.result, L.TLB_BASE, L.FUEL);
  const code = new Lowering(e, locals, target, traits, f.body, `${f.name}_`, f.params.length).run();
  if (f.result !== 'void') code.push(e.unreachable());
  e.addFunction(
    f.name,
    f.params,
    f.result,
    locals,
    e.block(null, code, f.result === 'void' ? 'void' : f.result),
  );
}

/**
 * Generates the module. `forms`: hottest first, the first `hotCount` have a handler in `run`; `runtime`: the IR functions
 * that lowered code calls by name.
 */
export function generateInterpreter(
  forms: readonly Form[],
  hotCount: number,
  sequences: readonly FormSequence[],
  runtime: readonly IrFunction[],
  options: InterpreterOptions,
): InterpreterImage {
  const e = new Emitter();
  for (const [name, { params, result }] of Object.entries(L.IMPORTS)) e.addImport(name, params, result);
  const functions = reachable(
    [...forms, ...sequences].map((f) => f.block),
    runtime,
  );
  e.addTable(L.REGION_TABLE, L.MAX_REGIONS);
  const traits = new Traits(functions);
  for (const f of functions) addIrFunction(e, f, traits);

  const layouts = new Map(forms.map((form) => [form.id, layoutOf(form.block)]));
  const single = (f: Form): Handler => ({ name: f.name, block: f.block, layouts: [layouts.get(f.id)!] });
  // Handler numbers: those of `run`, its special ones first, then one for every form.
  const sequenceHandlers = sequences.map((s) => ({
    name: s.name,
    block: s.block,
    layouts: s.forms.map((form) => layouts.get(form)!),
  }));
  const hotForms = forms.slice(0, hotCount);
  const hot = [...sequenceHandlers, ...hotForms.map(single)];
  const runHandlers = HANDLER.first + hot.length;
  const body = (h: Handler, number: number, locals: Locals, r: Registers, exits: Exits): Expr[] => {
    const target = new HandlerTarget(e, r, exits, h.layouts);
    try {
      const groups = number < runHandlers ? groupAccesses(h.block) : undefined;
      const out = new Lowering(e, locals, target, traits, h.block, `f${number}_`, 0, groups).run();
      const bytes = h.layouts.reduce((sum, layout) => sum + layout.bytes, 0);
      return endsItself(h.block) ? out : [...out, ...exits.next(bytes)];
    } catch (error) {
      throw new Error(`form ${h.name}: ${(error as Error).message}`, { cause: error });
    }
  };

  const rareFunctions = addRareFunctions(e, forms.length, (i, locals) =>
    body(single(forms[i]!), runHandlers + i, locals, rareRegisters(e), rareExits(e)),
  );
  addRun(e, rareFunctions, (locals) =>
    hot.map((h, i) => body(h, HANDLER.first + i, locals, hotRegisters(e), hotExits(e))),
  );
  e.addExport('run');
  for (const f of functions) e.addExport(f.name);
  // So that whoever has the module can tell V8 to optimise them.
  for (let i = 0; i < rareFunctions; i++) e.addExport(rareFunctionName(i));
  const text = options.text ? e.text() : undefined;
  const wasm = withFunctionName(e.finish({ validate: options.validate }), 'run', 'interpreter');
  const firstForm = HANDLER.first + sequences.length;
  return {
    wasm,
    forms: forms.map(({ id }, i) => {
      const rest = { id, layout: layouts.get(id)! };
      const slow = runHandlers + i;
      return i < hotCount ? { ...rest, handler: firstForm + i, slow } : { ...rest, handler: slow };
    }),
    sequences: sequences.map((s, i) => ({ forms: s.forms, handler: HANDLER.first + i })),
    ...(text === undefined ? {} : { text }),
  };
}

/**
 * The reference evaluator: executes IR one op after the other, in plain TypeScript. It is what the interpreter and
 * the translator are judged against, so nothing here is clever; blocks are only unpacked once into steps.
 *
 * `pcrel`, `goto` and `branch` count from the first byte of the *current instruction*: the one whose mark was passed
 * last in the op list. A block that has no mark is one instruction at delta 0. Functions count from their caller's
 * current instruction.
 */
import { GuestFault, type Environment } from './environment.js';
import { Field, type Block, type IrFunction, type Op } from './ir.js';
import { SCALAR, type Scalar } from './semantics.js';

/** How a block ended. Offsets (`eip`, `next`) are uint32. */
export type Outcome =
  /** It ran off its end: `eip` is behind its last instruction (delta + length of the last mark). */
  | { readonly kind: 'next'; readonly eip: number }
  /** A `goto`, or either way of a `branch`. */
  | { readonly kind: 'goto'; readonly eip: number }
  /** `hint` is the imm of the `jump`. */
  | { readonly kind: 'jump'; readonly eip: number; readonly hint: number }
  /** `detail` is an int32, `next` the offset behind the instruction. */
  | { readonly kind: 'leave'; readonly reason: number; readonly detail: number; readonly next: number };

/** Where execution stands. */
export interface Position {
  /**
   * In: the offset of the block's first byte. While a block runs and afterwards, also after a fault: the offset of
   * the instruction that was started last (uint32).
   */
  eip: number;
}

const enum Kind {
  literal,
  scalar,
  get8,
  get16,
  get32,
  get64,
  put8,
  put16,
  put32,
  put64,
  ld8,
  ld16,
  ld32,
  ld64,
  st8,
  st16,
  st32,
  st64,
  probe,
  peek8,
  peek16,
  peek32,
  peek64,
  poke8,
  poke16,
  poke32,
  poke64,
  varGet,
  varSet,
  if,
  jumpTo,
  continueIf,
  call,
  raise,
  return,
  pcrel,
  clock,
  fuel,
  charge,
  span,
  direct,
  goto,
  branch,
  jump,
  leave,
  mark,
}

/** Kinds of the ops that need no further treatment when unpacked: their imm is a number or absent. */
const SIMPLE: Record<string, Kind> = {
  get8: Kind.get8,
  get16: Kind.get16,
  get32: Kind.get32,
  get64: Kind.get64,
  put8: Kind.put8,
  put16: Kind.put16,
  put32: Kind.put32,
  put64: Kind.put64,
  ld8: Kind.ld8,
  ld16: Kind.ld16,
  ld32: Kind.ld32,
  ld64: Kind.ld64,
  st8: Kind.st8,
  st16: Kind.st16,
  st32: Kind.st32,
  st64: Kind.st64,
  probe: Kind.probe,
  peek8: Kind.peek8,
  peek16: Kind.peek16,
  peek32: Kind.peek32,
  peek64: Kind.peek64,
  poke8: Kind.poke8,
  poke16: Kind.poke16,
  poke32: Kind.poke32,
  poke64: Kind.poke64,
  'var.get': Kind.varGet,
  'var.set': Kind.varSet,
  raise: Kind.raise,
  return: Kind.return,
  pcrel: Kind.pcrel,
  clock: Kind.clock,
  fuel: Kind.fuel,
  charge: Kind.charge,
  span: Kind.span,
  direct: Kind.direct,
  goto: Kind.goto,
  jump: Kind.jump,
  leave: Kind.leave,
};

/** One op (or mark) unpacked. `dst`, `a`, `b`, `c` are op indices (-1: none), `target` a step index. */
interface Step {
  readonly kind: Kind;
  readonly dst: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
  readonly imm: number;
  readonly imm2: number;
  readonly literal: Scalar;
  readonly scalar: ((a: Scalar, b: Scalar, c: Scalar) => Scalar) | undefined;
  readonly callee: IrFunction | undefined;
  readonly args: readonly number[];
  target: number;
}

interface Prepared {
  readonly steps: readonly Step[];
  /** Number of ops: variable n stands at frame index `values + n`. */
  readonly values: number;
  readonly vars: number;
  /** Length of the last instruction from its first byte. */
  readonly lastLength: number;
}

const preparedBlocks = new WeakMap<Block, Prepared>();

function concrete(operand: unknown, op: Op, index: number): number {
  if (operand === undefined) return 0;
  if (operand instanceof Field) {
    throw new Error(
      `op ${index} (${op.name}) has the field ${operand.name}: an instruction form cannot be evaluated`,
    );
  }
  return operand as number;
}

function step(kind: Kind, dst: number, op: Op | undefined, imm: number, target = -1): Step {
  const args = op ? op.args : [];
  return {
    kind,
    dst,
    a: args[0] ?? -1,
    b: args[1] ?? -1,
    c: args[2] ?? -1,
    imm,
    imm2: 0,
    literal: 0,
    scalar: undefined,
    callee: undefined,
    args,
    target,
  };
}

/** Unpacks a block; throws `Error` for fields and for structure that does not match. */
function prepare(block: Block): Prepared {
  const steps: Step[] = [];
  const open: { kind: 'if' | 'else' | 'loop'; at: number }[] = [];
  const { ops, marks } = block;
  let mark = 0;
  for (let i = 0; i <= ops.length; i++) {
    for (; mark < marks.length && marks[mark]!.at <= i; mark++) {
      const m = marks[mark]!;
      const s = step(Kind.mark, -1, undefined, m.delta);
      steps.push({ ...s, imm2: m.length, a: mark });
    }
    if (i === ops.length) break;
    const op = ops[i]!;
    switch (op.name) {
      case 'i32.const':
      case 'i64.const':
        steps.push({ ...step(Kind.literal, i, op, 0), literal: op.imm as Scalar });
        break;
      case 'if':
        open.push({ kind: 'if', at: steps.length });
        steps.push(step(Kind.if, i, op, 0));
        break;
      case 'else': {
        const start = open.pop();
        if (start?.kind !== 'if') throw new Error(`op ${i}: else without if`);
        open.push({ kind: 'else', at: steps.length });
        steps.push(step(Kind.jumpTo, i, op, 0));
        steps[start.at]!.target = steps.length;
        break;
      }
      case 'loop':
        open.push({ kind: 'loop', at: steps.length });
        break;
      case 'continue_if': {
        const loop = open.findLast((o) => o.kind === 'loop');
        if (!loop) throw new Error(`op ${i}: continue_if outside a loop`);
        steps.push(step(Kind.continueIf, i, op, 0, loop.at));
        break;
      }
      case 'end': {
        const start = open.pop();
        if (!start) throw new Error(`op ${i}: end without if or loop`);
        if (start.kind !== 'loop') steps[start.at]!.target = steps.length;
        break;
      }
      case 'call':
        steps.push({ ...step(Kind.call, i, op, 0), callee: op.imm as IrFunction });
        break;
      case 'branch': {
        const [taken, otherwise] = op.imm as readonly [number, number];
        const s = step(Kind.branch, i, op, concrete(taken, op, i));
        steps.push({ ...s, imm2: concrete(otherwise, op, i) });
        break;
      }
      default: {
        const scalar = SCALAR[op.name];
        if (scalar) {
          steps.push({ ...step(Kind.scalar, i, op, 0), scalar: scalar as unknown as Step['scalar'] });
          break;
        }
        if (op.name === 'field') concrete(op.imm, op, i);
        const kind = SIMPLE[op.name];
        if (kind === undefined) throw new Error(`op ${i}: the evaluator does not know ${op.name}`);
        steps.push(step(kind, i, op, concrete(op.imm, op, i)));
      }
    }
  }
  if (open.length > 0) throw new Error(`op ${ops.length}: ${open.at(-1)!.kind} without end`);
  const last = marks.at(-1);
  return { steps, values: ops.length, vars: block.vars.length, lastLength: last ? last.length : 0 };
}

function preparedOf(block: Block): Prepared {
  let p = preparedBlocks.get(block);
  if (!p) preparedBlocks.set(block, (p = prepare(block)));
  return p;
}

/** Frames of the evaluations in progress: each holds a block's values, then its variables. */
const stack: (Scalar | undefined)[] = [];
let top = 0;

/** Runs the steps in the frame at `base`; a `return` gives the function's value (undefined for void). */
function run(p: Prepared, base: number, env: Environment, at: Position): Outcome | Scalar | undefined {
  const { steps } = p;
  const { control } = env;
  const start = at.eip;
  const vars = base + p.values;
  const i32 = (v: number): number => stack[base + v] as number;
  const i64 = (v: number): bigint => stack[base + v] as bigint;
  const uint = (v: number): number => (stack[base + v] as number) >>> 0;
  let length = 0;
  let pc = 0;
  while (pc < steps.length) {
    const s = steps[pc++]!;
    switch (s.kind) {
      case Kind.literal:
        stack[base + s.dst] = s.literal;
        break;
      case Kind.scalar:
        stack[base + s.dst] = s.scalar!(
          stack[base + s.a]!,
          s.b < 0 ? 0 : stack[base + s.b]!,
          s.c < 0 ? 0 : stack[base + s.c]!,
        );
        break;
      case Kind.get8:
        stack[base + s.dst] = control.getUint8(s.imm);
        break;
      case Kind.get16:
        stack[base + s.dst] = control.getUint16(s.imm, true);
        break;
      case Kind.get32:
        stack[base + s.dst] = control.getInt32(s.imm, true);
        break;
      case Kind.get64:
        stack[base + s.dst] = control.getBigUint64(s.imm, true);
        break;
      case Kind.put8:
        control.setUint8(s.imm, i32(s.a));
        break;
      case Kind.put16:
        control.setUint16(s.imm, i32(s.a), true);
        break;
      case Kind.put32:
        control.setInt32(s.imm, i32(s.a), true);
        break;
      case Kind.put64:
        control.setBigUint64(s.imm, i64(s.a), true);
        break;
      case Kind.ld8:
        stack[base + s.dst] = env.load(uint(s.a), 1, s.imm !== 0) & 0xff;
        break;
      case Kind.ld16:
        stack[base + s.dst] = env.load(uint(s.a), 2, s.imm !== 0) & 0xffff;
        break;
      case Kind.ld32:
        stack[base + s.dst] = env.load(uint(s.a), 4, s.imm !== 0) | 0;
        break;
      case Kind.ld64:
        stack[base + s.dst] = BigInt.asUintN(64, env.load64(uint(s.a), s.imm !== 0));
        break;
      case Kind.st8:
        env.store(uint(s.a), 1, i32(s.b) & 0xff);
        break;
      case Kind.st16:
        env.store(uint(s.a), 2, i32(s.b) & 0xffff);
        break;
      case Kind.st32:
        env.store(uint(s.a), 4, i32(s.b));
        break;
      case Kind.st64:
        env.store64(uint(s.a), i64(s.b));
        break;
      case Kind.probe:
        env.probe(uint(s.a), s.imm);
        break;
      case Kind.peek8:
        stack[base + s.dst] = control.getUint8(uint(s.a) + s.imm);
        break;
      case Kind.peek16:
        stack[base + s.dst] = control.getUint16(uint(s.a) + s.imm, true);
        break;
      case Kind.peek32:
        stack[base + s.dst] = control.getInt32(uint(s.a) + s.imm, true);
        break;
      case Kind.peek64:
        stack[base + s.dst] = control.getBigUint64(uint(s.a) + s.imm, true);
        break;
      case Kind.poke8:
        control.setUint8(uint(s.a) + s.imm, i32(s.b));
        break;
      case Kind.poke16:
        control.setUint16(uint(s.a) + s.imm, i32(s.b), true);
        break;
      case Kind.poke32:
        control.setInt32(uint(s.a) + s.imm, i32(s.b), true);
        break;
      case Kind.poke64:
        control.setBigUint64(uint(s.a) + s.imm, i64(s.b), true);
        break;
      case Kind.varGet: {
        const value = stack[vars + s.imm];
        if (value === undefined) throw new Error(`variable ${s.imm} is read before it is written`);
        stack[base + s.dst] = value;
        break;
      }
      case Kind.varSet:
        stack[vars + s.imm] = stack[base + s.a];
        break;
      case Kind.if:
        if (i32(s.a) === 0) pc = s.target;
        break;
      case Kind.jumpTo:
        pc = s.target;
        break;
      case Kind.continueIf:
        if (i32(s.a) !== 0) pc = s.target;
        break;
      case Kind.call: {
        // A function without a body is between translated code and whoever runs it.
        if (!('body' in s.callee!)) break;
        const callee = preparedOf(s.callee.body);
        const frame = top;
        const parameters = enter(callee);
        for (let k = 0; k < s.args.length; k++) stack[parameters + k] = stack[base + s.args[k]!];
        const value = run(callee, frame, env, at) as Scalar | undefined;
        top = frame;
        if (s.callee!.result !== 'void') {
          if (value === undefined) throw new Error(`${s.callee!.name} ended without a value`);
          stack[base + s.dst] = value;
        }
        break;
      }
      case Kind.raise:
        throw new GuestFault(s.imm, i32(s.a));
      case Kind.return:
        return s.a < 0 ? undefined : stack[base + s.a];
      case Kind.pcrel:
        stack[base + s.dst] = (at.eip + s.imm) | 0;
        break;
      case Kind.clock:
        stack[base + s.dst] = BigInt.asUintN(64, env.clock());
        break;
      case Kind.fuel:
        stack[base + s.dst] = env.fuel() | 0;
        break;
      case Kind.charge:
        env.charge(i32(s.a));
        break;
      case Kind.span:
        stack[base + s.dst] = env.span?.(uint(s.a), s.imm !== 0) ?? 0;
        break;
      case Kind.direct:
        if (!env.direct) throw new Error('direct access where span answered 0');
        stack[base + s.dst] = env.direct(uint(s.a), s.imm !== 0) | 0;
        break;
      case Kind.goto:
        return { kind: 'goto', eip: (at.eip + s.imm) >>> 0 };
      case Kind.branch:
        return { kind: 'goto', eip: (at.eip + (i32(s.a) !== 0 ? s.imm : s.imm2)) >>> 0 };
      case Kind.jump:
        return { kind: 'jump', eip: uint(s.a), hint: s.imm };
      case Kind.leave:
        return { kind: 'leave', reason: s.imm, detail: i32(s.a), next: (at.eip + length) >>> 0 };
      case Kind.mark:
        if (s.a > 0) env.completed?.();
        at.eip = (start + s.imm) >>> 0;
        length = s.imm2;
        break;
    }
  }
  return undefined;
}

/** Makes a frame at `top` and returns the index of its first variable. */
function enter(p: Prepared): number {
  const vars = top + p.values;
  top = vars + p.vars;
  while (stack.length < top) stack.push(undefined);
  stack.fill(undefined, vars, top);
  return vars;
}

/**
 * Executes a block. Throws `GuestFault` for exceptions of the guest (then `at.eip` is the faulting instruction's) and
 * `Error` for IR that has no meaning: fields, unmatched structure, a division the lifter should have guarded.
 */
export function evaluate(block: Block, env: Environment, at: Position): Outcome {
  const p = preparedOf(block);
  const frame = top;
  try {
    enter(p);
    const outcome = run(p, frame, env, at) as Outcome | undefined;
    return outcome ?? { kind: 'next', eip: (at.eip + p.lastLength) >>> 0 };
  } finally {
    top = frame;
  }
}

/** Calls an IR function; its value, undefined for void. Throws as `evaluate` does. */
export function evaluateFunction(
  f: IrFunction,
  args: readonly Scalar[],
  env: Environment,
  at: Position,
): Scalar | undefined {
  if (args.length !== f.params.length) throw new Error(`${f.name} takes ${f.params.length} arguments`);
  const p = preparedOf(f.body);
  const frame = top;
  try {
    const parameters = enter(p);
    for (let k = 0; k < args.length; k++) stack[parameters + k] = args[k];
    const value = run(p, frame, env, at) as Scalar | undefined;
    if (f.result !== 'void' && value === undefined) throw new Error(`${f.name} ended without a value`);
    return value;
  } finally {
    top = frame;
  }
}

/** Checks that IR is well formed, and that instructions change nothing before they may fault. */
import { Field, type Block, type CallTarget, type IrFunction, type Op } from './ir.js';
import { OPS, type OpInfo, type Type } from './ops.js';

/** What is wrong, and at which op (index into `ops`). */
export interface Violation {
  readonly op: number;
  readonly message: string;
}

export interface VerifyOptions {
  /** The block may run off its end into the instruction behind it (instructions that are still to be joined). */
  readonly mayFallThrough?: boolean;
}

function isInteger(v: unknown, low: number, high: number): boolean {
  return typeof v === 'number' && Number.isInteger(v) && v >= low && v <= high;
}
function isOperand(v: unknown, low: number, high: number): boolean {
  return v instanceof Field || isInteger(v, low, high);
}
const INT32_MIN = -0x80000000;
const UINT32_MAX = 0xffffffff;

/** Why `imm` is no imm of the kind, or undefined. Deltas may be given as int32 or uint32. */
function immProblem(op: Op, info: OpInfo): string | undefined {
  const { imm } = op;
  switch (info.imm) {
    case 'none':
      return imm === undefined ? undefined : 'has an imm';
    case 'number':
    case 'leave':
      return isInteger(imm, INT32_MIN, op.name === 'i32.const' ? 0x7fffffff : UINT32_MAX)
        ? undefined
        : 'wants a number as imm';
    case 'bigint':
      return typeof imm === 'bigint' && imm === BigInt.asUintN(64, imm) ? undefined : 'wants a bigint as imm';
    case 'slot':
      return isOperand(imm, 0, 0xffff) ? undefined : 'wants a slot as imm';
    case 'delta':
      return isOperand(imm, INT32_MIN, UINT32_MAX) ? undefined : 'wants a delta as imm';
    case 'delta2':
      return Array.isArray(imm) && imm.length === 2 && imm.every((d) => isOperand(d, INT32_MIN, UINT32_MAX))
        ? undefined
        : 'wants two deltas as imm';
    case 'field':
      return imm instanceof Field ? undefined : 'wants a field as imm';
    case 'var':
    case 'call':
      return undefined; // Checked with the types.
  }
}

/** A structure that is open: what was visible, assigned and reachable where it started. */
interface Scope {
  kind: 'if' | 'else' | 'loop';
  at: number;
  /** Values defined since here vanish at the end. */
  firstValue: number;
  assigned: boolean[];
  reachable: boolean;
}

class Verifier {
  readonly violations: Violation[] = [];
  private readonly scopes: Scope[] = [];
  private readonly visible: boolean[] = [];
  private assigned: boolean[];
  private reachable = true;

  constructor(
    private readonly block: Block,
    private readonly f: IrFunction | undefined,
    private readonly options: VerifyOptions,
  ) {
    this.assigned = block.vars.map((_, n) => f !== undefined && n < f.params.length);
  }

  private report(op: number, message: string): void {
    this.violations.push({ op, message: `${this.block.ops[op]?.name ?? 'end'}: ${message}` });
  }

  run(): void {
    const { ops } = this.block;
    for (let i = 0; i < ops.length; i++) {
      const op = ops[i]!;
      this.visible[i] = op.type !== 'void';
      const info: OpInfo | undefined = OPS[op.name];
      if (info === undefined) {
        this.report(i, 'is no op');
        continue;
      }
      const problem = immProblem(op, info);
      if (problem) this.report(i, problem);
      this.types(i, op, info);
      this.structure(i, op, info);
    }
    for (const s of this.scopes) this.report(s.at, 'has no end');
    if (this.f) {
      if (this.reachable && this.f.result !== 'void')
        this.report(ops.length, 'the function ends without a value');
    } else if (this.reachable && !this.options.mayFallThrough) {
      this.report(ops.length, 'the block has no terminator');
    }
    this.marks();
  }

  private types(i: number, op: Op, info: OpInfo): void {
    let args: readonly Type[] = info.args;
    let { result } = info;
    if (info.imm === 'call') {
      const target = op.imm as CallTarget | undefined;
      if (target === undefined || typeof target !== 'object' || !('params' in target)) {
        this.report(i, 'wants a function as imm');
        return;
      }
      args = target.params;
      result = target.result;
      if (this.f && target.faults && !this.f.faults) {
        this.report(i, `${target.name} may fault, ${this.f.name} is declared not to`);
      }
    } else if (info.imm === 'var') {
      const type = this.block.vars[op.imm as number];
      if (type === undefined) {
        this.report(i, `there is no variable ${String(op.imm)}`);
        return;
      }
      if (op.name === 'var.get') {
        result = type;
        if (!this.assigned[op.imm as number] && this.reachable) {
          this.report(i, `variable ${String(op.imm)} is read before it is written`);
        }
      } else {
        args = [type];
        this.assigned[op.imm as number] = true;
      }
    } else if (op.name === 'return') {
      args = this.f && this.f.result !== 'void' ? [this.f.result] : [];
    }
    if (op.type !== result) this.report(i, `has type ${op.type}, not ${result}`);
    if (op.args.length !== args.length) {
      this.report(i, `has ${op.args.length} arguments, not ${args.length}`);
    }
    op.args.forEach((a, k) => {
      const definition = a < i ? this.block.ops[a] : undefined;
      if (definition === undefined) this.report(i, `argument ${k} is not defined before its use`);
      else if (!this.visible[a]) {
        this.report(
          i,
          definition.type === 'void' ? `argument ${k} has no value` : `v${a} is not visible here`,
        );
      } else if (k < args.length && definition.type !== args[k]) {
        this.report(i, `argument ${k} is ${definition.type}, not ${args[k]}`);
      }
    });
  }

  /** Hides what was defined since op `first`. */
  private hide(first: number, end: number): void {
    for (let v = first; v < end; v++) this.visible[v] = false;
  }

  private structure(i: number, op: Op, info: OpInfo): void {
    switch (op.name) {
      case 'if':
      case 'loop':
        this.scopes.push({
          kind: op.name,
          at: i,
          firstValue: i + 1,
          assigned: [...this.assigned],
          reachable: this.reachable,
        });
        return;
      case 'else': {
        const scope = this.scopes.at(-1);
        if (scope?.kind !== 'if') return this.report(i, 'has no if');
        const { assigned, reachable } = scope;
        this.hide(scope.firstValue, i);
        scope.kind = 'else';
        scope.firstValue = i + 1;
        scope.assigned = this.assigned;
        scope.reachable = this.reachable;
        this.assigned = assigned;
        this.reachable = reachable;
        return;
      }
      case 'end': {
        const scope = this.scopes.pop();
        if (!scope) return this.report(i, 'has no if or loop');
        this.hide(scope.firstValue, i);
        if (scope.kind === 'loop') return;
        // The other way here: the then part, or past an if without else.
        const here = this.reachable;
        const other = scope.assigned;
        if (!here || !scope.reachable) this.assigned = here ? this.assigned : other;
        else this.assigned = this.assigned.map((a, n) => a && other[n]!);
        this.reachable = here || scope.reachable;
        return;
      }
      case 'continue_if':
        if (!this.scopes.some((s) => s.kind === 'loop')) this.report(i, 'is outside a loop');
        return;
      case 'return':
        if (!this.f) this.report(i, 'is for functions only');
        this.reachable = false;
        return;
      case 'raise':
        if (this.f && !this.f.faults) this.report(i, `${this.f.name} is declared not to fault`);
        this.reachable = false;
        return;
    }
    if ((info.effect === 'load' || info.effect === 'store') && this.f && !this.f.faults) {
      this.report(i, `${this.f.name} is declared not to fault`);
    }
    if (info.effect === 'end') {
      if (this.f) this.report(i, 'is for blocks only');
      // `into` leaves on one of its two paths.
      if (op.name === 'leave' && this.scopes.length > 0 && this.scopes.every((s) => s.kind !== 'loop')) {
        this.reachable = false;
        return;
      }
      if (this.scopes.length > 0 || i !== this.block.ops.length - 1) this.report(i, 'is not the last op');
      this.reachable = false;
    }
  }

  private marks(): void {
    const { marks, ops } = this.block;
    if (this.f && marks.length > 0) this.report(0, 'a function has marks');
    let depth = 0;
    let k = 0;
    for (let i = 0; i <= ops.length; i++) {
      for (; k < marks.length && marks[k]!.at <= i; k++) {
        if (marks[k]!.at < i) this.report(i, `mark ${k} is out of order`);
        if (depth > 0) this.report(i, `mark ${k} is inside a structure`);
      }
      const name = ops[i]?.name;
      if (name === 'if' || name === 'loop') depth++;
      else if (name === 'end') depth--;
    }
    if (k < marks.length) this.report(ops.length, `mark ${k} is behind the end`);
    if (marks.length > 0 && marks[0]!.at !== 0) this.report(0, 'ops stand before the first mark');
  }
}

/**
 * Everything that is wrong with a block: types, arity, values used outside the structure that defines them, variables
 * read before they are written on some path, a terminator that is missing or not last, marks out of order. A block
 * every path of which ends in `raise` needs no terminator.
 */
export function verifyBlock(block: Block, options: VerifyOptions = {}): readonly Violation[] {
  const v = new Verifier(block, undefined, options);
  v.run();
  return v.violations;
}

/** Likewise for a function: no terminators, a `return` on every path unless it is void, no faults unless declared. */
export function verifyFunction(f: IrFunction): readonly Violation[] {
  const v = new Verifier(f.body, f, {});
  v.run();
  return v.violations;
}

/** Throws `Error` with the first violation. */
export function assertValid(block: Block, options: VerifyOptions = {}): void {
  const [first] = verifyBlock(block, options);
  if (first) throw new Error(`op ${first.op}: ${first.message}`);
}

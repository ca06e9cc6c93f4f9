/**
 * Lowers IR to Wasm. One lowering serves the interpreter's handlers, the translator's regions and IR functions; what
 * differs (where state lives, how control leaves) comes from a `Target`. Memory accesses stand in `lower-accesses.ts`.
 */
import { OPS, type Type } from '../ir/ops.js';
import {
  type Block,
  type CallTarget,
  type Field,
  type Mark,
  type Op,
  type Operand,
  type Value,
} from '../ir/ir.js';
import { EXIT_DETAIL, EXIT_ERROR, EXIT_REASON } from '../frontend-x86/cpu-state.js';
import { LEAVE } from '../frontend-x86/leave.js';
import type { Emitter, Expr, Locals } from './binaryen.js';
import type { GroupMember } from './access-groups.js';
import type { Traits } from './function-traits.js';
import { AccessLowering, type BlockInProgress } from './lower-accesses.js';
import { RAM, SLOW_PATH } from './memory-layout.js';
import type { Target } from './target.js';
import { widthOf } from './width.js';

/** Effects that an instruction which is given up would have to undo. */
const CHANGES = new Set(['put', 'poke', 'store', 'call', 'env']);

const NO_GROUPS: ReadonlyMap<number, GroupMember> = new Map();

/** Lowers one block (or function body) into statements. */
export class Lowering implements BlockInProgress {
  readonly ops: readonly Op[];
  private readonly vars: readonly Type[];
  private readonly marks: readonly Mark[];
  private nextMark = 0;
  private readonly uses: Int32Array;
  /** Local that holds a value, or -1: built where it is used. */
  private readonly localOf: Int32Array;
  private readonly varLocals: number[] = [];
  private readonly taken: number[] = [];
  private labels = 0;
  private readonly accesses: AccessLowering;
  /** Whether the current instruction can still be given up: it has changed nothing. */
  private untouched = true;
  /** Loops around the current op: what stands in front of it may stand behind it too. */
  private loops = 0;

  constructor(
    private readonly e: Emitter,
    private readonly locals: Locals,
    private readonly target: Target,
    private readonly traits: Traits,
    block: Block,
    private readonly labelPrefix: string,
    /** Locals that already hold the first variables (function parameters). */
    parameterCount = 0,
    /** Accesses that share a check, by op index. */
    groups: ReadonlyMap<number, GroupMember> = NO_GROUPS,
  ) {
    this.accesses = new AccessLowering(e, target, this, groups);
    this.ops = block.ops;
    this.vars = block.vars;
    this.marks = block.marks;
    this.uses = new Int32Array(this.ops.length);
    this.localOf = new Int32Array(this.ops.length).fill(-1);
    for (const op of this.ops) for (const a of op.args) this.uses[a]!++;
    for (let i = 0; i < this.vars.length; i++) {
      this.varLocals.push(i < parameterCount ? i : this.take(this.vars[i]!));
    }
  }

  /** Statements of the whole block; afterwards its temporaries are free again. */
  run(): Expr[] {
    const out: Expr[] = [];
    const end = this.sequence(0, out);
    if (end !== this.ops.length) throw new Error('IR structure: unexpected end or else');
    // Instructions behind the last op, which do nothing: a store in front of them may have changed them.
    while (this.nextMark < this.marks.length) out.push(...this.target.instruction(this.nextMark++));
    for (const local of this.taken) this.locals.release(local);
    return out;
  }

  take(type: Type): number {
    const local = this.locals.take(type);
    this.taken.push(local);
    return local;
  }

  /** Lowers ops from `at` until the end, or an `end`/`else` that closes this level; returns where it stopped. */
  private sequence(at: number, out: Expr[], loopLabel?: string): number {
    const { e } = this;
    for (let i = at; i < this.ops.length; i++) {
      while (this.marks[this.nextMark]?.at === i) {
        out.push(...this.target.instruction(this.nextMark++));
        this.untouched = true;
      }
      const op = this.ops[i]!;
      switch (op.name) {
        case 'end':
        case 'else':
          return i;
        case 'if': {
          const condition = this.value(op.args[0]!);
          const then: Expr[] = [];
          i = this.sequence(i + 1, then, loopLabel);
          let otherwise: Expr[] | undefined;
          if (this.ops[i]!.name === 'else') {
            otherwise = [];
            i = this.sequence(i + 1, otherwise, loopLabel);
          }
          out.push(e.if(condition, e.block(null, then), otherwise && e.block(null, otherwise)));
          break;
        }
        case 'loop': {
          const label = `${this.labelPrefix}l${this.labels++}`;
          const body: Expr[] = [];
          this.loops++;
          i = this.sequence(i + 1, body, label);
          this.loops--;
          out.push(e.loop(label, e.block(null, body)));
          break;
        }
        case 'continue_if':
          if (loopLabel === undefined) throw new Error('continue_if outside a loop');
          out.push(e.br(loopLabel, this.value(op.args[0]!)));
          break;
        default:
          this.op(i as Value, op, out);
      }
    }
    return this.ops.length;
  }

  /** True for ops that may be built at their (single) use: no effect, and nothing between can change their result. */
  private inlined(i: number, op: Op): boolean {
    const effect = OPS[op.name].effect;
    if (effect === 'pure') return this.uses[i] === 1 || op.name.endsWith('.const') || op.name === 'pcrel';
    return false;
  }

  /** Lowers the op for its effect; its value, if any is wanted, into a local. */
  private op(i: Value, op: Op, out: Expr[]): void {
    const effect = OPS[op.name].effect;
    if (effect === 'pure' && (this.uses[i] === 0 || this.inlined(i, op))) return;
    if ((effect === 'get' || effect === 'peek') && this.uses[i] === 0) return;
    if (op.type !== 'void' && effect !== 'load' && effect !== 'call' && op.name !== 'span') {
      const local = this.take(op.type);
      const value = this.expression(op);
      this.localOf[i] = local;
      out.push(this.e.setLocal(local, value));
      return;
    }
    this.statement(i, op, out);
    if (CHANGES.has(effect)) this.untouched = false;
  }

  local(v: Value, out: Expr[]): number {
    const local = this.localOf[v]!;
    if (local >= 0) return local;
    const fresh = this.take(this.ops[v]!.type as Type);
    out.push(this.e.setLocal(fresh, this.value(v)));
    return fresh;
  }

  canGiveUp(): boolean {
    return this.untouched && this.loops === 0;
  }

  value(v: Value): Expr {
    const op = this.ops[v]!;
    const local = this.localOf[v]!;
    if (local >= 0) return this.e.getLocal(local, op.type as Type);
    if (!this.inlined(v, op)) throw new Error(`IR value ${v} (${op.name}) is used before it is defined`);
    return this.expression(op);
  }

  private expression(op: Op): Expr {
    const { e, target } = this;
    switch (op.name) {
      case 'i32.const':
        return e.i32(op.imm as number);
      case 'i64.const':
        return e.i64(op.imm as bigint);
      case 'field':
        return target.field(op.imm as Field);
      case 'pcrel':
        return target.pcrel(op.imm as Operand);
      case 'get8':
      case 'get16':
      case 'get32':
      case 'get64':
        return target.get(widthOf(op.name), op.imm as Operand);
      case 'peek8':
      case 'peek16':
      case 'peek32':
      case 'peek64':
        return e.load(widthOf(op.name), this.value(op.args[0]!), op.imm as number);
      case 'var.get':
        return e.getLocal(this.varLocals[op.imm as number]!, op.type as Type);
      case 'clock':
        return target.clock();
      case 'fuel':
        return target.fuel();
      case 'direct': {
        const address = this.value(op.args[0]!);
        const local = this.take('i32');
        const distance = this.accesses.distance(e.teeLocal(local, address, 'i32'), op.imm !== 0);
        return e.add(e.add(distance, e.getLocal(local, 'i32')), e.i32(RAM));
      }
      default:
        return e.pure(
          op.name,
          op.args.map((a) => this.value(a)),
        );
    }
  }

  private statement(i: Value, op: Op, out: Expr[]): void {
    const { e, target } = this;
    const effect = OPS[op.name].effect;
    switch (effect) {
      case 'put':
        out.push(target.put(widthOf(op.name), op.imm as Operand, this.value(op.args[0]!)));
        return;
      case 'poke':
        out.push(
          e.store(widthOf(op.name), this.value(op.args[0]!), this.value(op.args[1]!), op.imm as number),
        );
        return;
      case 'var':
        out.push(e.setLocal(this.varLocals[op.imm as number]!, this.value(op.args[0]!)));
        return;
      case 'load':
        if (op.name === 'probe') this.accesses.probe(op, out);
        else this.localOf[i] = this.accesses.load(i, op, out);
        return;
      case 'store':
        this.accesses.store(i, op, out);
        return;
      case 'call':
        this.call(i, op, out);
        return;
      case 'fault': {
        const code = this.value(op.args[0]!);
        out.push(
          e.store(32, e.i32(0), code, EXIT_ERROR),
          e.store(32, e.i32(0), e.i32(op.imm as number), EXIT_DETAIL),
          e.store(32, e.i32(0), e.i32(LEAVE.fault), EXIT_REASON),
          target.fault(),
        );
        return;
      }
      case 'env': {
        if (op.name === 'charge') out.push(target.setFuel(e.sub(target.fuel(), this.value(op.args[0]!))));
        else if (op.name === 'span') {
          const local = this.take('i32');
          this.localOf[i] = local;
          const args = [this.value(op.args[0]!), e.i32(op.imm as number)];
          out.push(e.setLocal(local, e.call(SLOW_PATH.span, args, 'i32')));
        } else throw new Error(`no lowering for ${op.name}`);
        return;
      }
      case 'control':
        if (op.name !== 'return') break;
        out.push(target.return(op.args.length ? this.value(op.args[0]!) : undefined));
        return;
      case 'end':
        out.push(...this.terminator(op));
        return;
    }
    throw new Error(`no lowering for ${op.name}`);
  }

  private terminator(op: Op): Expr[] {
    const { target } = this;
    switch (op.name) {
      case 'goto':
        return target.goto(op.imm as Operand);
      case 'branch': {
        const [taken, fallThrough] = op.imm as readonly [Operand, Operand];
        return target.branch(this.value(op.args[0]!), taken, fallThrough);
      }
      case 'jump':
        return target.jump(this.value(op.args[0]!), op.imm as number);
      default:
        return target.leave(op.imm as number, this.value(op.args[0]!));
    }
  }

  private call(i: Value, op: Op, out: Expr[]): void {
    const { e, target } = this;
    const callee = op.imm as CallTarget;
    const traits = this.traits.of(callee.name);
    out.push(...target.beforeCall(traits));
    const call = e.call(
      callee.name,
      op.args.map((a) => this.value(a)),
      callee.result,
    );
    if (callee.result === 'void') out.push(call);
    else {
      const local = this.take(callee.result);
      this.localOf[i] = local;
      out.push(e.setLocal(local, call));
    }
    out.push(...target.afterCall(traits));
    if (callee.faults) out.push(this.accesses.faultCheck());
  }
}

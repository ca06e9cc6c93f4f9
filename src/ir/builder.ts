/** Builds IR, folding constants as it goes. */
import { OPS, type OpName, type Type } from './ops.js';
import type { Block, CallTarget, Imm, IrFunction, Mark, Op, Operand, Value } from './ir.js';
import { Field } from './ir.js';
import { foldOp } from './fold.js';

/** A value or a plain int32 constant, wherever an i32 operand is wanted. */
export type V = Value;

type BinaryName = {
  [K in OpName]: (typeof OPS)[K]['args'] extends readonly [unknown, unknown] ? K : never;
}[OpName];

export class Builder {
  readonly ops: Op[] = [];
  readonly vars: Type[] = [];
  readonly marks: Mark[] = [];

  /** What a write of the bits in `mask` alone needs of `v`: less, if other ops only care for the bits above. */
  private low(v: Value, mask: 0xff | 0xffff): Value {
    const op = this.ops[v]!;
    if (op.name === 'i32.and') {
      const c = this.ops[op.args[1]!]!;
      return c.name === 'i32.const' && ((c.imm as number) & mask) === mask ? op.args[0]! : v;
    }
    if (op.name === 'i32.ext16_s' || (op.name === 'i32.ext8_s' && mask === 0xff)) return op.args[0]!;
    return v;
  }

  /** A value that is zero just when `v` is. */
  private truth(v: Value): Value {
    const op = this.ops[v]!;
    if (op.name !== 'i32.ne') return v;
    const c = this.ops[op.args[1]!]!;
    return c.name === 'i32.const' && c.imm === 0 ? op.args[0]! : v;
  }

  /** Appends an op as it is. Prefer the named methods. */
  emit(name: OpName, type: Type | 'void', args: readonly Value[], imm?: Imm): Value {
    this.ops.push({ name, type, args, imm });
    return (this.ops.length - 1) as Value;
  }

  /** A pure op, folded when its arguments allow. */
  pure(name: OpName, ...args: Value[]): Value {
    const folded = foldOp(this, name, args);
    if (folded !== undefined) return folded;
    return this.emit(name, OPS[name].result as Type, args);
  }

  /** Starts the guest instruction at byte `delta` of the block. */
  mark(delta: number, length: number): void {
    this.marks.push({ at: this.ops.length, delta, length });
  }

  const32(value: number): Value {
    return this.emit('i32.const', 'i32', [], value | 0);
  }
  const64(value: bigint): Value {
    return this.emit('i64.const', 'i64', [], BigInt.asUintN(64, value));
  }
  /** A constant, or the field that stands for it. */
  operand(o: Operand): Value {
    return o instanceof Field ? this.emit('field', 'i32', [], o) : this.const32(o);
  }

  get8(slot: Operand): Value {
    return this.emit('get8', 'i32', [], slot);
  }
  get16(slot: Operand): Value {
    return this.emit('get16', 'i32', [], slot);
  }
  get32(slot: Operand): Value {
    return this.emit('get32', 'i32', [], slot);
  }
  get64(slot: Operand): Value {
    return this.emit('get64', 'i64', [], slot);
  }
  put8(slot: Operand, v: Value): void {
    this.emit('put8', 'void', [this.low(v, 0xff)], slot);
  }
  put16(slot: Operand, v: Value): void {
    this.emit('put16', 'void', [this.low(v, 0xffff)], slot);
  }
  put32(slot: Operand, v: Value): void {
    this.emit('put32', 'void', [v], slot);
  }
  put64(slot: Operand, v: Value): void {
    this.emit('put64', 'void', [v], slot);
  }

  peek8(address: Value, offset = 0): Value {
    return this.emit('peek8', 'i32', [address], offset);
  }
  peek16(address: Value, offset = 0): Value {
    return this.emit('peek16', 'i32', [address], offset);
  }
  peek32(address: Value, offset = 0): Value {
    return this.emit('peek32', 'i32', [address], offset);
  }
  peek64(address: Value, offset = 0): Value {
    return this.emit('peek64', 'i64', [address], offset);
  }
  poke8(address: Value, v: Value, offset = 0): void {
    this.emit('poke8', 'void', [address, this.low(v, 0xff)], offset);
  }
  poke16(address: Value, v: Value, offset = 0): void {
    this.emit('poke16', 'void', [address, this.low(v, 0xffff)], offset);
  }
  poke32(address: Value, v: Value, offset = 0): void {
    this.emit('poke32', 'void', [address, v], offset);
  }
  poke64(address: Value, v: Value, offset = 0): void {
    this.emit('poke64', 'void', [address, v], offset);
  }

  /** Reads guest memory; `rmw` asks for write permission too. */
  ld8(address: Value, rmw = false): Value {
    return this.emit('ld8', 'i32', [address], rmw ? 1 : 0);
  }
  ld16(address: Value, rmw = false): Value {
    return this.emit('ld16', 'i32', [address], rmw ? 1 : 0);
  }
  ld32(address: Value, rmw = false): Value {
    return this.emit('ld32', 'i32', [address], rmw ? 1 : 0);
  }
  ld64(address: Value, rmw = false): Value {
    return this.emit('ld64', 'i64', [address], rmw ? 1 : 0);
  }
  st8(address: Value, v: Value): void {
    this.emit('st8', 'void', [address, this.low(v, 0xff)]);
  }
  st16(address: Value, v: Value): void {
    this.emit('st16', 'void', [address, this.low(v, 0xffff)]);
  }
  st32(address: Value, v: Value): void {
    this.emit('st32', 'void', [address, v]);
  }
  st64(address: Value, v: Value): void {
    this.emit('st64', 'void', [address, v]);
  }
  probe(address: Value, bytes: number): void {
    this.emit('probe', 'void', [address], bytes);
  }
  span(address: Value, write: boolean): Value {
    return this.emit('span', 'i32', [address], write ? 1 : 0);
  }
  direct(address: Value, write: boolean): Value {
    return this.emit('direct', 'i32', [address], write ? 1 : 0);
  }

  /** A new variable of the block or function. */
  newVar(type: Type): number {
    return this.vars.push(type) - 1;
  }
  varGet(n: number): Value {
    const type = this.vars[n];
    if (type === undefined) throw new RangeError(`no variable ${n}`);
    return this.emit('var.get', type, [], n);
  }
  varSet(n: number, v: Value): void {
    this.emit('var.set', 'void', [v], n);
  }

  /** Runs `then` if the condition is nonzero, else `otherwise`; a known condition leaves only that part. */
  if(condition: Value, then: () => void, otherwise?: () => void): void {
    const known = this.ops[condition]!;
    if (known.name === 'i32.const') {
      if (known.imm !== 0) then();
      else otherwise?.();
      return;
    }
    this.emit('if', 'void', [this.truth(condition)]);
    then();
    if (otherwise) {
      this.emit('else', 'void', []);
      otherwise();
    }
    this.emit('end', 'void', []);
  }
  /** Runs `body` until the value it returns is zero. */
  loopWhile(body: () => Value): void {
    this.emit('loop', 'void', []);
    this.emit('continue_if', 'void', [body()]);
    this.emit('end', 'void', []);
  }
  call(target: CallTarget, ...args: Value[]): Value {
    return this.emit('call', target.result, args, target);
  }
  raise(vector: number, errorCode: Value): void {
    this.emit('raise', 'void', [errorCode], vector);
  }
  return(v?: Value): void {
    this.emit('return', 'void', v === undefined ? [] : [v]);
  }

  pcrel(delta: Operand): Value {
    return this.emit('pcrel', 'i32', [], delta);
  }
  clock(): Value {
    return this.emit('clock', 'i64', []);
  }
  fuel(): Value {
    return this.emit('fuel', 'i32', []);
  }
  charge(v: Value): void {
    this.emit('charge', 'void', [v]);
  }

  goto(delta: Operand): void {
    this.emit('goto', 'void', [], delta);
  }
  branch(condition: Value, taken: Operand, fallThrough: Operand): void {
    const known = this.ops[condition]!;
    if (known.name === 'i32.const') this.goto(known.imm !== 0 ? taken : fallThrough);
    else this.emit('branch', 'void', [this.truth(condition)], [taken, fallThrough]);
  }
  jump(eip: Value, kind: 0 | 1 | 2 | 3): void {
    this.emit('jump', 'void', [eip], kind);
  }
  leave(reason: number, detail: Value): void {
    this.emit('leave', 'void', [detail], reason);
  }

  /** The int32 or bigint if `v` is a constant. */
  constantOf(v: Value): number | bigint | undefined {
    const op = this.ops[v];
    return op && (op.name === 'i32.const' || op.name === 'i64.const')
      ? (op.imm as number | bigint)
      : undefined;
  }

  block(): Block {
    return { ops: this.ops, vars: this.vars, marks: this.marks };
  }
}

/**
 * Defines an out-of-line IR function. `body` receives the parameters' values as variables 0.. It is built when somebody
 * first looks at it: a translator only calls most of them, and to build them all took it a quarter of the time to load.
 */
export function defineFunction(
  name: string,
  params: readonly Type[],
  result: Type | 'void',
  faults: boolean,
  body: (b: Builder, ...params: Value[]) => void,
): IrFunction {
  let built: Block | undefined;
  const build = (): Block => {
    const b = new Builder();
    for (const p of params) b.newVar(p);
    body(b, ...params.map((_, i) => b.varGet(i)));
    return b.block();
  };
  return {
    name,
    params,
    result,
    faults,
    get body() {
      return (built ??= build());
    },
  };
}

export type { BinaryName };

/**
 * The only importer of Binaryen: a small, branded emitter over its module API.
 * Binaryen's expression references are plain numbers that may not be used twice; `Expr` keeps them apart from other
 * numbers, and whoever needs an operand twice puts it in a local.
 */
import binaryen from 'binaryen';
import type { Type } from '../ir/ops.js';

/** An expression under construction. To be used exactly once. */
export type Expr = number & { readonly __brand: 'Expr' };

export type ResultType = Type | 'void';

const TYPE: Record<ResultType, number> = { i32: binaryen.i32, i64: binaryen.i64, void: binaryen.none };

/** The locals of one function; temporaries are returned to the pool when their scope ends. */
export class Locals {
  private readonly types: Type[] = [];
  private readonly free: Record<Type, number[]> = { i32: [], i64: [] };
  constructor(private readonly params: readonly Type[]) {}
  /** A local of the type, possibly one that was released before. */
  take(type: Type): number {
    const reused = this.free[type].pop();
    if (reused !== undefined) return reused;
    this.types.push(type);
    return this.params.length + this.types.length - 1;
  }
  release(local: number): void {
    const type = this.types[local - this.params.length];
    if (type === undefined) throw new RangeError(`local ${local} is not a temporary`);
    this.free[type].push(local);
  }
  get variableTypes(): readonly Type[] {
    return this.types;
  }
}

export type Width = 8 | 16 | 32 | 64;

/** One Wasm module being built. */
export class Emitter {
  private readonly module = new binaryen.Module();
  /** Of all functions, for reports. */
  functionCount = 0;
  /** Names of the functions that the code made so far calls. */
  readonly called = new Set<string>();

  constructor() {
    this.module.setFeatures(
      binaryen.Features.MVP |
        binaryen.Features.MutableGlobals |
        binaryen.Features.SignExt |
        binaryen.Features.BulkMemory |
        binaryen.Features.NontrappingFPToInt,
    );
    // The memory has to exist before it can be imported without a limit.
    this.module.setMemory(1, -1, null, [], false, false, '0');
    this.module.addMemoryImport('0', 'env', 'memory');
  }

  private ref(e: number): Expr {
    return e as Expr;
  }

  i32(value: number): Expr {
    return this.ref(this.module.i32.const(value | 0));
  }
  i64(value: bigint): Expr {
    return this.ref(this.module.i64.const(BigInt.asIntN(64, value)));
  }

  /** A pure op by its IR name, which is Wasm's. */
  pure(name: string, args: readonly Expr[]): Expr {
    const [a, b, c] = args as readonly number[];
    const make = PURE[name];
    if (make === undefined) throw new Error(`no lowering for ${name}`);
    return this.ref(make(this.module, a!, b!, c!));
  }
  add(a: Expr, b: Expr): Expr {
    return this.ref(this.module.i32.add(a, b));
  }
  sub(a: Expr, b: Expr): Expr {
    return this.ref(this.module.i32.sub(a, b));
  }
  and(a: Expr, b: Expr): Expr {
    return this.ref(this.module.i32.and(a, b));
  }
  shru(a: Expr, b: Expr): Expr {
    return this.ref(this.module.i32.shr_u(a, b));
  }
  shl(a: Expr, b: Expr): Expr {
    return this.ref(this.module.i32.shl(a, b));
  }
  eq(a: Expr, b: Expr): Expr {
    return this.ref(this.module.i32.eq(a, b));
  }
  ne(a: Expr, b: Expr): Expr {
    return this.ref(this.module.i32.ne(a, b));
  }
  ltU(a: Expr, b: Expr): Expr {
    return this.ref(this.module.i32.lt_u(a, b));
  }

  /** Zero-extending load of 8..32 bits into i32, or 64 bits into i64, at address + offset, any alignment. */
  load(width: Width, address: Expr, offset = 0): Expr {
    const m = this.module;
    switch (width) {
      case 8:
        return this.ref(m.i32.load8_u(offset, 1, address));
      case 16:
        return this.ref(m.i32.load16_u(offset, 1, address));
      case 32:
        return this.ref(m.i32.load(offset, 1, address));
      case 64:
        return this.ref(m.i64.load(offset, 1, address));
    }
  }
  store(width: Width, address: Expr, value: Expr, offset = 0): Expr {
    const m = this.module;
    switch (width) {
      case 8:
        return this.ref(m.i32.store8(offset, 1, address, value));
      case 16:
        return this.ref(m.i32.store16(offset, 1, address, value));
      case 32:
        return this.ref(m.i32.store(offset, 1, address, value));
      case 64:
        return this.ref(m.i64.store(offset, 1, address, value));
    }
  }

  getLocal(local: number, type: Type): Expr {
    return this.ref(this.module.local.get(local, TYPE[type]));
  }
  setLocal(local: number, value: Expr): Expr {
    return this.ref(this.module.local.set(local, value));
  }
  teeLocal(local: number, value: Expr, type: Type): Expr {
    return this.ref(this.module.local.tee(local, value, TYPE[type]));
  }

  /** A sequence; with a label, the target of forward branches. One that is void is taken to end. */
  block(label: string | null, body: readonly Expr[], type: ResultType = 'void'): Expr {
    const children = body as unknown as number[];
    if (label === null || type !== 'void') return this.ref(this.module.block(label, children, TYPE[type]));
    // With a name and an unreachable child Binaryen would walk everything inside, for branches to the name: per level.
    const made = this.module.block(null, children, binaryen.none);
    BLOCK.setName(made, label);
    BLOCK.setType(made, binaryen.none);
    return this.ref(made);
  }
  loop(label: string, body: Expr): Expr {
    return this.ref(this.module.loop(label, body));
  }
  if(condition: Expr, then: Expr, otherwise?: Expr): Expr {
    return this.ref(this.module.if(condition, then, otherwise));
  }
  br(label: string, condition?: Expr): Expr {
    return this.ref(this.module.br(label, condition));
  }
  /** Branches to labels[index], or to the default. */
  brTable(labels: readonly string[], otherwise: string, index: Expr): Expr {
    return this.ref(this.module.switch(labels as string[], otherwise, index));
  }
  call(name: string, args: readonly Expr[], result: ResultType): Expr {
    this.called.add(name);
    return this.ref(this.module.call(name, args as unknown as number[], TYPE[result]));
  }
  /** Calls table[index] of the named table. */
  callIndirect(
    table: string,
    index: Expr,
    args: readonly Expr[],
    params: readonly Type[],
    result: ResultType,
  ): Expr {
    const signature = binaryen.createType(params.map((p) => TYPE[p]));
    return this.ref(
      this.module.call_indirect(table, index, args as unknown as number[], signature, TYPE[result]),
    );
  }
  return(value?: Expr): Expr {
    return this.ref(this.module.return(value));
  }
  drop(value: Expr): Expr {
    return this.ref(this.module.drop(value));
  }
  unreachable(): Expr {
    return this.ref(this.module.unreachable());
  }

  addFunction(name: string, params: readonly Type[], result: ResultType, locals: Locals, body: Expr): void {
    this.functionCount++;
    this.module.addFunction(
      name,
      binaryen.createType(params.map((p) => TYPE[p])),
      TYPE[result],
      locals.variableTypes.map((t) => TYPE[t]),
      body,
    );
  }
  /** Imports function `env.name`. */
  addImport(name: string, params: readonly Type[], result: ResultType): void {
    this.module.addFunctionImport(
      name,
      'env',
      name,
      binaryen.createType(params.map((p) => TYPE[p])),
      TYPE[result],
    );
  }
  /** Defines and exports a table of `size` functions. */
  addTable(name: string, size: number): void {
    this.module.addTable(name, size, size);
    this.module.addTableExport(name, name);
  }
  addExport(name: string): void {
    this.module.addFunctionExport(name, name);
  }

  /** The module's Wasm text. */
  text(): string {
    return this.module.emitText();
  }
  /** Validates (throws with Binaryen's complaint in the log), emits and disposes of the module. */
  finish(options: { validate: boolean }): Uint8Array {
    if (options.validate && !this.module.validate()) throw new Error('generated Wasm does not validate');
    binaryen.setDebugInfo(false);
    const bytes = this.module.emitBinary();
    this.module.dispose();
    return bytes;
  }
}

/** What the package's types leave out: changing a block that was made. */
const BLOCK = (
  binaryen as unknown as {
    Block: { setName(block: number, name: string): void; setType(block: number, type: number): void };
  }
).Block;

type Make = (m: binaryen.Module, a: number, b: number, c: number) => number;

/** IR op name → Binaryen constructor. */
const PURE: Record<string, Make> = {
  'i32.add': (m, a, b) => m.i32.add(a, b),
  'i32.sub': (m, a, b) => m.i32.sub(a, b),
  'i32.mul': (m, a, b) => m.i32.mul(a, b),
  'i32.and': (m, a, b) => m.i32.and(a, b),
  'i32.or': (m, a, b) => m.i32.or(a, b),
  'i32.xor': (m, a, b) => m.i32.xor(a, b),
  'i32.shl': (m, a, b) => m.i32.shl(a, b),
  'i32.shr_u': (m, a, b) => m.i32.shr_u(a, b),
  'i32.shr_s': (m, a, b) => m.i32.shr_s(a, b),
  'i32.rotl': (m, a, b) => m.i32.rotl(a, b),
  'i32.rotr': (m, a, b) => m.i32.rotr(a, b),
  'i32.div_u': (m, a, b) => m.i32.div_u(a, b),
  'i32.div_s': (m, a, b) => m.i32.div_s(a, b),
  'i32.rem_u': (m, a, b) => m.i32.rem_u(a, b),
  'i32.rem_s': (m, a, b) => m.i32.rem_s(a, b),
  'i32.eqz': (m, a) => m.i32.eqz(a),
  'i32.eq': (m, a, b) => m.i32.eq(a, b),
  'i32.ne': (m, a, b) => m.i32.ne(a, b),
  'i32.lt_u': (m, a, b) => m.i32.lt_u(a, b),
  'i32.lt_s': (m, a, b) => m.i32.lt_s(a, b),
  'i32.le_u': (m, a, b) => m.i32.le_u(a, b),
  'i32.le_s': (m, a, b) => m.i32.le_s(a, b),
  'i32.clz': (m, a) => m.i32.clz(a),
  'i32.ctz': (m, a) => m.i32.ctz(a),
  'i32.popcnt': (m, a) => m.i32.popcnt(a),
  'i32.ext8_s': (m, a) => m.i32.extend8_s(a),
  'i32.ext16_s': (m, a) => m.i32.extend16_s(a),
  'i32.select': (m, a, b, c) => m.select(a, b, c),
  'i64.add': (m, a, b) => m.i64.add(a, b),
  'i64.sub': (m, a, b) => m.i64.sub(a, b),
  'i64.mul': (m, a, b) => m.i64.mul(a, b),
  'i64.and': (m, a, b) => m.i64.and(a, b),
  'i64.or': (m, a, b) => m.i64.or(a, b),
  'i64.xor': (m, a, b) => m.i64.xor(a, b),
  'i64.shl': (m, a, b) => m.i64.shl(a, b),
  'i64.shr_u': (m, a, b) => m.i64.shr_u(a, b),
  'i64.shr_s': (m, a, b) => m.i64.shr_s(a, b),
  'i64.rotl': (m, a, b) => m.i64.rotl(a, b),
  'i64.div_u': (m, a, b) => m.i64.div_u(a, b),
  'i64.div_s': (m, a, b) => m.i64.div_s(a, b),
  'i64.rem_u': (m, a, b) => m.i64.rem_u(a, b),
  'i64.rem_s': (m, a, b) => m.i64.rem_s(a, b),
  'i64.eqz': (m, a) => m.i64.eqz(a),
  'i64.eq': (m, a, b) => m.i64.eq(a, b),
  'i64.ne': (m, a, b) => m.i64.ne(a, b),
  'i64.lt_u': (m, a, b) => m.i64.lt_u(a, b),
  'i64.lt_s': (m, a, b) => m.i64.lt_s(a, b),
  'i64.le_u': (m, a, b) => m.i64.le_u(a, b),
  'i64.le_s': (m, a, b) => m.i64.le_s(a, b),
  'i64.clz': (m, a) => m.i64.clz(a),
  'i64.ctz': (m, a) => m.i64.ctz(a),
  'i64.select': (m, a, b, c) => m.select(a, b, c),
  'i64.extend_i32_u': (m, a) => m.i64.extend_u(a),
  'i64.extend_i32_s': (m, a) => m.i64.extend_s(a),
  'i32.wrap_i64': (m, a) => m.i32.wrap(a),
};

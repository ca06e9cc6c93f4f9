/**
 * Status flags that a loop leaves to whoever wants them. A compare at a loop's end sets flags that the next turn overwrites, but
 * for its ways out: a store that misses the TLB, fuel that is used up. To have them there, V8 computes them in each turn,
 * seven instructions whose result nobody looks at. Where they are a function of registers that stay what they are until
 * the flags are overwritten, the edge only notes which function (local `PENDING`), and a way out computes it.
 */
import { FLAG_AUX, FLAG_RESULT } from '../frontend-x86/cpu-state.js';
import type { Block, Op, Value } from '../ir/ir.js';
import { OPS } from '../ir/ops.js';
import type { Emitter, Expr } from './binaryen.js';
import { isRegisterSlot } from './function-traits.js';
import { partOf, registerAt, registerLocal } from './region-locals.js';
import { widthOf } from './width.js';

/** More ops than this are not worth it. */
const MOST_OPS = 32;

const dwordOf = (op: Op): number => (op.imm as number) & ~3;
const isFlag = (slot: number): boolean => slot === FLAG_RESULT || slot === FLAG_AUX;

/** A value: what is in the register with this slot, less a constant. */
interface InRegister {
  readonly slot: number;
  readonly less: number;
}

/** The flags at a block's end as a function of the registers there. */
export interface FlagRecipe {
  readonly ops: readonly Op[];
  readonly result: Value;
  readonly aux: Value;
  /** Values that a register has at the end, or has but for a constant. */
  readonly inRegister: ReadonlyMap<Value, InRegister>;
  /** Slots of the registers that it looks at. */
  readonly registers: ReadonlySet<number>;
}

/** Finds out whether values can be computed from the registers at the end of a block. */
class RecipeSearch {
  readonly registers = new Set<number>();
  readonly inRegister = new Map<Value, InRegister>();
  private readonly lastPut = new Map<number, number>();
  private looked = 0;

  constructor(private readonly ops: readonly Op[]) {
    ops.forEach((op, i) => {
      if (OPS[op.name].effect === 'put') this.lastPut.set(dwordOf(op), i);
    });
    for (const [slot, at] of this.lastPut) {
      const put = ops[at]!;
      if (put.name === 'put32' && isRegisterSlot(slot) && !isFlag(slot))
        this.noteRegister(slot, put.args[0]!);
    }
  }

  /** `value` is in the register at the end. What was there before is known too where that is a constant more. */
  private noteRegister(slot: number, value: Value): void {
    const { ops } = this;
    this.inRegister.set(value, { slot, less: 0 });
    const { name, args } = ops[value]!;
    if (name !== 'i32.add') return;
    const [before, constant] = [ops[args[0]!]!, ops[args[1]!]!];
    if (before.name === 'get32' && before.imm === slot && constant.name === 'i32.const')
      this.inRegister.set(args[0]!, { slot, less: constant.imm as number });
  }

  /** The value that a flag slot has at the end; undefined if the block does not set it. */
  flag(slot: number): Value | undefined {
    const at = this.lastPut.get(slot);
    return at === undefined ? undefined : this.ops[at]!.args[0];
  }

  finds(v: Value): boolean {
    if (++this.looked > MOST_OPS) return false;
    const register = this.inRegister.get(v);
    if (register !== undefined) {
      this.registers.add(register.slot);
      return true;
    }
    const op = this.ops[v]!;
    const { effect } = OPS[op.name];
    if (effect === 'get') {
      const slot = dwordOf(op);
      if (!isRegisterSlot(slot) || isFlag(slot) || (this.lastPut.get(slot) ?? -1) > v) return false;
      this.registers.add(slot);
      return true;
    }
    if (effect !== 'pure' || op.name === 'pcrel' || op.name === 'field') return false;
    return op.args.every((arg) => this.finds(arg));
  }
}

const isStructure = ({ name }: Op): boolean => name === 'if' || name === 'loop';

/** Undefined if the block sets no flags, or such that more than registers is needed to know them. */
export function recipeOf({ ops }: Block): FlagRecipe | undefined {
  // Structures set flags on some ways only; functions may.
  if (ops.some((op) => isStructure(op) || op.name === 'call')) return undefined;
  const search = new RecipeSearch(ops);
  const result = search.flag(FLAG_RESULT);
  const aux = search.flag(FLAG_AUX);
  if (result === undefined || aux === undefined || !search.finds(result) || !search.finds(aux))
    return undefined;
  return { ops, result, aux, inRegister: search.inRegister, registers: search.registers };
}

/** The statements that set the flags, where the registers are still what they were at the end of the recipe's block. */
export function setFlags(e: Emitter, recipe: FlagRecipe): Expr[] {
  const { ops, inRegister, result, aux } = recipe;
  const value = (v: Value): Expr => {
    const register = inRegister.get(v);
    if (register !== undefined) {
      const now = e.getLocal(registerLocal(register.slot), 'i32');
      return register.less === 0 ? now : e.sub(now, e.i32(register.less));
    }
    const op = ops[v]!;
    if (op.name === 'i32.const') return e.i32(op.imm as number);
    if (op.name === 'i64.const') return e.i64(op.imm as bigint);
    if (OPS[op.name].effect !== 'get') return e.pure(op.name, op.args.map(value));
    const { local, shift } = registerAt(op.imm as number)!;
    return partOf(e, e.getLocal(local, 'i32'), shift, widthOf(op.name));
  };
  return [
    e.setLocal(registerLocal(FLAG_RESULT), value(result)),
    e.setLocal(registerLocal(FLAG_AUX), value(aux)),
  ];
}

/**
 * Slots of the registers that a block has changed at some way out that comes before it overwrites the flags; undefined
 * if it looks at them first, or does not overwrite them.
 */
export function changedBeforeFlags({ ops, marks }: Block): ReadonlySet<number> | undefined {
  const starts = new Set(marks.map(({ at }) => at));
  const changed = new Set<number>();
  const atNextExit = new Set<number>();
  const overwritten = new Set<number>();
  let stored = false;
  for (const [i, op] of ops.entries()) {
    const { effect } = OPS[op.name];
    if (isStructure(op) || effect === 'call' || effect === 'end' || effect === 'fault' || effect === 'env')
      return undefined;
    // Where an instruction has stored, code may have changed, and the next is not executed here.
    const isBehindStore = stored && starts.has(i);
    if (isBehindStore) stored = false;
    const mayLeave = effect === 'load' || effect === 'store' || isBehindStore;
    // One flag slot new and one that waits is nothing that a way out could tell.
    if (mayLeave && overwritten.size === 1) return undefined;
    if (mayLeave) for (const slot of atNextExit) changed.add(slot);
    stored ||= effect === 'store';
    if (effect !== 'get' && effect !== 'put') continue;
    const slot = dwordOf(op);
    if (isFlag(slot)) {
      if (effect === 'get') {
        if (!overwritten.has(slot)) return undefined;
      } else overwritten.add(slot);
      if (overwritten.size === 2) return changed;
    } else if (effect === 'put') atNextExit.add(slot);
  }
  return undefined;
}

/** Whether flags by the recipe can be left to a block that changes these registers before it overwrites them. */
export function canWait(recipe: FlagRecipe, changed: ReadonlySet<number>): boolean {
  for (const slot of recipe.registers) if (changed.has(slot)) return false;
  return true;
}

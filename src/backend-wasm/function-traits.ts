/** What IR functions touch, so that whoever calls them knows what has to be in its slot. */
import { FLAG_AUX, FLAG_RESULT, ZERO } from '../frontend-x86/cpu-state.js';
import type { CallTarget, IrFunction } from '../ir/ir.js';
import { OPS } from '../ir/ops.js';

/** A function's parameters and result. */
export type Signature = Pick<IrFunction, 'params' | 'result'>;

/** What an IR function touches besides its arguments, directly or through others. */
export interface FunctionTraits {
  readonly fuel: boolean;
  /** It reads or writes general registers or status flags in their slots. */
  readonly registers: boolean;
}

/** State slots that a region keeps in locals: general registers, and the two of the status flags. */
export function isRegisterSlot(slot: number): boolean {
  return slot < ZERO || slot === FLAG_RESULT || slot === FLAG_AUX;
}

/** What the functions touch, found for each when it is first asked for. */
export class Traits {
  private readonly functions: ReadonlyMap<string, IrFunction>;
  private readonly known = new Map<string, FunctionTraits>();

  constructor(functions: readonly IrFunction[]) {
    this.functions = new Map(functions.map((f) => [f.name, f]));
  }

  /** The traits of the function with this name; none if it is not among them. */
  of(name: string): FunctionTraits {
    let traits = this.known.get(name);
    if (!traits) this.known.set(name, (traits = this.find(name)));
    return traits;
  }

  /** Parameters and result of the function with this name; undefined if it is not among them. */
  signatureOf(name: string): Signature | undefined {
    return this.functions.get(name);
  }

  private find(name: string): FunctionTraits {
    let fuel = false;
    let registers = false;
    // A set takes in what is added while it is gone through.
    const reached = new Set([name]);
    for (const callee of reached) {
      for (const op of this.functions.get(callee)?.body.ops ?? []) {
        const { effect } = OPS[op.name];
        if (op.name === 'fuel' || op.name === 'charge') fuel = true;
        else if (effect === 'get' || effect === 'put') registers ||= isRegisterSlot(op.imm as number);
        else if (op.name === 'call') reached.add((op.imm as CallTarget).name);
      }
    }
    return { fuel, registers };
  }
}

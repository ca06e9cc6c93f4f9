/** What IR functions touch, so that whoever calls them knows what has to be in its slot. */
import { FLAG_AUX, FLAG_RESULT, ZERO } from '../frontend-x86/cpu-state.js';
import type { CallTarget, IrFunction } from '../ir/ir.js';
import { OPS } from '../ir/ops.js';

/** What an IR function touches besides its arguments, directly or through others. */
export interface FunctionTraits {
  readonly fuel: boolean;
  /** It reads or writes general registers or status flags in their slots. */
  readonly registers: boolean;
}

export const NO_TRAITS: FunctionTraits = { fuel: false, registers: false };

/** State slots that a region keeps in locals: general registers, and the two of the status flags. */
export function isRegisterSlot(slot: number): boolean {
  return slot < ZERO || slot === FLAG_RESULT || slot === FLAG_AUX;
}

/** The traits of the functions, by name. */
export function traitsOf(functions: readonly IrFunction[]): ReadonlyMap<string, FunctionTraits> {
  const traits = new Map<string, FunctionTraits>(functions.map((f) => [f.name, NO_TRAITS]));
  for (let changed = true; changed;) {
    changed = false;
    for (const f of functions) {
      let { fuel, registers } = traits.get(f.name)!;
      for (const op of f.body.ops) {
        const { effect } = OPS[op.name];
        if (op.name === 'fuel' || op.name === 'charge') fuel = true;
        else if (effect === 'get' || effect === 'put') registers ||= isRegisterSlot(op.imm as number);
        else if (op.name === 'call') {
          const callee = traits.get((op.imm as CallTarget).name) ?? NO_TRAITS;
          fuel ||= callee.fuel;
          registers ||= callee.registers;
        }
      }
      const known = traits.get(f.name)!;
      if (fuel !== known.fuel || registers !== known.registers) {
        traits.set(f.name, { fuel, registers });
        changed = true;
      }
    }
  }
  return traits;
}

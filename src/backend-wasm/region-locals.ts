/** Parameters and fixed locals of a region's function, and the guest registers that it keeps in them. */
import * as S from '../frontend-x86/cpu-state.js';
import type { CallTarget } from '../ir/ir.js';
import type { Block } from '../ir/ir.js';
import { OPS } from '../ir/ops.js';
import type { Emitter, Expr, Width } from './binaryen.js';
import { isRegisterSlot, type Traits } from './function-traits.js';
import * as L from './memory-layout.js';

export const PARAMETERS = ['i32', 'i32', 'i32'] as const;
/** Number of the entry to start at; a temporary of computed jumps, until they have found one. */
export const ENTRY = 0;
/** Address of the region's data: see `entry-map.ts`. */
export const MAP = 1;
/** Bytes from the region's first page to the entry's page, in the upper 20 bits. */
export const DELTA = 2;

const REGISTERS = [0, 4, 8, 12, 16, 20, 24, 28, S.FLAG_RESULT, S.FLAG_AUX];
const FIRST_REGISTER = PARAMETERS.length;
/** Linear address of the region's first page; see also `linearAt`. */
export const BASE = FIRST_REGISTER + REGISTERS.length;
/** Address of the current TLB. */
export const TLB = BASE + 1;
/** Instructions that no executed block has charged yet. */
export const FUEL = BASE + 2;
/** Where to go on, at the ways out and for computed jumps; a temporary of crossings into other pages. */
export const EIP = BASE + 3;
/** Code was changed by the instruction that runs. */
export const CHANGED = BASE + 4;
/** What the region returns: one of RETURNS. */
export const RESULT = BASE + 5;
/** A temporary of computed jumps, and of crossings into other pages. */
export const ROW = BASE + 6;
/** A branch's condition while something else is looked at. */
export const CONDITION = BASE + 7;
/** Which block's recipe the flags are by, if not 0: see `late-flags.ts`. */
export const PENDING = CONDITION + 1;
/** The status flags that a block sets last, where one of the ways on from it leaves them to others. */
export const LATE_RESULT = PENDING + 1;
export const LATE_AUX = LATE_RESULT + 1;
export const FIXED_LOCALS = LATE_AUX + 1 - PARAMETERS.length;

/**
 * Linear address of a place of the region that runs. It counts from a slot, not from the local of the same value: V8 computes
 * sums of a local and constants at the entry, for all of the region, and keeps them on the stack: half of what an entry executed.
 */
export function linearAt(e: Emitter, place: Expr): Expr {
  return e.add(e.load(32, e.i32(0), L.REGION_BASE), place);
}

/** The place in the region that runs, from the linear address in EIP. */
export function placeOfEip(e: Emitter): Expr {
  return e.sub(e.getLocal(EIP, 'i32'), e.getLocal(BASE, 'i32'));
}

/** The local that holds the dword slot of a general register or of the status flags. */
export function registerLocal(slot: number): number {
  return FIRST_REGISTER + REGISTERS.indexOf(slot);
}

/** Where the bytes at a slot are: a local, and how far to the left; undefined if it is not in a local. */
export function registerAt(slot: number): { local: number; shift: number } | undefined {
  const dword = slot & ~3;
  if (!isRegisterSlot(dword) || slot > S.FLAG_AUX + 3) return undefined;
  return { local: registerLocal(dword), shift: 8 * (slot & 3) };
}

/** The `width` bits of a register's local that begin so many bits from the right. */
export function partOf(e: Emitter, dword: Expr, shift: number, width: Width): Expr {
  if (width === 32) return dword;
  return e.and(shift === 0 ? dword : e.shru(dword, e.i32(shift)), e.i32(width === 8 ? 0xff : 0xffff));
}

/** Which registers a region has in locals, and which of them it may change. */
export interface RegisterUse {
  readonly used: readonly number[];
  readonly changed: readonly number[];
}

export function registerUse(blocks: readonly Block[], traits: Traits): RegisterUse {
  const used = new Set<number>();
  const changed = new Set<number>();
  for (const { ops } of blocks) {
    for (const op of ops) {
      const { effect } = OPS[op.name];
      if (effect === 'get' || effect === 'put') {
        const slot = (op.imm as number) & ~3;
        if (!REGISTERS.includes(slot)) continue;
        used.add(slot);
        if (effect === 'put') changed.add(slot);
      } else if (op.name === 'call' && traits.of((op.imm as CallTarget).name).registers) {
        for (const slot of REGISTERS) {
          used.add(slot);
          changed.add(slot);
        }
      }
    }
  }
  return { used: [...used], changed: [...changed] };
}

export function storeRegisters(e: Emitter, { changed }: RegisterUse): Expr[] {
  return changed.map((slot) => e.store(32, e.i32(0), e.getLocal(registerLocal(slot), 'i32'), slot));
}
export function loadRegisters(e: Emitter, { used }: RegisterUse): Expr[] {
  return used.map((slot) => e.setLocal(registerLocal(slot), e.load(32, e.i32(0), slot)));
}

/** The status flags as a whole, out of line: for pushf, popf, lahf, sahf, iret. */
import { defineFunction } from '../../ir/builder.js';
import {
  DIRECTION,
  F_AC,
  F_AF,
  F_DF,
  F_ID,
  F_NT,
  F_RF,
  F_TF,
  F_VM,
  FLAG_AUX,
  FLAG_RESULT,
  FLAGS_SYSTEM,
} from '../cpu-state.js';
import type { IrFunction, Value } from '../../ir/ir.js';
import type { Builder } from '../../ir/builder.js';

type Name = 'i32.and' | 'i32.or' | 'i32.xor' | 'i32.shl' | 'i32.shr_u' | 'i32.shr_s';

function withConstant(b: Builder, name: Name, v: Value, n: number): Value {
  return b.pure(name, v, b.const32(n));
}

/** () -> CF PF AF ZF SF OF at their places in EFLAGS, and the fixed bit 1. */
export const STATUS_GET = defineFunction('status_get', [], 'i32', false, (b) => {
  const k = (name: Name, v: Value, n: number) => withConstant(b, name, v, n);
  const result = b.get32(FLAG_RESULT);
  const aux = b.get32(FLAG_AUX);
  const carry = k('i32.shr_u', aux, 31);
  const parityByte = k('i32.and', b.pure('i32.xor', result, k('i32.shr_u', aux, 8)), 0xff);
  const odd = k('i32.and', b.pure('i32.popcnt', parityByte), 1);
  const parity = k('i32.shl', k('i32.xor', odd, 1), 2);
  const adjust = k('i32.and', k('i32.shl', aux, 1), F_AF);
  const zero = k('i32.shl', b.pure('i32.eqz', result), 6);
  const signBit = k('i32.and', b.pure('i32.xor', k('i32.shr_u', result, 31), aux), 1);
  const sign = k('i32.shl', signBit, 7);
  const overflowBit = k('i32.shr_u', b.pure('i32.xor', aux, k('i32.shl', aux, 1)), 31);
  const overflow = k('i32.shl', overflowBit, 11);
  const or = (p: Value, q: Value) => b.pure('i32.or', p, q);
  const low = or(or(carry, parity), or(adjust, zero));
  b.return(or(or(low, b.const32(2)), or(sign, overflow)));
});

/** (EFLAGS image): sets CF PF AF ZF SF OF from it, nothing else. */
export const STATUS_SET = defineFunction('status_set', ['i32'], 'void', false, (b, image) => {
  const k = (name: Name, v: Value, n: number) => withConstant(b, name, v, n);
  const bit = (position: number) => k('i32.and', k('i32.shr_u', image, position), 1);
  const zero = bit(6);
  const carry = bit(0);
  const top = b.pure('i32.or', k('i32.shl', carry, 31), k('i32.shl', b.pure('i32.xor', carry, bit(11)), 30));
  // The result is 0 (ZF, even parity) or 1 (odd parity): its parity is wrong when PF differs from ZF.
  const flip = k('i32.shl', b.pure('i32.xor', zero, bit(2)), 8);
  const adjust = k('i32.shr_u', k('i32.and', image, F_AF), 1);
  const low = b.pure('i32.or', flip, b.pure('i32.or', adjust, bit(7)));
  b.put32(FLAG_RESULT, k('i32.xor', zero, 1));
  b.put32(FLAG_AUX, b.pure('i32.or', top, low));
});

/** () -> EFLAGS as pushf stores it: VM and RF clear. */
export const EFLAGS_GET = defineFunction('eflags_get', [], 'i32', false, (b) => {
  const k = (name: Name, v: Value, n: number) => withConstant(b, name, v, n);
  const down = k('i32.and', k('i32.shr_s', b.get32(DIRECTION), 31), F_DF);
  const system = k('i32.and', b.get32(FLAGS_SYSTEM), ~(F_RF | F_VM));
  b.return(b.pure('i32.or', b.call(STATUS_GET), b.pure('i32.or', down, system)));
});

/**
 * (EFLAGS image, mask): sets the flags in mask that CPL 1..3 with IOPL 0 may change (popf and iret: not IF, IOPL, VM);
 * RF is cleared if in the mask.
 */
export const EFLAGS_SET = defineFunction('eflags_set', ['i32', 'i32'], 'void', false, (b, image, mask) => {
  const k = (name: Name, v: Value, n: number) => withConstant(b, name, v, n);
  b.call(STATUS_SET, image);
  // DF (bit 10) 0 -> 1, 1 -> -1.
  const down = k('i32.shr_s', k('i32.shl', image, 21), 31);
  b.put32(DIRECTION, k('i32.or', down, 1));
  const changeable = k('i32.and', mask, F_TF | F_NT | F_AC | F_ID | F_RF);
  const old = b.get32(FLAGS_SYSTEM);
  const wanted = k('i32.and', image, ~F_RF);
  const changed = b.pure('i32.and', b.pure('i32.xor', old, wanted), changeable);
  b.put32(FLAGS_SYSTEM, b.pure('i32.xor', old, changed));
});

export const FLAG_FUNCTIONS: readonly IrFunction[] = [STATUS_GET, STATUS_SET, EFLAGS_GET, EFLAGS_SET];

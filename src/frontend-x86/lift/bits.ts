/** Bit tests and scans, and the compare-and-exchange family. */
import type { Value } from '../../ir/ir.js';
import { EAX, EBX, ECX, EDX } from '../cpu-state.js';
import type { Instruction } from '../instruction.js';
import { sizeOf, type Lift, type Lifter, type LiftTable, type Place } from './context.js';

/** The operand that holds the bit, and the bit's number in it. Only `bt` may do without write permission. */
function bitPlace(x: Lifter, i: Instruction, write: boolean): { place: Place; bit: Value } {
  const to = i.operands[0]!;
  const index = i.operands[1]!;
  const size = sizeOf(to);
  const raw = x.read(index);
  const bit = x.andC(raw, 8 * size - 1);
  let beyond: Value | undefined;
  if (to.kind === 'mem' && index.kind === 'reg') {
    // A register's bit number is signed and reaches beyond the operand (Intel SDM vol. 2, 3.1.1.9, BitBase).
    const signed = x.sext(raw, size);
    beyond = size === 4 ? x.shlC(x.sarC(signed, 5), 2) : x.shlC(x.sarC(signed, 4), 1);
  }
  if (write || to.kind !== 'mem') return { place: x.place(to, beyond), bit };
  const value = x.load(x.linear(to.address, size, false, beyond), size);
  return { place: { value, write: () => undefined }, bit };
}

/** OF SF AF PF are undefined by the manual: they stay. ZF stays. */
function bitTest(change?: (x: Lifter, v: Value, mask: Value) => Value): Lift {
  return (x, i) => {
    const { place, bit } = bitPlace(x, i, change !== undefined);
    if (change) place.write(change(x, place.value, x.shl(x.c(1), bit)));
    x.flags.setCarry(x.shlC(x.shr(place.value, bit), 31));
  };
}

/** ZF: the source was zero; then the destination stays. Other flags, undefined: as after `test source, source`. */
function scan(forward: boolean): Lift {
  return (x, i) => {
    const to = i.operands[0]!;
    const source = x.read(i.operands[1]!);
    const old = x.read(to);
    const found = forward ? x.b.pure('i32.ctz', source) : x.xorC(x.b.pure('i32.clz', source), 31);
    x.write(to, x.select(source, found, old));
    x.flags.logic(source, sizeOf(to));
  };
}

/** The destination is always written, so that a read-only page faults even if the comparison fails. */
function cmpxchg(x: Lifter, i: Instruction): void {
  const to = i.operands[0]!;
  const size = sizeOf(to);
  const from = x.read(i.operands[1]!);
  const acc = x.getReg(EAX, size);
  const place = x.place(to);
  const equal = x.eq(acc, place.value);
  const written = x.select(equal, from, place.value);
  const newAcc = x.select(equal, acc, place.value);
  if (to.kind === 'mem') {
    place.write(written);
    x.putReg(EAX, size, newAcc);
  } else {
    // If the destination is the accumulator itself, the destination's value holds.
    x.putReg(EAX, size, newAcc);
    place.write(written);
  }
  x.flags.compare(acc, place.value, x.sub(acc, place.value), size);
}

function cmpxchg8b(x: Lifter, i: Instruction): void {
  const o = i.operands[0]!;
  if (o.kind !== 'mem') throw new TypeError('cmpxchg8b wants memory');
  const b = x.b;
  const address = x.linear(o.address, 8, true);
  const old = b.ld64(address, true);
  const pair = (high: number, low: number) =>
    b.pure(
      'i64.or',
      b.pure('i64.shl', b.pure('i64.extend_i32_u', b.get32(high)), b.const64(32n)),
      b.pure('i64.extend_i32_u', b.get32(low)),
    );
  const expected = pair(EDX, EAX);
  const equal = b.pure('i64.eq', old, expected);
  b.st64(address, b.pure('i64.select', equal, pair(ECX, EBX), old));
  // If equal, edx:eax already holds the old value.
  b.put32(EAX, b.pure('i32.wrap_i64', old));
  b.put32(EDX, b.pure('i32.wrap_i64', b.pure('i64.shr_u', old, b.const64(32n))));
  x.flags.setZero(equal);
}

function xadd(x: Lifter, i: Instruction): void {
  const to = i.operands[0]!;
  const from = i.operands[1]!;
  const b = x.read(from);
  const place = x.place(to);
  const r = x.add(place.value, b);
  if (to.kind === 'mem') {
    place.write(r);
    x.write(from, place.value);
  } else {
    // With both operands the same register, the sum holds.
    x.write(from, place.value);
    place.write(r);
  }
  x.flags.add(place.value, b, r, sizeOf(to));
}

export const BITS: LiftTable = {
  bt: bitTest(),
  bts: bitTest((x, v, mask) => x.or(v, mask)),
  btr: bitTest((x, v, mask) => x.and(v, x.xorC(mask, -1))),
  btc: bitTest((x, v, mask) => x.xor(v, mask)),
  bsf: scan(true),
  bsr: scan(false),
  cmpxchg,
  cmpxchg8b,
  xadd,
};

/** Segment register loads, and the instructions that look at descriptors without loading them. */
import type { Value } from '../../ir/ir.js';
import { CS, DS, ES, FS, GS, INTERRUPT_SHADOW, SS } from '../cpu-state.js';
import type { Instruction } from '../instruction.js';
import { type Lift, type Lifter, type LiftTable } from './context.js';
import { VECTOR } from '../vectors.js';
import { farPointer } from './far-pointer.js';
import {
  ATTR,
  attributes,
  descriptorLimit,
  DESCRIPTOR_OR_ZERO,
  DESCRIPTOR_TYPES,
  DESCRIPTOR_VISIBLE,
  LOAD_DATA_SEGMENT,
  LOAD_FLAT_SEGMENT,
  LOAD_STACK_SEGMENT,
} from './functions-segment.js';

/** Whether instructions may be decoded for a flat segment in the register. FS and GS are looked at by each that uses them. */
function isDecodedFor(segment: number): boolean {
  return segment !== FS && segment !== GS;
}

/**
 * Loads a segment register. `then` is what else the instruction changes. CS cannot be loaded (#UD).
 */
export function loadSegmentRegister(
  x: Lifter,
  i: Instruction,
  segment: number,
  selector: Value,
  then?: () => void,
): void {
  if (segment === CS) {
    x.raiseAlways(VECTOR.UD);
    return;
  }
  if (segment === SS) x.b.call(LOAD_STACK_SEGMENT, selector);
  else
    x.b.call(i.flat && isDecodedFor(segment) ? LOAD_FLAT_SEGMENT : LOAD_DATA_SEGMENT, x.c(segment), selector);
  then?.();
  if (segment !== SS) return;
  x.b.put32(INTERRUPT_SHADOW, x.b.pcrel(i.next));
  x.resync(i);
}

function loadPointer(segment: number): Lift {
  return (x, i) => {
    const { offset, selector } = farPointer(x, i);
    loadSegmentRegister(x, i, segment, selector, () => x.write(i.operands[0]!, offset));
  };
}

/** The selector operand of lar and friends: 16 bits of memory or of a register. */
function selectorOperand(x: Lifter, i: Instruction, n: number): Value {
  const o = i.operands[n]!;
  return x.andC(x.read(o), 0xffff);
}

function lar(x: Lifter, i: Instruction): void {
  const selector = selectorOperand(x, i, 1);
  const to = i.operands[0]!;
  const descriptor = x.b.call(DESCRIPTOR_OR_ZERO, selector);
  const visible = x.b.call(DESCRIPTOR_VISIBLE, descriptor, selector, x.c(DESCRIPTOR_TYPES.lar));
  const high = x.b.pure('i32.wrap_i64', x.b.pure('i64.shr_u', descriptor, x.b.const64(32n)));
  const rights = x.andC(high, 0x00ffff00);
  const old = x.read(to);
  x.write(to, x.select(visible, rights, old));
  x.flags.setZero(visible);
}

function lsl(x: Lifter, i: Instruction): void {
  const selector = selectorOperand(x, i, 1);
  const to = i.operands[0]!;
  const descriptor = x.b.call(DESCRIPTOR_OR_ZERO, selector);
  const visible = x.b.call(DESCRIPTOR_VISIBLE, descriptor, selector, x.c(DESCRIPTOR_TYPES.lsl));
  const limit = descriptorLimit(x.b, descriptor);
  const old = x.read(to);
  x.write(to, x.select(visible, limit, old));
  x.flags.setZero(visible);
}

function verify(write: boolean): Lift {
  return (x, i) => {
    const selector = selectorOperand(x, i, 0);
    const descriptor = x.b.call(DESCRIPTOR_OR_ZERO, selector);
    const visible = x.b.call(DESCRIPTOR_VISIBLE, descriptor, selector, x.c(0));
    const attr = attributes(x.b, descriptor);
    const kind = x.andC(attr, ATTR.s | ATTR.code | ATTR.writableOrReadable);
    const writable = x.eqC(kind, 0x12);
    // Readable: any data segment, or code with the readable bit.
    const data = x.eqC(x.andC(attr, ATTR.s | ATTR.code), 0x10);
    const allowed = write ? writable : x.or(data, x.eqC(kind, 0x1a));
    x.flags.setZero(x.and(visible, allowed));
  };
}

/** Raises the destination's RPL to the source's. */
/** Writes its destination only if that changes: processors do not ask for write permission otherwise. */
function arpl(x: Lifter, i: Instruction): void {
  const to = i.operands[0]!;
  if (to.kind !== 'reg' && to.kind !== 'mem') throw new TypeError('arpl wants a register or memory');
  const from = x.andC(x.read(i.operands[1]!), 3);
  const old = x.read({ ...to, size: 2 });
  const rpl = x.andC(old, 3);
  const raised = x.ltU(rpl, from);
  const value = x.or(x.andC(old, 0xfffc), from);
  x.b.if(raised, () => {
    x.write({ ...to, size: 2 }, value);
  });
  x.flags.setZero(raised);
}

export const SEGMENT: LiftTable = {
  lds: loadPointer(DS),
  les: loadPointer(ES),
  lss: loadPointer(SS),
  lfs: loadPointer(FS),
  lgs: loadPointer(GS),
  lar,
  lsl,
  verr: verify(false),
  verw: verify(true),
  arpl,
};

/** What the ops of a block tell of the addresses of its accesses, whatever is in the registers. */
import { PAGE } from '../frontend-x86/limits.js';
import type { Op, Value } from '../ir/ir.js';
import { possibleBits } from '../ir/known-values.js';

/** A linear address: a value, or 0 if there is none, and a signed distance from it. */
export interface Address {
  readonly root: Value | undefined;
  readonly distance: number;
}

/** An address as a root, none if it is a constant, and a signed distance. */
export function addressOf(ops: readonly Op[], address: Value): Address {
  const op = ops[address]!;
  if (op.name === 'i32.const') return { root: undefined, distance: op.imm as number };
  if (op.name === 'i32.add') {
    const other = ops[op.args[1]!]!;
    if (other.name === 'i32.const') return { root: op.args[0]!, distance: other.imm as number };
  }
  return { root: address, distance: 0 };
}

function bitsOf(ops: readonly Op[], root: Value | undefined): number {
  return root === undefined ? 0 : possibleBits({ ops }, root) >>> 0;
}

/**
 * Linear address (int32) of the one page in which `bytes` bytes can lie, if there is but one: those of a table in a page
 * that is indexed by a byte, and constants.
 */
export function onlyPage(ops: readonly Op[], { root, distance }: Address, bytes: number): number | undefined {
  const first = distance >>> 0;
  const last = first + bitsOf(ops, root) + bytes - 1;
  const page = first & -PAGE;
  return last - (page >>> 0) < PAGE ? page : undefined;
}

/** Whether `bytes` bytes, a power of 2 up to a page, are known to lie in one page because their address is a multiple of that. */
export function isAligned(ops: readonly Op[], { root, distance }: Address, bytes: number): boolean {
  return ((bitsOf(ops, root) | distance) & (bytes - 1)) === 0;
}

/**
 * Memory accesses of a block that share one TLB check: those at constant distances from one value, such as the slots of
 * a stack frame or the fields of a structure. The first access of a group looks the page up for all of them. If they do
 * not lie in one page, or the page is not in the TLB, the first one's instruction is given up; where it cannot be, each
 * access goes its slow way.
 *
 * Nothing takes a translation away inside a block: page tables change and pages become code between blocks, and a slow path
 * only fills the TLB.
 */
import type { Block, Value } from '../ir/ir.js';
import { OPS } from '../ir/ops.js';
import { addressOf, onlyPage } from './known-addresses.js';
import { widthOf } from './width.js';

/** Most bytes from the first to the last byte of a group: farther apart they more often lie in two pages. */
const LARGEST_SPAN = 256;

export interface AccessGroup {
  /** The value that the addresses count from; undefined: they are constants. */
  readonly root: Value | undefined;
  /** Distance of its lowest byte from the root, signed. */
  low: number;
  /** Bytes from the lowest to behind the highest. */
  span: number;
  /** The only page that any of them can lie in, if it is known (`onlyPage`). */
  readonly page: number | undefined;
  /** The page has to be writable. */
  write: boolean;
  /** Its accesses, by op index, in order: the first one makes the check. */
  readonly members: number[];
}

export interface GroupMember {
  readonly group: AccessGroup;
  /** Distance from the group's lowest byte. */
  readonly offset: number;
}

/** Which accesses of the block share a check, by op index. */
export function groupAccesses({ ops }: Block): ReadonlyMap<number, GroupMember> {
  const open = new Map<Value | undefined, AccessGroup>();
  const groups: AccessGroup[] = [];
  const distances = new Map<number, number>();
  let depth = 0;
  ops.forEach((op, i) => {
    const { effect } = OPS[op.name];
    if (op.name === 'if' || op.name === 'loop') depth++;
    else if (op.name === 'end') depth--;
    if ((effect !== 'load' && effect !== 'store') || op.name === 'probe') return;
    const { root, distance } = addressOf(ops, op.args[0]!);
    const bytes = widthOf(op.name) >> 3;
    const write = effect === 'store' || op.imm !== 0;
    const page = onlyPage(ops, { root, distance }, bytes);
    const known = open.get(root);
    if (known && known.page === page) {
      const low = Math.min(known.low, distance);
      const span = Math.max(known.low + known.span, distance + bytes) - low;
      if (span <= LARGEST_SPAN) {
        known.low = low;
        known.span = span;
        known.write ||= write;
        known.members.push(i);
        distances.set(i, distance);
        return;
      }
    }
    // The check has to be on the way of all that rely on it.
    if (depth > 0) return;
    const group: AccessGroup = { root, low: distance, span: bytes, page, write, members: [i] };
    distances.set(i, distance);
    groups.push(group);
    open.set(root, group);
  });
  const members = new Map<number, GroupMember>();
  for (const group of groups) {
    if (group.members.length < 2) continue;
    for (const i of group.members) members.set(i, { group, offset: distances.get(i)! - group.low });
  }
  return members;
}

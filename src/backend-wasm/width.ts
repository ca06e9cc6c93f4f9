/** Bits that an op of the IR reads or writes. */
import { OPS, type OpName } from '../ir/ops.js';
import type { Width } from './binaryen.js';

const WIDTH = new Map<string, Width>();
for (const name of Object.keys(OPS)) {
  const found = /^(?:get|put|peek|poke|ld|st)(8|16|32|64)$/.exec(name);
  if (found) WIDTH.set(name, Number(found[1]) as Width);
}

/** Bits of the access that the op makes to a slot, to control memory or to guest memory. */
export function widthOf(name: OpName): Width {
  const width = WIDTH.get(name);
  if (width === undefined) throw new TypeError(`${name} accesses nothing`);
  return width;
}

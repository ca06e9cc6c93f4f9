/** Far pointer operands: ptr16:16, ptr16:32, m16:16, m16:32. */
import type { Value } from '../../ir/ir.js';
import type { Instruction } from '../instruction.js';
import type { Lifter } from './context.js';

/** The far pointer of an immediate or of memory, as 32-bit offset and selector. */
export function farPointer(x: Lifter, i: Instruction): { offset: Value; selector: Value } {
  const o = i.operands.at(-1)!;
  if (o.kind === 'far') {
    const offset = i.operandSize === 2 ? x.andC(x.b.operand(o.offset), 0xffff) : x.b.operand(o.offset);
    return { offset, selector: x.andC(x.b.operand(o.selector), 0xffff) };
  }
  if (o.kind !== 'mem') throw new TypeError('a far pointer is wanted');
  const size = i.operandSize === 2 ? 2 : 4;
  const at = x.offset(o.address);
  const offset = x.load(x.translate(o.address, at, size, false), size);
  const selector = x.b.ld16(x.translate(o.address, x.addC(at, size), 2, false));
  return { offset, selector };
}

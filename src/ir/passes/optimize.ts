/** The passes in the order that pays: forwarded gets free puts, dead puts free code. */
import type { Block, IrFunction } from '../ir.js';
import { compact, findDeadCode } from './dead-code.js';
import { findDeadPuts } from './dead-puts.js';
import { forwardGets } from './get-forwarding.js';

/** A block that does the same with fewer ops. The given block stays as it is. */
export function optimize(block: Block): Block {
  const forwarded = forwardGets(block);
  const dropped = new Uint8Array(forwarded.ops.length);
  findDeadPuts(forwarded, dropped);
  findDeadCode(forwarded, dropped);
  return compact(forwarded, dropped);
}

export function optimizeFunction(f: IrFunction): IrFunction {
  return { ...f, body: optimize(f.body) };
}

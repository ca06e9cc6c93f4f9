/** Constant folding and algebraic identities, used while building. */
import type { Builder } from './builder.js';
import type { Value } from './ir.js';
import type { OpName } from './ops.js';

/** The value that `name(args)` is known to have, or undefined to emit the op. */
export function foldOp(_b: Builder, _name: OpName, _args: readonly Value[]): Value | undefined {
  return undefined;
}

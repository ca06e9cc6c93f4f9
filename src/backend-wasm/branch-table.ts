/** Dispatch on a dense index: Wasm's `br_table`. */
import type { Emitter, Expr } from './binaryen.js';

/**
 * Runs the body whose number the index is, or goes to the label `fallback`; labels are `prefix` and the number. Bodies
 * stand behind nested blocks, so that `br_table` reaches each: block h(n-1) { … block h0 { table } body0 } body1 …
 */
export function branchTable(
  e: Emitter,
  prefix: string,
  bodies: readonly Expr[][],
  index: Expr,
  fallback: string,
): Expr {
  const labels = bodies.map((_, i) => `${prefix}${i}`);
  let inner: Expr = e.block(labels[0]!, [e.brTable(labels, fallback, index)]);
  for (let i = 0; i < bodies.length; i++) {
    const body = [inner, ...bodies[i]!];
    inner = e.block(i + 1 < bodies.length ? labels[i + 1]! : null, body);
  }
  return inner;
}

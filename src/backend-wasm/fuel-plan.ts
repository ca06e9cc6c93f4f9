/**
 * Where a region looks whether the instructions it is about to execute may be executed. Once at every loop header is
 * enough, for the longest way from there to the next look: back edges lead to headers, and the rest has no cycles.
 * Whoever enters the region looks for the way from the entry.
 */
import { isIrreducible, type Structure } from './structure.js';

export interface FuelPlan {
  /** The node looks before it starts. */
  readonly checks: readonly boolean[];
  /** Most instructions from the node's start to the next look, by node. */
  readonly need: Int32Array;
}

/**
 * @param successors of each node; node 0 is the dispatcher
 * @param instructions of each node
 * @param charges nodes that take fuel beyond their instructions: whoever follows has to look anew
 */
export function planFuel(
  shape: Structure,
  successors: readonly (readonly number[])[],
  instructions: (node: number) => number,
  charges: (node: number) => boolean,
): FuelPlan {
  const checks = [...shape.isLoopHeader];
  checks[0] = false;
  for (const node of shape.order) {
    if (node !== 0 && charges(node)) for (const to of successors[node]!) checks[to] = true;
  }
  const need = new Int32Array(successors.length);
  for (const node of [...shape.order].reverse()) {
    if (node === 0) continue;
    let longest = 0;
    for (const to of successors[node]!) {
      const forward = shape.position[to]! > shape.position[node]!;
      if (forward && !checks[to] && !isIrreducible(shape, node, to)) longest = Math.max(longest, need[to]!);
    }
    need[node] = instructions(node) + longest;
  }
  return { checks, need };
}

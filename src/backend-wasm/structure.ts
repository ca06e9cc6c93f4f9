/**
 * Structured control flow from a control-flow graph, by dominator tree (N. Ramsey, "Beyond Relooper", ICFP 2022).
 * Node 0 is the dispatcher: it can reach every entry. Loops that are entered in several places are left reducible by
 * sending the offending back edges through the dispatcher.
 */

export interface Graph {
  /** Successors of each node; node 0's are the entries. */
  readonly successors: readonly (readonly number[])[];
}

export interface Structure {
  /** Nodes in reverse post-order, node 0 first; unreachable nodes are missing. */
  readonly order: readonly number[];
  /** Position in `order`; -1 if unreachable. */
  readonly position: Int32Array;
  /** Immediate dominators; node 0 is its own. */
  readonly dominator: Int32Array;
  /** Children in the dominator tree that have to be placed behind their parent: targets of more than one edge. */
  readonly mergeChildren: readonly (readonly number[])[];
  /** The node is the target of a back edge from a node that it dominates. */
  readonly isLoopHeader: readonly boolean[];
}

function reversePostOrder({ successors }: Graph): number[] {
  const order: number[] = [];
  const state = new Uint8Array(successors.length);
  const stack: { node: number; next: number }[] = [{ node: 0, next: 0 }];
  state[0] = 1;
  while (stack.length > 0) {
    const top = stack[stack.length - 1]!;
    const next = successors[top.node]![top.next++];
    if (next === undefined) {
      order.push(top.node);
      stack.pop();
    } else if (state[next] === 0) {
      state[next] = 1;
      stack.push({ node: next, next: 0 });
    }
  }
  return order.reverse();
}

function predecessorsOf({ successors }: Graph, position: Int32Array): number[][] {
  const predecessors: number[][] = successors.map(() => []);
  successors.forEach((targets, node) => {
    if (position[node]! >= 0) for (const t of targets) predecessors[t]!.push(node);
  });
  return predecessors;
}

/** Cooper, Harvey, Kennedy, "A Simple, Fast Dominance Algorithm". */
function dominators(
  order: readonly number[],
  position: Int32Array,
  predecessors: readonly number[][],
): Int32Array {
  const dominator = new Int32Array(predecessors.length).fill(-1);
  dominator[0] = 0;
  const meet = (a: number, b: number): number => {
    while (a !== b) {
      while (position[a]! > position[b]!) a = dominator[a]!;
      while (position[b]! > position[a]!) b = dominator[b]!;
    }
    return a;
  };
  for (let changed = true; changed;) {
    changed = false;
    for (const node of order) {
      if (node === 0) continue;
      let best = -1;
      for (const p of predecessors[node]!) {
        if (dominator[p]! >= 0) best = best < 0 ? p : meet(p, best);
      }
      if (best !== dominator[node]) {
        dominator[node] = best;
        changed = true;
      }
    }
  }
  return dominator;
}

/** True if `a` dominates `b` (a node dominates itself). */
export function dominates({ dominator }: Pick<Structure, 'dominator'>, a: number, b: number): boolean {
  for (let n = b; ; n = dominator[n]!) {
    if (n === a) return true;
    if (n === 0) return false;
  }
}

/** Whether the edge goes backwards to a node that does not dominate its source: it has to go through the dispatcher. */
export function isIrreducible(s: Structure, from: number, to: number): boolean {
  return s.position[to]! <= s.position[from]! && !dominates(s, to, from);
}

export function structure(graph: Graph): Structure {
  const order = reversePostOrder(graph);
  const position = new Int32Array(graph.successors.length).fill(-1);
  order.forEach((node, i) => (position[node] = i));
  const predecessors = predecessorsOf(graph, position);
  const dominator = dominators(order, position, predecessors);
  const isLoopHeader = graph.successors.map(() => false);
  const mergeChildren: number[][] = graph.successors.map(() => []);
  for (const node of order) {
    if (node === 0) continue;
    let forward = 0;
    for (const p of predecessors[node]!) {
      if (position[p]! < position[node]!) forward += p === 0 ? 2 : 1;
      else if (dominates({ dominator }, node, p)) isLoopHeader[node] = true;
    }
    if (forward > 1) mergeChildren[dominator[node]!]!.push(node);
  }
  return { order, position, dominator, mergeChildren, isLoopHeader };
}

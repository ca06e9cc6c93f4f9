/** Whatever way control takes through a region, what is executed between two looks at the fuel was asked for. */
import fc from 'fast-check';
import { planFuel } from './fuel-plan.js';
import { isIrreducible, structure } from './structure.js';

const NODES = 12;
const graphs = fc.record({
  entries: fc.uniqueArray(fc.integer({ min: 1, max: NODES }), { minLength: 1, maxLength: 4 }),
  edges: fc.array(fc.array(fc.integer({ min: 1, max: NODES }), { maxLength: 2 }), {
    minLength: NODES,
    maxLength: NODES,
  }),
  instructions: fc.array(fc.integer({ min: 1, max: 64 }), { minLength: NODES, maxLength: NODES }),
  charges: fc.array(fc.boolean(), { minLength: NODES, maxLength: NODES }),
  steps: fc.array(fc.nat(1), { minLength: 1, maxLength: 60 }),
});

test('no way between two looks is longer than what was looked for', () => {
  fc.assert(
    fc.property(graphs, ({ entries, edges, instructions, charges, steps }) => {
      const successors = [entries, ...edges];
      const shape = structure({ successors });
      const plan = planFuel(
        shape,
        successors,
        (node) => instructions[node - 1]!,
        (node) => charges[node - 1]!,
      );
      for (const entry of entries) {
        let node = entry;
        let left = plan.need[entry]!;
        for (const step of steps) {
          // The dispatcher, and whoever enters, looks for the entry's need; so does a node with a check.
          if (plan.checks[node]) left = plan.need[node]!;
          left -= instructions[node - 1]!;
          expect(left).toBeGreaterThanOrEqual(0);
          // Nobody knows what is left behind a node that charges more.
          if (charges[node - 1]) left = 0;
          const targets = successors[node]!;
          if (targets.length === 0) break;
          const next = targets[step % targets.length]!;
          if (isIrreducible(shape, node, next)) left = plan.need[next]!;
          node = next;
        }
      }
    }),
    { numRuns: 500 },
  );
});

test('a loop looks once per round, a straight way not at all', () => {
  // dispatcher -> 1 -> 2 -> 3 -> 2, 3 -> 4
  const successors = [[1], [2], [3], [2, 4], []];
  const shape = structure({ successors });
  const plan = planFuel(
    shape,
    successors,
    () => 10,
    () => false,
  );
  expect(plan.checks).toEqual([false, false, true, false, false]);
  expect([...plan.need]).toEqual([0, 10, 30, 20, 10]);
});

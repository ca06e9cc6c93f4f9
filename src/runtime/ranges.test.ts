import * as fc from 'fast-check';
import { Ranges } from './ranges.js';

test('what is taken and not given back never overlaps, and all of it can be had again', () => {
  const steps = fc.array(fc.record({ length: fc.integer({ min: 1, max: 12 }), drop: fc.nat() }), {
    maxLength: 60,
  });
  fc.assert(
    fc.property(steps, (list) => {
      const [from, to] = [100, 164];
      const ranges = new Ranges(from, to);
      const taken: { first: number; length: number }[] = [];
      const owner = new Map<number, object>();
      for (const { length, drop } of list) {
        const first = ranges.take(length);
        if (first === undefined) {
          // Refused only where no such gap is left.
          for (let at = from; at + length <= to; at++)
            expect(Array.from({ length }, (_, i) => owner.has(at + i))).toContain(true);
        } else {
          const range = { first, length };
          taken.push(range);
          for (let n = first; n < first + length; n++) {
            expect(n >= from && n < to && !owner.has(n)).toBe(true);
            owner.set(n, range);
          }
        }
        if (drop % 3 === 0 && taken.length > 0) {
          const [gone] = taken.splice(drop % taken.length, 1);
          ranges.give(gone!.first, gone!.length);
          for (let n = gone!.first; n < gone!.first + gone!.length; n++) owner.delete(n);
        }
      }
      for (const { first, length } of taken) ranges.give(first, length);
      expect(ranges.take(to - from)).toBe(from);
    }),
  );
});

test('what is free cannot be given back', () => {
  const ranges = new Ranges(0, 8);
  const first = ranges.take(4)!;
  ranges.give(first, 4);
  expect(() => ranges.give(first, 4)).toThrow(RangeError);
});

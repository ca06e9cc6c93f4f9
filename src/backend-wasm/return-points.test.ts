import { expect, test } from '@jest/globals';
import { Builder } from '../ir/builder.js';
import type { RegionBlock } from './region-target.js';
import { RETURN, returnPoints } from './return-points.js';

const COMPUTED_CALL = 1;

/** A block that falls through, calls, or jumps to a computed place. */
function block(start: number, end: number, how: { calls?: number; jump?: 1 | 2 } = {}): RegionBlock {
  const b = new Builder();
  b.mark(0, end - start);
  if (how.jump !== undefined) b.jump(b.get32(0), how.jump);
  const { calls } = how;
  return { start, end, ir: b.block(), instructions: 1, ...(calls !== undefined && { calls }) };
}

// A function of two blocks at 0x100, called from 0 and from 0x20; what is at 0x40 returns to somebody else.
const BLOCKS = [
  block(0x00, 0x10, { calls: 0x100 }),
  block(0x10, 0x20),
  block(0x20, 0x30, { calls: 0x100 }),
  block(0x30, 0x40),
  block(0x40, 0x44, { jump: RETURN }),
  block(0x100, 0x110),
  block(0x110, 0x114, { jump: RETURN }),
];
const SUCCESSORS = [[5], [2], [5], [4], [], [6], []];

test('a return goes behind the calls of its function, and not behind others', () => {
  expect(returnPoints(BLOCKS, SUCCESSORS)).toEqual(new Map([[6, [0x10, 0x30]]]));
});

test('ways into a function called inside do not lead to its returns', () => {
  // 0x100 calls 0x200, both return.
  const blocks = [
    block(0x00, 0x10, { calls: 0x100 }),
    block(0x10, 0x20, { jump: COMPUTED_CALL }),
    block(0x100, 0x110, { calls: 0x200 }),
    block(0x110, 0x114, { jump: RETURN }),
    block(0x200, 0x204, { jump: RETURN }),
  ];
  expect(returnPoints(blocks, [[2], [], [4], [], []])).toEqual(
    new Map([
      [3, [0x10]],
      [4, [0x110]],
    ]),
  );
});

test('a function that calls itself returns to itself too', () => {
  const blocks = [
    block(0x00, 0x10, { calls: 0x100 }),
    block(0x10, 0x20),
    block(0x100, 0x110, { calls: 0x100 }),
    block(0x110, 0x114, { jump: RETURN }),
  ];
  expect(returnPoints(blocks, [[2], [], [2], []])).toEqual(new Map([[3, [0x10, 0x110]]]));
});

test('what is in other pages, not in the region, or one of many places is looked up', () => {
  const other = [
    block(0x00, 0x10, { calls: 0x1100 }),
    block(0x10, 0x20),
    block(0x1100, 0x1104, { jump: RETURN }),
  ];
  expect(returnPoints(other, [[2], [], []]).size).toBe(0);
  const missing = [block(0x00, 0x10, { calls: 0x100 }), block(0x100, 0x104, { jump: RETURN })];
  expect(returnPoints(missing, [[1], []]).size).toBe(0);
  const calls = Array.from({ length: 4 }, (_, i) => block(0x10 * i, 0x10 * i + 0x10, { calls: 0x100 }));
  const many = [...calls, block(0x40, 0x50), block(0x100, 0x104, { jump: RETURN })];
  expect(returnPoints(many, [[5], [5], [5], [5], [], []]).size).toBe(0);
});

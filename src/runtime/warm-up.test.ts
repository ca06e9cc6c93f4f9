/** What the worker translates while nobody waits is code as guests have it. */
import { liftRegion } from '../frontend-x86/lift-region.js';
import { translate } from './translator.js';
import { WARM_UP } from './warm-up.js';

const bytes = WARM_UP.pages.get(0)!;

test('all of it is translated', () => {
  const { blocks } = liftRegion(WARM_UP, () => bytes);
  expect(blocks.map(({ start, end }) => [start, end])).toEqual([
    [0, 0x09],
    [0x09, 0x16],
    [0x16, 0x2d],
    [0x2d, 0x30],
  ]);
  expect(translate(WARM_UP, { validate: true })).toMatchObject({ blocks: 4, instructions: 20 });
});

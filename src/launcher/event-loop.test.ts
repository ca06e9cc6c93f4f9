import { SliceLength } from './event-loop.js';

test('slices follow the speed of the guest: up by and by, down at once', () => {
  const slice = new SliceLength();
  for (let i = 0; i < 20; i++) slice.measure(slice.instructions, slice.instructions / 600_000);
  expect(slice.instructions).toBeGreaterThan(575_000);
  expect(slice.instructions).toBeLessThan(625_000);
  // Ended early by sleep: says nothing.
  slice.measure(1000, 1);
  expect(slice.instructions).toBeGreaterThan(575_000);
  // A slice's instructions took a hundred times longer.
  slice.measure(slice.instructions, 200);
  expect(slice.instructions).toBeLessThan(13_000);
});

/** What is known of addresses. */
import fc from 'fast-check';
import { PAGE } from '../frontend-x86/limits.js';
import { Builder } from '../ir/builder.js';
import { addressOf, isAligned, onlyPage } from './known-addresses.js';

const EAX = 0;
const BYTES = fc.constantFrom(1, 2, 4, 8);
const MASKS = [0, 1, 0x7f, 0xff, 0x3ff, -1] as const;

/** The address `base + ((eax & mask) << scale)`: what is asked of it gets the ops and it. */
function indexed<T>(
  base: number,
  mask: number,
  scale: number,
  ask: (...args: Parameters<typeof onlyPage>) => T,
) {
  const b = new Builder();
  b.mark(0, 1);
  const index = b.pure('i32.shl', b.pure('i32.and', b.get32(EAX), b.const32(mask)), b.const32(scale));
  const address = b.pure('i32.add', index, b.const32(base));
  return (bytes: number): T => ask(b.ops, addressOf(b.ops, address), bytes);
}

/** Anywhere, and not far before the end of a page. */
const BASES = fc.oneof(
  fc.integer({ min: -0x80000000, max: 0x7fffffff }),
  fc.tuple(fc.integer({ min: -4, max: 4 }), fc.nat(1100)).map(([page, back]) => page * PAGE - back),
);

test('the only page of an access is that of its first and its last possible byte', () => {
  const property = fc.property(
    BASES,
    fc.constantFrom(...MASKS),
    fc.nat(3),
    BYTES,
    (base, mask, scale, bytes) => {
      const first = base >>> 0;
      const last = first + ((mask << scale) >>> 0) + bytes - 1;
      const [page, lastPage] = [first, last].map((at) => Math.floor(at / PAGE) * PAGE);
      expect(indexed(base, mask, scale, onlyPage)(bytes)).toBe(page === lastPage ? page! | 0 : undefined);
    },
  );
  fc.assert(property, {
    examples: [
      [-4, 0, 0, 4],
      [-4, 0xff, 2, 4],
      [0xd360, 0xff, 2, 4],
      [PAGE - 4, 0, 0, 4],
      [PAGE - 3, 0, 0, 4],
    ],
  });
});

test('the page of a value that nothing is known of is not known', () => {
  for (const bytes of [1, 4]) expect(indexed(PAGE, -1, 0, onlyPage)(bytes)).toBeUndefined();
});

test('what is aligned lies in one page, whatever the index is', () => {
  const property = fc.property(BASES, fc.nat(3), BYTES, fc.integer(), (base, scale, bytes, index) => {
    const first = (base + (index << scale)) >>> 0;
    if (!indexed(base, -1, scale, isAligned)(bytes)) return;
    expect(first % bytes).toBe(0);
    expect(Math.floor(first / PAGE)).toBe(Math.floor((first + bytes - 1) / PAGE));
  });
  fc.assert(property);
});

test('elements of an array at a multiple of their size are aligned, others are not', () => {
  const dwordsAt = (base: number): boolean => indexed(base, -1, 2, isAligned)(4);
  expect([0, 4, 0x1000, -4].map(dwordsAt)).toEqual([true, true, true, true]);
  expect([1, 2, 3, 0x1002].map(dwordsAt)).toEqual([false, false, false, false]);
  expect(indexed(0, -1, 2, isAligned)(8)).toBe(false);
  expect(indexed(3, -1, 0, isAligned)(1)).toBe(true);
});

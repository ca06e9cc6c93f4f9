import { type DataTlb, dataTlbFor, PLACEHOLDERS } from './data-tlb.js';
import { relocate } from './relocate.js';

/** i32.const with a number in the longest form. */
function constant(value: number): number[] {
  const bytes = [0, 7, 14, 21].map((shift) => ((value >> shift) & 0x7f) | 0x80);
  return [0x41, ...bytes, (value >> 28) & 0x7f];
}

test('placeholders become the numbers of a machine, and nothing else is changed', () => {
  const tlb = dataTlbFor(2 ** 27);
  const bytesFor = ({ indexMask, ramEnd, outside }: DataTlb): Uint8Array =>
    Uint8Array.from([
      ...[1, 2, 3, 0xf3],
      ...constant(indexMask),
      ...constant(0x5e612345),
      ...constant(ramEnd),
      ...constant(outside),
      ...constant(indexMask),
      0xf3,
    ]);
  expect(relocate(bytesFor(PLACEHOLDERS), tlb)).toEqual(bytesFor(tlb));
  expect(() => relocate(bytesFor(tlb), tlb)).toThrow('nothing to relocate');
});

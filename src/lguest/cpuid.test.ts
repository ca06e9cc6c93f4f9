import { cpuidPolicy } from './cpuid.js';

function text(words: readonly number[]): string {
  return String.fromCharCode(...words.flatMap((w) => [0, 8, 16, 24].map((s) => (w >>> s) & 0xff))).replace(
    /\0+$/,
    '',
  );
}

test('vendor, brand and leaves beyond the highest', () => {
  const cpuid = cpuidPolicy();
  const [max, b, c, d] = cpuid(0);
  expect(max).toBe(5);
  expect(text([b, d, c])).toBe('GenuineIntel');
  expect(cpuid(0x80000000)[0]).toBe(0x80000004);
  expect(text([2, 3, 4].flatMap((n) => [...cpuid(0x80000000 + n)]))).toBe('lguest-jit virtual CPU');
  expect(cpuid(0x40000000)).toEqual([0, 0, 0, 0]);
  expect(cpuid(-1)).toEqual([0, 0, 0, 0]);
});

test('features are bits of leaf 1; SEP is never one of them', () => {
  expect(cpuidPolicy(['fpu', 'sse2'])(1)[3]).toBe((1 << 26) | 1);
  expect(cpuidPolicy()(1)[3] & (1 << 11)).toBe(0);
});

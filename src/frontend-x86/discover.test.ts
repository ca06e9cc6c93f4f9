/** What discovery takes into a region, and in which order. */
import { describe, expect, test } from '@jest/globals';
import { type Interest, outline, type RegionOutline } from './discover.js';
import { MAX_BLOCK, PAGE } from './limits.js';

const NOP = 0x90;
const RET = 0xc3;

/** The outline from the start of a page of NOPs but for the code given by offset. Nothing is wanted behind a RET. */
function discover(
  code: Readonly<Record<number, readonly number[]>>,
  { interest = (_offset: number): Interest => 'now', maxInstructions = 1000 } = {},
): RegionOutline {
  const bytes = new Uint8Array(PAGE).fill(NOP);
  for (const [at, insns] of Object.entries(code)) bytes.set(insns, Number(at));
  const page = {
    bytes,
    interest: (offset: number) => (bytes[offset - 1] === RET ? 'none' : interest(offset)),
  };
  return outline({ start: 0, maxInstructions, page: (delta) => (delta === 0 ? page : undefined) });
}

describe('straight code', () => {
  const code = { 200: [RET] };

  test('has a block, with an entry, wherever one of the interpreter ends', () => {
    const places = [0, MAX_BLOCK, 2 * MAX_BLOCK, 3 * MAX_BLOCK];
    expect(discover(code)).toEqual({ leaders: places, entries: places });
  });

  test('is not taken in any further than it is worth', () => {
    const interest = (offset: number): Interest => (offset === 2 * MAX_BLOCK ? 'none' : 'now');
    expect(discover(code, { interest }).leaders).toEqual([0, MAX_BLOCK]);
    expect(discover(code, { maxInstructions: 100 }).leaders).toEqual([0, MAX_BLOCK]);
  });
});

describe('callees', () => {
  const CALL = (from: number, to: number): number[] => [
    0xe8,
    (to - from - 5) & 0xff,
    (to - from - 5) >> 8,
    0,
    0,
  ];
  // Two functions of 11 instructions are called, then it returns.
  const [A, B] = [0x100, 0x200];
  const code = { 0: [...CALL(0, A), ...CALL(5, B), RET], [A + 10]: [RET], [B + 10]: [RET] };
  const later = (offset: number): Interest => (offset === A ? 'later' : 'now');

  test('that can wait are taken in if there is room', () => {
    expect(discover(code, { interest: later })).toEqual(discover(code));
  });

  test('that can wait give way to what comes behind them', () => {
    const { leaders, entries } = discover(code, { interest: later, maxInstructions: 12 });
    expect(leaders).toEqual([0, 5, 10, B]);
    expect(entries).not.toContain(A);
    expect(discover(code, { maxInstructions: 12 }).leaders).toEqual([0, 5, A]);
  });
});

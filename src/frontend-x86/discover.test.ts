/** What discovery takes into a region, and in which order. */
import { describe, expect, test } from '@jest/globals';
import { type CodePage, type Interest, outline, type RegionOutline } from './discover.js';
import { MAX_BLOCK, PAGE } from './limits.js';

const NOP = 0x90;
const RET = 0xc3;

/** The outline from the start of a page of NOPs but for the code given by offset. Nothing is wanted behind a RET. */
function discover(
  code: Readonly<Record<number, readonly number[]>>,
  { interest = (_offset: number): Interest => 'now', maxInstructions = 1000, blocks = [] as number[] } = {},
): RegionOutline {
  const bytes = new Uint8Array(PAGE).fill(NOP);
  for (const [at, insns] of Object.entries(code)) bytes.set(insns, Number(at));
  const page = {
    bytes,
    interest: (offset: number) => (bytes[offset - 1] === RET ? 'none' : interest(offset)),
    startsBlock: (offset: number) => blocks.includes(offset),
    claim: () => true,
  };
  return outline({ start: 0, maxInstructions, page: (delta) => (delta === 0 ? page : undefined) });
}

describe('straight code', () => {
  const code = { 200: [RET] };

  test('has a block, with an entry, wherever one of the interpreter ends', () => {
    const places = [0, MAX_BLOCK, 2 * MAX_BLOCK, 3 * MAX_BLOCK];
    expect(discover(code)).toEqual({ leaders: places, entries: places });
  });

  test('goes on in the last block of the interpreter that starts in it', () => {
    const places = [0, 30, 30 + MAX_BLOCK, 30 + 2 * MAX_BLOCK];
    expect(discover(code, { blocks: [0, 10, 30] })).toEqual({ leaders: places, entries: places });
  });

  test('goes on behind a block if another starts there', () => {
    const places = [0, MAX_BLOCK, 2 * MAX_BLOCK, 3 * MAX_BLOCK];
    expect(discover(code, { blocks: [0, 30, MAX_BLOCK] })).toEqual({ leaders: places, entries: places });
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

describe('pages', () => {
  const CALL_NEXT_PAGE = [0xe8, 0xfb, 0x0f, 0, 0];

  test.each<[Interest, number]>([
    ['now', 1000],
    ['later', 1000],
    ['later', 20],
  ])('are claimed when code of them is taken in: %s, of %d instructions', (interest, maxInstructions) => {
    const bytes = new Uint8Array(PAGE).fill(NOP);
    bytes.set(CALL_NEXT_PAGE);
    bytes[60] = RET;
    const claimed = new Set<number>();
    const { leaders } = outline({
      start: 0,
      maxInstructions,
      page: (delta) => ({
        bytes,
        interest: (offset) => (bytes[offset - 1] === RET ? 'none' : delta === 0 ? 'now' : interest),
        startsBlock: () => false,
        claim: () => claimed.add(delta) !== undefined,
      }),
    });
    expect(claimed).toEqual(new Set(leaders.map((place) => Math.floor(place / PAGE))));
    expect(claimed.has(1)).toBe(maxInstructions > 20);
  });

  test('are asked for once each, also those that are not known', () => {
    const bytes = new Uint8Array(PAGE).fill(NOP);
    bytes.set([...CALL_NEXT_PAGE, ...CALL_NEXT_PAGE]);
    bytes[60] = RET;
    const asked: number[] = [];
    const page = { bytes, interest: (): Interest => 'now', startsBlock: () => false, claim: () => true };
    outline({
      start: 0,
      maxInstructions: 1000,
      page: (delta) => {
        asked.push(delta);
        return delta === 0 ? page : undefined;
      },
    });
    expect(asked).toEqual([0, 1]);
  });

  test('that are refused are left out', () => {
    const bytes = new Uint8Array(PAGE).fill(NOP);
    bytes.set(CALL_NEXT_PAGE);
    bytes[60] = RET;
    const page = (delta: number): CodePage => ({
      bytes,
      interest: (offset) => (bytes[offset - 1] === RET ? 'none' : 'later'),
      startsBlock: () => false,
      claim: () => delta === 0,
    });
    const { leaders, entries } = outline({ start: 0, maxInstructions: 1000, page });
    expect(leaders).toEqual([0, 5]);
    expect(entries).toEqual([0, 5]);
  });
});

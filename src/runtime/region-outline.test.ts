/** What a region takes in of what the interpreter has blocks of. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { pageOf } from '../frontend-x86/discover.js';
import { MAX_BLOCK } from '../frontend-x86/limits.js';
import { InterpreterEngine } from './interpreter-engine.js';
import { CALL, CODE, DATA, Guest, OFTEN, PAGE, RET } from './testing/code-guest.js';
import { REGION_INSTRUCTIONS } from './tiers.js';
import { regionName } from './translator-bug.js';

const INC_EAX = 0x40;
const JMP_EBX = [0xff, 0xe3];

/** Offsets of the blocks in a page. */
function blocksOf({ engine }: Guest, address: number): Set<number> {
  if (!(engine instanceof InterpreterEngine)) throw new TypeError('an engine without predecoded code');
  const { blocks } = engine.code.describePage(pageOf(address))!;
  return new Set(blocks.map(({ offset }) => offset));
}

test('straight code that is longer than a block has the same blocks in regions as in the interpreter', () => {
  const LENGTH = 4 * MAX_BLOCK;
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.nat(LENGTH - 1), { maxLength: 6 }),
      fc.nat(PAGE - LENGTH - 1),
      (ways, at) => {
        const guest = new Guest('auto');
        const start = CODE + PAGE + at;
        guest.put(CODE, JMP_EBX);
        guest.put(start, [...new Array<number>(LENGTH).fill(INC_EAX), ...RET]);
        for (const way of ways) guest.call(1, DATA, start + way);
        guest.call(OFTEN.auto, DATA, start);
        const blocks = blocksOf(guest, start);
        const page = regionName(start, undefined).slice(0, -3);
        const regions = guest.translations.held
          .map(({ request }) => request)
          .filter(({ name }) => name.startsWith(page));
        expect(regions).not.toEqual([]);
        for (const { leaders } of regions) for (const place of leaders) expect(blocks.has(place)).toBe(true);
        if (ways.length === 0) expect(regions[0]!.leaders).toHaveLength(LENGTH / MAX_BLOCK);
      },
    ),
    { numRuns: 30, examples: [[[], 0]] },
  );
});

test('what has a region is taken in last', () => {
  const [BOTH, FIRST, SECOND] = [CODE + PAGE, CODE + 2 * PAGE, CODE + 3 * PAGE];
  const guest = new Guest('auto');
  guest.put(CODE, JMP_EBX);
  guest.put(BOTH, [...CALL(BOTH, FIRST), ...CALL(BOTH + 5, SECOND), ...RET]);
  // There is room for one of them. Blocks of the same length are warm at the same time.
  const blocks = Math.ceil(REGION_INSTRUCTIONS.auto / MAX_BLOCK);
  const long = new Array<number>(blocks * MAX_BLOCK).fill(INC_EAX);
  for (const callee of [FIRST, SECOND]) guest.put(callee, [...long, ...RET]);
  const asked = (name: string): readonly number[] | undefined =>
    guest.translations.held.find(({ request }) => request.name === name)?.request.leaders;
  const both = regionName(BOTH, undefined);

  guest.call(OFTEN.auto, DATA, FIRST);
  guest.translations.finish();
  guest.call(OFTEN.auto, DATA, BOTH);
  const pages = asked(both)!.map((place) => pageOf(place));
  expect(pages).toContain(pageOf(SECOND - BOTH));
  expect(pages).not.toContain(pageOf(FIRST - BOTH));
});

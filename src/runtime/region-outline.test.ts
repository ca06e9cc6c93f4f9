/** What a region takes in of what the interpreter has blocks of. */
import { expect, test } from '@jest/globals';
import { pageOf } from '../frontend-x86/discover.js';
import { MAX_BLOCK } from '../frontend-x86/limits.js';
import { CALL, CODE, DATA, Guest, OFTEN, PAGE, RET } from './testing/code-guest.js';
import { REGION_INSTRUCTIONS } from './tiers.js';
import { regionName } from './translator-bug.js';

const INC_EAX = 0x40;
const JMP_EBX = [0xff, 0xe3];

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

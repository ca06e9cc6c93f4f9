/** Where a block that is full ends. */
import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodeIn } from './discover.js';
import { cutFullBlock } from './full-block.js';
import { MAX_BLOCK, PAGE } from './limits.js';

const INC_EAX = [0x40];
const ADD_AL = [0x04, 1];
const MOV_EAX = [0xb8, 1, 2, 3, 4];

test('it is cut where the last block in it, or right behind it, starts; without one not at all', () => {
  const instruction = fc.constantFrom(INC_EAX, ADD_AL, MOV_EAX);
  const code = fc.array(instruction, { minLength: MAX_BLOCK, maxLength: MAX_BLOCK });
  fc.assert(
    fc.property(code, fc.array(fc.nat(MAX_BLOCK)), fc.nat(100), (list, starts, first) => {
      const bytes = new Uint8Array(PAGE);
      const places = [first];
      for (const insn of list) {
        bytes.set(insn, places.at(-1));
        places.push(places.at(-1)! + insn.length);
      }
      const block = places.slice(0, -1).map((place) => decodeIn(bytes, place)!);
      const known = new Set(starts.map((i) => places[i]!));
      // The block's own start is no end of it.
      const last = places.findLastIndex((place, i) => i > 0 && known.has(place));
      const count = last < 0 ? MAX_BLOCK : last;
      expect(cutFullBlock(block, places.at(-1)!, (place) => known.has(place))).toEqual({
        count,
        end: places[count],
      });
    }),
  );
});

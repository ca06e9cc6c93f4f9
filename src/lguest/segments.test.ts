/** Whoever loads a segment register, its hidden part is the same: engines enter handlers too, and are compared. */
import { expect, test } from '@jest/globals';
import * as S from '../frontend-x86/cpu-state.js';
import { Segments } from './segments.js';
import { GDT } from '../backend-wasm/memory-layout.js';
import '../runtime/offer-reference-engine.js';
import { createEngine } from '../runtime/create-engine.js';

test('attributes have the form that segment loads give them', () => {
  const engine = createEngine({ ramBytes: 0x10000, devicePages: 0, kind: 'reference' });
  new Segments(engine, GDT).start();
  // Bits 8..11 would be those of the limit, which the flat segments have all.
  for (const [segment, attributes] of [
    [S.CS, 0xc0bb],
    [S.DS, 0xc0b3],
  ] as const)
    expect(engine.cpu.get(S.SEGMENT_ATTR + 4 * segment)).toBe(attributes);
});

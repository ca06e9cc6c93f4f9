/** Stored regions for tests of where they are kept. */
import type { StoredRegion } from '../translation-store.js';

/** A region of one line of code, which is told by a place in it and entered there. */
export function storedRegion(start: number, wasm: Uint8Array, unusedRuns = 0): StoredRegion {
  return {
    outline: { leaders: [start], entries: [start], missing: [] },
    start,
    name: 'guest:00001000',
    code: new Map([[0, new Uint8Array(64).fill(start)]]),
    translation: {
      wasm,
      entries: [{ place: start, need: 1 }],
      map: [],
      pages: [0],
      instructions: 1,
      blocks: 1,
      lines: new Map([[0, [1, 0]]]),
    },
    unusedRuns,
  };
}

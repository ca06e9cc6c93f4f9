/** Lines that are code for more than one reason stay marked until the last of them goes. */
import { CodeLines, type LineBits } from './code-lines.js';
import type { InterpreterEngine } from './interpreter-engine.js';
import { Guest, PAGE } from './testing/code-guest.js';

const PFN = 0x20;
const LINE = 64;
const bit = (line: number): LineBits => (line < 32 ? [1 << line, 0] : [0, 1 << (line - 32)]);

test('a region that has a page twice, by two mappings, keeps the lines of both', () => {
  const { memory } = new Guest('interp').engine as InterpreterEngine;
  const lines = new CodeLines(memory);
  const marked = (): number[] =>
    Array.from({ length: PAGE / LINE }, (_, line) => line).filter((line) =>
      lines.hits(PFN * PAGE + line * LINE, 1),
    );
  lines.addDecoded(PFN, 0, 1);
  lines.addRegion(PFN, 1, bit(2));
  lines.addRegion(PFN, 1, bit(40));
  lines.addRegion(PFN, 2, bit(5));
  expect(marked()).toEqual([0, 2, 5, 40]);
  lines.removeRegion(PFN, 2);
  expect(marked()).toEqual([0, 2, 40]);
  lines.removeRegion(PFN, 1);
  expect(marked()).toEqual([0]);
  lines.clear(PFN);
  expect(marked()).toEqual([]);
});

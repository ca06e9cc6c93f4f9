/** Straight code that is longer than a block: where the block ends for interpreter and regions alike. */
import type { DecodedInstruction } from './decoded-instruction.js';

/**
 * Where a block that has as many instructions as one may have, and more of the same page behind them, ends: where the last
 * block that there is starts in it, or else behind its last instruction. Otherwise each place where straight code was ever
 * entered, as behind an interrupt, would have blocks of its own from there on, up to the end of the page, none of which a
 * region knows.
 * @param instructions the block's, in order; about its own start nobody is asked
 * @param end the place behind the last one
 * @param startsBlock whether there is a block that starts at a place
 * @returns how many instructions stay, at least 1, and the place behind them
 */
export function cutFullBlock(
  instructions: readonly DecodedInstruction[],
  end: number,
  startsBlock: (place: number) => boolean,
): { count: number; end: number } {
  let place = end;
  for (let count = instructions.length; count > 0; count--) {
    if (startsBlock(place)) return { count, end: place };
    place -= instructions[count - 1]!.length;
  }
  return { count: instructions.length, end };
}

/** Makes Wasm of hot code: discovery, lifting and lowering of one region. Knows no machine, so it can work anywhere. */
import { discover, type DiscoveryOptions } from '../frontend-x86/discover.js';
import { FUNCTIONS } from '../frontend-x86/lift/functions.js';
import { traitsOf } from '../backend-wasm/lower.js';
import { generateRegion, type RegionImage } from '../backend-wasm/region.js';
import { MODE_CHANGED_FUNCTION } from './mode.js';
import { SLOW_PATHS } from './slow-paths.js';

const TRAITS = traitsOf([...FUNCTIONS, ...SLOW_PATHS, MODE_CHANGED_FUNCTION]);

export interface Translation extends RegionImage {
  /** Guest instructions in it. */
  readonly instructions: number;
  readonly blocks: number;
  /** 64-byte lines of the page whose bytes it was made from: a bit each, low dword and high dword. */
  readonly lines: readonly [number, number];
}

/** Translates the region around `options.start` of a page; undefined if there is nothing to translate. */
export function translate(
  page: Uint8Array,
  options: DiscoveryOptions,
  emit: { validate: boolean; text?: boolean } = { validate: false },
): Translation | undefined {
  const found = discover(page, options);
  if (found.blocks.length === 0 || found.entries.length === 0) return undefined;
  const image = generateRegion(found, TRAITS, emit);
  const lines: [number, number] = [0, 0];
  let instructions = 0;
  for (const block of found.blocks) {
    instructions += block.instructions;
    for (let line = block.start >> 6; line <= (block.end - 1) >> 6; line++)
      lines[line >> 5]! |= 1 << (line & 31);
  }
  return { ...image, instructions, blocks: found.blocks.length, lines };
}

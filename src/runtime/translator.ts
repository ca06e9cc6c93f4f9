/** Makes Wasm of hot code: discovery, lifting and lowering of one region. Knows no machine, so it can work anywhere. */
import { pageOf, type RegionOutline } from '../frontend-x86/discover.js';
import { liftRegion } from '../frontend-x86/lift-region.js';
import { FUNCTIONS } from '../frontend-x86/lift/functions.js';
import { Traits } from '../backend-wasm/function-traits.js';
import { withCompilationHint } from '../backend-wasm/compilation-hints.js';
import { withFunctionName } from '../backend-wasm/name-section.js';
import { generateRegion, REGION_EXPORT, type RegionImage } from '../backend-wasm/region.js';
import { REGION_NEED_MASK } from '../backend-wasm/memory-layout.js';
import type { DataTlb } from '../backend-wasm/data-tlb.js';
import type { RefusalCause } from './refusals.js';
import { MODE_CHANGED_FUNCTION } from './mode.js';
import { SLOW_PATHS } from './slow-paths.js';

const TRAITS = new Traits([...FUNCTIONS, ...SLOW_PATHS, MODE_CHANGED_FUNCTION]);

export interface Translation extends RegionImage {
  /** Guest instructions in it. */
  readonly instructions: number;
  readonly blocks: number;
  /** By page delta: the 64-byte lines whose bytes it was made from, a bit each (low dword, high dword). */
  readonly lines: ReadonlyMap<number, readonly [number, number]>;
}

/** All that a translation is made from: plain data, so that it can be sent to a worker. */
export interface TranslationRequest extends RegionOutline {
  /** By page delta: the page's 4096 bytes. */
  readonly pages: ReadonlyMap<number, Uint8Array>;
  /** Of the machine. */
  readonly dataTlb: DataTlb;
  /** What profilers and stack traces call it. */
  readonly name: string;
  /** V8 is to optimise it before it runs, which takes ten times as long as to compile it. Default false. */
  readonly optimized?: boolean;
  /** What was made of it in an earlier run: the number of that in the store that the translator's worker has opened. */
  readonly stored?: number | undefined;
}

/** How a region came to be: stays with it, for reports. */
export interface RegionOrigin extends RegionOutline {
  readonly name: string;
  readonly optimized: boolean;
  /** Linear address of the page that discovery started in, whose delta is 0. */
  readonly linear: number;
  /** Offset in that page of the block that became hot. */
  readonly start: number;
  /** What was asked for at once, or what came to its turn; or a warm block that was a region's entry in an earlier run. */
  readonly heat: 'hot' | 'warm' | 'known';
  /** Instructions of it that the interpreter had executed. */
  readonly executed: number;
  /** Guest instructions executed by then; of a merged region to a run's precision. */
  readonly instructions: number;
  /** Regions that it took in, by the place of the block that each was made for. */
  readonly merged?: readonly { readonly start: number; readonly instructions: number }[];
  /** Guest instructions executed when it was last made anew for what is in `missing`. */
  readonly missedAt?: number;
}

/** Translates a region; undefined if there is nothing to translate, or too much: see `causeOfNothing`. */
export function translate(
  request: TranslationRequest,
  emit: { validate: boolean; text?: boolean } = { validate: false },
): Translation | undefined {
  const { pages, dataTlb } = request;
  const found = liftRegion(request, (delta) => pages.get(delta));
  if (found.blocks.length === 0 || found.entries.length === 0) return undefined;
  const image = generateRegion({ ...found, missing: new Set(request.missing), dataTlb }, TRAITS, emit);
  // More would not fit beside the delta in the entry's row: overlapping blocks of a guest that jumps into instructions.
  if (image.entries.some(({ need }) => need > REGION_NEED_MASK)) return undefined;
  const lines = new Map<number, [number, number]>();
  let instructions = 0;
  for (const block of found.blocks) {
    instructions += block.instructions;
    const delta = pageOf(block.start);
    const bits = lines.get(delta) ?? [0, 0];
    lines.set(delta, bits);
    const first = block.start - delta * 4096;
    const last = block.end - 1 - delta * 4096;
    for (let line = first >> 6; line <= last >> 6; line++) bits[line >> 5]! |= 1 << (line & 31);
  }
  const named = withFunctionName(image.wasm, REGION_EXPORT, request.name);
  const wasm = request.optimized ? withCompilationHint(named) : named;
  return { ...image, wasm, instructions, blocks: found.blocks.length, lines };
}

/** Why `translate` makes nothing of a request. */
export function causeOfNothing(request: TranslationRequest): RefusalCause {
  const { blocks, entries } = liftRegion(
    request,
    (delta) => request.pages.get(delta),
    (block) => block,
  );
  return blocks.length === 0 || entries.length === 0
    ? 'no decodable instruction'
    : 'a way without a loop is too long';
}

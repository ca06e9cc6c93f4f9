/** Hot code that was not translated, by cause: the interpreter goes on with it. */
import { LRUCache } from 'lru-cache';
import { liftRegion } from '../frontend-x86/discover.js';
import type { TranslationRequest } from './translator.js';

/** Why hot code stays with the interpreter. */
export type RefusalCause =
  | 'segments are not flat'
  | 'instruction straddles pages'
  | 'page is not mapped for execution'
  | 'no decodable instruction'
  | 'a way without a loop is too long'
  | 'no room for records'
  | 'page was written meanwhile';

/** Why the translator makes nothing of what it is asked for. */
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

/** Places that are remembered. */
const MOST_PLACES = 4096;

export class Refusals {
  private readonly counts = new Map<RefusalCause, number>();
  private readonly places = new LRUCache<number, RefusalCause>({ max: MOST_PLACES });

  /** `physical`: guest-physical address of the block that was hot, if it is known. */
  note(cause: RefusalCause, physical?: number): void {
    this.counts.set(cause, (this.counts.get(cause) ?? 0) + 1);
    if (physical !== undefined) this.places.set(physical, cause);
  }

  /** The last cause at a block's first byte. */
  at(physical: number): RefusalCause | undefined {
    return this.places.get(physical);
  }

  /** For statistics: only what happened. */
  counters(): Record<string, number> {
    return Object.fromEntries([...this.counts].map(([cause, count]) => [`not translated: ${cause}`, count]));
  }
}

/** Hot code that was not translated, by cause: the interpreter goes on with it. */
import { LRUCache } from 'lru-cache';

/** Why hot code stays with the interpreter. */
export type RefusalCause =
  | 'segments are not flat'
  | 'instruction straddles pages'
  | 'page is not mapped for execution'
  | 'no decodable instruction'
  | 'a way without a loop is too long'
  | 'no room for it'
  | 'page was written meanwhile';

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

/**
 * Pages whose code changed often and no longer does, as those that a kernel patches while it boots: after a while they are
 * translated as any other, though no page that changes often is (see `block-heat.ts`).
 */
import type { CodeCache } from './code-cache.js';
import type { CodePageView } from './code-page.js';

/** A page is forgiven when it has not changed for so many guest instructions, and twice as many each further time. */
export const QUIET = 100_000_000;
/** So often it is twice as many. */
const MOST_DOUBLINGS = 6;

/** What is known of a page that changed often. */
interface Watched {
  /** What there was against it when it was looked at for the last time, and since when, as a guest instruction count. */
  unrest: number;
  since: number;
  /** How often it was forgiven. */
  forgiven: number;
}

export class RestlessPages {
  private nextLook = 0;
  private readonly watched = new WeakMap<CodePageView, Watched>();

  constructor(private readonly code: CodeCache) {}

  /** After `now` guest instructions: looks whether any page is to be forgiven, if that is due. */
  poll(now: number): void {
    if (now < this.nextLook) return;
    this.nextLook = now + QUIET;
    for (const page of this.code.pagesNow()) if (this.code.heat.isRestless(page)) this.look(page, now);
  }

  private look(page: CodePageView, now: number): void {
    const known = this.watched.get(page) ?? { unrest: 0, since: now, forgiven: 0 };
    this.watched.set(page, known);
    if (known.unrest !== page.unrest) {
      known.unrest = page.unrest;
      known.since = now;
    } else if (now - known.since >= QUIET * 2 ** Math.min(known.forgiven, MOST_DOUBLINGS)) {
      known.forgiven++;
      // What comes to stand against it from here on is news, however much it is.
      known.unrest = 0;
      this.forgive(page);
    }
  }

  private forgive(page: CodePageView): void {
    const { heat } = this.code;
    const needed = heat.of(page);
    heat.forgive(page);
    this.code.visitBlocks(page, (_, _offset, record) => heat.restart(record, page, needed));
  }
}

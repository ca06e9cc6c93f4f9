/**
 * Pages whose code changed often and no longer does, as those that a kernel patches while it boots: after a while they are
 * translated as any other, though no page that changes often is (see `block-heat.ts`).
 */
import type { CodeCache } from './code-cache.js';
import type { CodePageView } from './code-page.js';

/** A page that has not changed for at least so many guest instructions is forgiven, after twice as many at the latest. */
export const QUIET = 100_000_000;

export class RestlessPages {
  private nextLook = 0;
  /** What there was against a page at the last look. */
  private readonly unrest = new WeakMap<CodePageView, number>();

  constructor(private readonly code: CodeCache) {}

  /** After `now` guest instructions: looks whether any page is to be forgiven, if that is due. */
  poll(now: number): void {
    if (now < this.nextLook) return;
    this.nextLook = now + QUIET;
    const { heat } = this.code;
    for (const page of this.code.pagesNow()) {
      if (!heat.isRestless(page)) continue;
      if (this.unrest.get(page) === page.unrest) this.forgive(page);
      else this.unrest.set(page, page.unrest);
    }
  }

  private forgive(page: CodePageView): void {
    const { heat } = this.code;
    const needed = heat.of(page);
    heat.forgive(page);
    this.unrest.delete(page);
    this.code.visitBlocks(page, (_, _offset, record) => heat.restart(record, page, needed));
  }
}

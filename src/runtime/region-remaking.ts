/**
 * What makes installed regions anew: two that often hand over to each other become one, and one that often misses
 * something is told to call for it. The engine reports samples of both.
 */
import type { TranslationService } from './background.js';
import type { CodePageView } from './code-page.js';
import type { Region } from './region-cache.js';
import { merge, PairSamples } from './region-merging.js';
import type { TieredEngine } from './tier-up.js';
import { MOST_MISSING, type Tiers } from './tiers.js';
import type { RegionOrigin } from './translator.js';

/** Asks for a translation; `done` when the answer is there, `replacing` before it is installed. */
type Request = (
  origin: RegionOrigin,
  pages: ReadonlyMap<number, CodePageView>,
  done: () => void,
  replacing: () => void,
) => void;

/** Which of a region's pages has this code map. */
function deltaOf({ pagesByDelta }: Region, map: number | undefined): number | undefined {
  for (const [delta, page] of pagesByDelta) if (page.map === map) return delta;
  return undefined;
}

export class RegionRemaking {
  /** Pairs that were made one. */
  merges = 0;
  private readonly transitions = new PairSamples();
  /** By region's table slot and place in it. */
  private readonly misses = new PairSamples();
  /** Regions that are being translated anew, alone or with others. */
  private readonly remaking = new Set<Region>();

  constructor(
    private readonly engine: TieredEngine,
    private readonly tiers: Tiers,
    private readonly background: TranslationService,
    private readonly request: Request,
  ) {}

  /** The engine's regions are gone. */
  forgetAll(): void {
    this.transitions.forgetAll();
    this.misses.forgetAll();
  }

  /** Import `transition`: one of many transitions from region to region. */
  transition(from: number, to: number): void {
    if (this.tiers !== 'auto' || this.background.full) return;
    const a = this.engine.regions.ofEntry(from);
    const b = this.engine.regions.ofEntry(to);
    if (a === undefined || b === undefined || a === b || this.remaking.has(a) || this.remaking.has(b)) return;
    // Between kernel and user code there are no jumps.
    const { kernelAddress } = this.engine.mmu;
    if (a.origin.linear >= kernelAddress !== b.origin.linear >= kernelAddress) return;
    if (!this.transitions.note(Math.min(a.slot, b.slot), Math.max(a.slot, b.slot), this.engine.instructions))
      return;
    // Code that has no region yet gains more by one. What is busy for long is seen again.
    if (!this.background.idle) return;
    const merger = merge(a, b, this.engine.instructions);
    if (merger === undefined) return;
    this.merges++;
    this.remaking.add(a);
    this.remaking.add(b);
    const done = (): void => {
      this.remaking.delete(a);
      this.remaking.delete(b);
    };
    this.request(merger.origin, merger.pages, done, () => {
      a.drop();
      b.drop();
    });
  }

  /**
   * Import `missed`: one of many misses of a region. An instruction that misses often, as one does whose data lie beside
   * code or across pages, is told to call for them: that is slower than a hit, and much faster than to leave.
   */
  missed(entry: number): void {
    if (this.tiers !== 'auto' || this.background.full) return;
    const region = this.engine.regions.ofEntry(entry);
    if (region === undefined || this.remaking.has(region)) return;
    const { origin } = region;
    const { eip } = this.engine.cpu;
    // Other address spaces may have the region's pages elsewhere.
    const delta = deltaOf(region, this.engine.mmu.codeMapOf(eip));
    if (delta === undefined) return;
    const place = delta * 4096 + (eip & 0xfff);
    const known = origin.missing ?? [];
    if (known.includes(place) || known.length >= MOST_MISSING) return;
    if (!this.misses.note(region.slot, place & 0xffff, this.engine.instructions)) return;
    this.remaking.add(region);
    const missing = [...known, place];
    const done = (): void => void this.remaking.delete(region);
    const missedAt = this.engine.instructions;
    this.request({ ...origin, missing, missedAt }, region.pagesByDelta, done, () => region.drop());
  }
}

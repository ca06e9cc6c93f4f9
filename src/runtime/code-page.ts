/** What is known of a guest-physical page with predecoded or translated code. */

/** A page as the code cache keeps it. */
export interface CodePage {
  readonly pfn: number;
  /** Address of the code map. */
  readonly map: number;
  /** [first, end) of the records of each block. */
  blocks: number[];
  /** Pages whose last instruction continues in this one. */
  dependents: Set<number>;
  /** Blocks that are entered as regions, by offset. */
  readonly regions: Map<number, RegionPatch>;
  /** How often its code was dropped. */
  drops: number;
  /** Drops that count: code that changes often is not worth translating often. See `restless-pages.ts`. */
  unrest: number;
  /** Called when the page's code is dropped. */
  readonly onDrop: Set<() => void>;
}

/** A block that is entered as a region instead. */
export interface RegionPatch {
  /** The block's own record and the handler it had; 0 if it has none. Links in the page point at it. */
  readonly record: number;
  readonly handler: number;
  /** The region record that the code map names. */
  readonly entry: number;
  /** The region. */
  readonly owner: number;
}

/** A page as those see it that translate its code. */
export type CodePageView = Pick<CodePage, 'pfn' | 'map' | 'onDrop' | 'unrest'>;

/** A page's decoded blocks, those that are entered as regions left out. */
export interface PageDescription {
  readonly blocks: readonly {
    readonly offset: number;
    readonly instructions: number;
    /** Its first record. */
    readonly record: number;
    /** Instructions left until it is looked at; far above `heat` if that is never, as it stands for a region's entry. */
    readonly countdown: number;
  }[];
  /** Instructions of a block from one look at it to the next. */
  readonly heat: number;
  readonly drops: number;
}

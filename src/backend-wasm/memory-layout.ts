/**
 * The memory of a machine: control memory from address 0, guest RAM behind it. All addresses are constants, so that
 * generated code can be built once, before any machine exists; tables are as large as the largest guest needs, and
 * what is never touched costs no memory.
 */
import { CPU_STATE_BYTES } from '../frontend-x86/cpu-state.js';
import { DATA_ENTRY_BYTES, MOST_DATA_BYTES } from './data-tlb.js';

// The engine's own slots, behind the architectural state.
const RUNTIME = CPU_STATE_BYTES;
/** Address of the current TLB (that of the current address space and privilege). */
export const TLB_BASE = RUNTIME;
/** Address of the current TLB context: the user TLB, then the supervisor TLB. */
export const TLB_CONTEXT = RUNTIME + 4;
/** Instructions left in this run that no executed block has claimed yet. */
export const FUEL = RUNTIME + 8;
/** eip of the first byte of the page that predecoded code runs in. */
export const PAGE_BASE = RUNTIME + 12;
/** Guest-physical address of the current top level page table, ~0 in linear mode. */
export const PAGE_ROOT = RUNTIME + 16;
/** Which page tables there are: PAGING. */
export const PAGING_MODE = RUNTIME + 20;
export const PAGING = { linear: 0, twoLevels: 1, pae: 2 } as const;
/** Guest-physical pages the guest may map. */
export const PFN_LIMIT = RUNTIME + 24;
/** 1 while records are decoded for flat CS DS ES SS; the jump after a segment load compares. */
export const FLAT_MODE = RUNTIME + 28;
/** TLB misses (data), for statistics. */
export const TLB_MISSES = RUNTIME + 32;
/** Stores that went to a page with predecoded code. */
export const CODE_PAGE_STORES = RUNTIME + 36;
/** Code lookups that missed the inline path. */
export const CODE_LOOKUPS = RUNTIME + 40;

/** Set when predecoded or translated code is dropped; a region looks at it after its stores. */
export const CODE_CHANGED = RUNTIME + 44;
/** Regions entered, for statistics. */
export const REGION_ENTRIES = RUNTIME + 48;

/** Transitions from region to region. One of TRANSITION_SAMPLE (a power of 2) is told to the import `transition`. */
export const TRANSITIONS = RUNTIME + 52;
export const TRANSITION_SAMPLE = 2048;
/** One of so many TLB misses of regions (a power of 2) is told to the import `missed`. */
export const MISS_SAMPLE = 1024;

/** Set while a run may end where the rest of its budget cannot pay a region: see `Engine.roughBudgets`. */
export const ROUGH_BUDGETS = RUNTIME + 56;

/** Set for `resolve`: the block at EIP has to run as instructions, even if a region starts there. */
export const PLAIN_WANTED = RUNTIME + 60;

/** Ways out of regions, counted: dwords in this order from REGION_EXITS on. */
export const REGION_EXIT_CAUSES = ['direct jump', 'other page', 'no entry', 'fuel', 'TLB miss'] as const;
export type RegionExitCause = (typeof REGION_EXIT_CAUSES)[number];
export const REGION_EXITS = RUNTIME + 64;
/** Address of the counter of ways out for a cause. */
export function exitCounter(cause: RegionExitCause): number {
  return REGION_EXITS + 4 * REGION_EXIT_CAUSES.indexOf(cause);
}
/** Linear address of the first page of the region that runs. */
export const REGION_BASE = RUNTIME + 84;
/** Instructions that regions have executed, for statistics: 64 bits, in one line of the cache with what else regions count. */
export const REGION_INSTRUCTIONS = RUNTIME + 88;
/** Direct traps taken: system calls, page faults; and FUEL at the last of these faults. */
export const DIRECT_INTS = RUNTIME + 96;
export const DIRECT_FAULTS = RUNTIME + 100;
export const DIRECT_FAULT_FUEL = RUNTIME + 104;

/** First address of the part that all address spaces share. */
export const KERNEL_START = RUNTIME + 108;

/** A dword per TLB context: the page table root whose TLBs it holds, or ~0. */
export const TLB_OWNERS = RUNTIME + 112;

/** The virtual GDT: 32 descriptors; the Host keeps it. */
export const GDT = 0x1000;

/** The data TLB has room for that of the largest guest. */
export const TLB_DATA_BYTES = MOST_DATA_BYTES;
/**
 * Behind it the execution TLB: direct-mapped entries of 8 bytes {tag, address of the page's code map}; a tag is a page address,
 * or ~0. So many that addresses 16 MiB apart do not meet: kernels lie there, and what they allocate first below.
 */
export const TLB_EXECUTION_ENTRIES = 1 << 13;
export const TLB_EXECUTION_ENTRY_BYTES = 8;
export const TLB_EXECUTION_BYTES = TLB_EXECUTION_ENTRIES * TLB_EXECUTION_ENTRY_BYTES;
/** The tag of no page. */
export const NO_TAG = -1;
/**
 * Behind that, what tells where entries need not be looked for, MARKED if there may be some. A byte per 4 MiB of the address
 * space.
 */
export const TLB_RANGES = TLB_DATA_BYTES + TLB_EXECUTION_BYTES;
export const TLB_RANGE_BITS = 22;
const TLB_RANGE_COUNT = 1 << (32 - TLB_RANGE_BITS);
/** A byte per group of neighbours, one bit for entries below KERNEL_START, one for others. First the execution TLB's groups. */
export const MARKED = { user: 1, kernel: 2, any: 3 } as const;
/** Times a mark: that of four groups at once. */
export const MARKED_IN_FOUR = 0x01010101;
export const TLB_EXECUTION_GROUPS = TLB_RANGES + TLB_RANGE_COUNT;
export const TLB_EXECUTION_GROUP_BITS = 5;
export const TLB_EXECUTION_GROUP_BYTES = TLB_EXECUTION_ENTRY_BYTES << TLB_EXECUTION_GROUP_BITS;
export const TLB_EXECUTION_GROUP_COUNT = TLB_EXECUTION_ENTRIES >> TLB_EXECUTION_GROUP_BITS;
/** Then the data TLB's. */
export const TLB_GROUPS = TLB_EXECUTION_GROUPS + TLB_EXECUTION_GROUP_COUNT;
export const TLB_GROUP_BITS = 7;
export const TLB_GROUP_BYTES = DATA_ENTRY_BYTES << TLB_GROUP_BITS;
export const TLB_MOST_GROUPS = TLB_DATA_BYTES / TLB_GROUP_BYTES;
export const TLB_BYTES = TLB_GROUPS + TLB_MOST_GROUPS;
/** A context: user TLB, supervisor TLB. */
export const TLB_CONTEXT_BYTES = 2 * TLB_BYTES;
export const TLB_CONTEXTS = 9;
/** Behind TLB_OWNERS likewise, when it was switched to for the last time, as a number of such switches; and that number. */
export const TLB_LAST_USE = TLB_OWNERS + 4 * TLB_CONTEXTS;
export const TLB_SWITCHES = TLB_LAST_USE + 4 * TLB_CONTEXTS;

/** Drops of the user part for which hypercalls may still be performed inside this run; the owner counts those that it makes. */
export const DROPS_LEFT = TLB_SWITCHES + 4;
/**
 * So many in a run, for whose end the event loop waits: the largest TLB takes two microseconds if nothing is in it, and half a
 * millisecond if it is full, as the guest has to make it first.
 */
export const MOST_DROPS = 256;

/** Behind the last slot. */
export const SLOTS_END = DROPS_LEFT + 4;

/** A byte per index of the table of regions: set when the region is entered. */
export const REGION_USED = 0x90000;

/**
 * Entries of translated regions: {table index, entry in the region, address of the region's data (`entry-map.ts`),
 * bytes from the region's first page to the entry's page | instructions that have to be affordable}.
 */
export const REGION_ENTRY_TABLE = 0xa0000;
export const REGION_ENTRY_BYTES = 16;
export const MAX_REGION_ENTRIES = 0x6000;
export const REGION_NEED_MASK = 0xfff;

/** Most guest-physical pages: 2 GiB of RAM and 256 device pages. */
export const MAX_PAGES = 0x80000 + 256;
/** A byte per guest-physical page: see PAGE_*. */
export const PAGE_FLAGS = 0x100000;
/** The page holds bytes that were predecoded or translated: no TLB may have an entry for stores to it. */
export const PAGE_HAS_CODE = 1;
/** TLBs may have entries for stores to the page, from the linear page PAGE_STORED_FROM; and from other ones too. */
export const PAGE_HAS_STORE_ENTRY = 2;
export const PAGE_HAS_MORE_STORE_ENTRIES = 4;
/** A bit per 64-byte line of each page: it holds predecoded or translated bytes. */
export const PAGE_LINES = 0x200000;

/** A word per guest-physical page: the number of its code map + 1, or 0 if it has none. */
export const PAGE_CODE_MAPS = 0x680000;

/** A dword per guest-physical page: the linear page, see PAGE_HAS_STORE_ENTRY. */
export const PAGE_STORED_FROM = 0x800000;

/** Code maps: for each page with predecoded code a dword per byte, the address of the block's first record or 0. */
export const CODE_MAPS = 0xc00000;
export const CODE_MAP_BYTES = 4096 * 4;
export const CODE_MAP_COUNT = 4096;
/** Predecoded records. */
export const RECORDS = CODE_MAPS + CODE_MAP_COUNT * CODE_MAP_BYTES;
/**
 * Entry maps of regions: hash tables of 2^k rows {place, entry, code map of its page, -}; see `entryMapOf` in
 * entry-map.ts. A row that is not used has place EMPTY_PLACE.
 */
export const ENTRY_MAPS = 0x8400000;
export const ENTRY_MAPS_END = 0x8800000;
export const ENTRY_MAP_ROW_BYTES = 16;
/** What a row without an entry has for its place. */
export const EMPTY_PLACE = 0x7fffffff;
/** A row as the translator gives it. */
export type EntryRow = readonly [place: number, entry: number] | undefined;
/** Bytes of the data of a region: its entry map of so many rows, and behind it a dword per page. */
export function regionDataBytes(rows: number, pages: number): number {
  return rows * ENTRY_MAP_ROW_BYTES + ((4 * pages + ENTRY_MAP_ROW_BYTES - 1) & -ENTRY_MAP_ROW_BYTES);
}
/** A data TLB without entries, and behind it the TLBs of all contexts. */
export const EMPTY_TLB = ENTRY_MAPS_END;
export const TLB_POOL = EMPTY_TLB + TLB_DATA_BYTES;
/** Guest RAM: address = RAM + guest-physical address. Behind the TLBs, at a multiple of 64 KiB. */
export const RAM = (TLB_POOL + TLB_CONTEXTS * TLB_CONTEXT_BYTES + 0xffff) & -0x10000;
export const RECORDS_END = ENTRY_MAPS - 0x10000;
/** Blocks that are run once: the rest of a budget. */
export const SCRATCH_RECORDS = RECORDS_END;
/** A resume record with which a run starts. */
export const START_RECORD = ENTRY_MAPS - 0x100;

/**
 * A u16 per handler: the number, among those outside the interpreter's main function, of the one that runs its first
 * instruction whatever the TLB has.
 */
export const SLOW_HANDLERS = 0x2000;

/** Names of the IR functions that take over when the inline TLB check misses; the runtime defines them. */
export const SLOW_PATH = {
  load: { 8: 'slow_load8', 16: 'slow_load16', 32: 'slow_load32', 64: 'slow_load64' },
  store: { 8: 'slow_store8', 16: 'slow_store16', 32: 'slow_store32', 64: 'slow_store64' },
  probe: 'slow_probe',
  span: 'slow_span',
} as const;

/** IR function () → i32 that jumps of kind 3 call: privilege or segments may have changed. Nonzero: go to `resolve`. */
export const MODE_CHANGED = 'mode_changed';

/** IR function (linear address) → FILL_*: enters the page, if its code map is known, into the execution TLB. */
export const EXECUTION_FILL = 'execution_fill';
/** What it returns: the guest may not execute the page, and EXIT_* are set; it did; it did not, and nothing has happened. */
export const FILL_FAULTED = 0;
export const FILL_DONE = 1;
export const FILL_REFUSED = 2;

/** IR function () that makes the TLB at EMPTY_TLB, before any other is used. */
export const MAKE_EMPTY_TLB = 'make_empty_tlb';

/** IR function (TLB, MARKED, first, last): drops entries for pages from first to last, in groups that have one of the marks. */
export const DROP_TLB_RANGE = 'drop_tlb_range';
/** IR function (TLB): drops the entries for the user part, and tells that there are none in its ranges. */
export const DROP_TLB_USER_RANGES = 'drop_tlb_user_ranges';

/** IR function () → 1 if it entered the guest's handler for what EXIT_* tell of (EIP and FUEL are right), else 0. */
export const DIRECT_TRAP = 'direct_trap';

/** IR function () → 1 if it performed the hypercall that EXIT_* tell of (EIP and FUEL are right), else 0. */
export const DIRECT_HYPERCALL = 'direct_hypercall';

/** The interpreter's function table, exported: the installed regions. */
export const REGION_TABLE = 'regions';
/** Most regions at a time. */
export const MAX_REGIONS = 4096;

/** JavaScript functions that generated code imports (module `env`). */
export const IMPORTS = {
  /**
   * () → address of the record to go on with at EIP, which FUEL can pay, or 0 to leave with EXIT_REASON. Sets
   * PAGE_BASE. Serves missing code, straddling instructions and exhausted budgets.
   */
  resolve: { params: [], result: 'i32' },
  /** (guest-physical address, bytes): code may have been overwritten. */
  code_written: { params: ['i32', 'i32'], result: 'void' },
  /** (fuel left, the current instruction's included) → time-stamp counter. */
  clock: { params: ['i32'], result: 'i64' },
  /** (record, budget left) → its block has become hot. The record may be a region's when this returns. */
  hot: { params: ['i32', 'i32'], result: 'void' },
  /** (entry left from, entry gone to): a sample of the transitions from region to region. */
  transition: { params: ['i32', 'i32'], result: 'void' },
  /** (entry): a sample of the times that a region, entered there, missed the TLB at EIP. */
  missed: { params: ['i32'], result: 'void' },
  /** Segments are no longer flat: records have to be decoded anew. */
  segments_not_flat: { params: [], result: 'void' },
  /** () → nonzero if what EXIT_* tell of was served, and the run goes on at EIP with FUEL. Else it ends with EXIT_REASON. */
  serve: { params: [], result: 'i32' },
} as const;

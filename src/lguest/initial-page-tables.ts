/**
 * Page tables that guests older than 2.6.33 expect to find when they start: RAM one to one at 0 and, for some, at
 * PAGE_OFFSET. They stand at the top of RAM below the initrd.
 */
import type { GuestMemory } from '../runtime/guest-memory.js';
import { PAGE } from '../frontend-x86/limits.js';

const PAGE_OFFSET = 0xc0000000;
/** Present, writable, user; in page directory pointer entries present alone. */
const ENTRY_FLAGS = 7;
const PDPT_FLAGS = 1;
/** What one middle level page, or the directory entries from PAGE_OFFSET up, can map. */
const MOST_RAM = 1 << 30;

export interface InitialPageTables {
  /** Guest-physical address of the top level table. */
  readonly root: number;
  readonly pae: boolean;
}

/**
 * Writes the tables below guest-physical `top` (page-aligned; RAM less the initrd).
 * @throws RangeError if RAM is too large or has no room for them.
 */
export function buildInitialPageTables(
  memory: GuestMemory,
  top: number,
  kernelToo: boolean,
  pae: boolean,
): InitialPageTables {
  const pages = memory.ramBytes / PAGE;
  const entryBytes = pae ? 8 : 4;
  const perTable = PAGE / entryBytes;
  const tables = Math.ceil(pages / perTable);
  const root = top - PAGE;
  const linear = root - tables * PAGE;
  const middle = linear - PAGE;
  if (memory.ramBytes > MOST_RAM)
    throw new RangeError('guests this old start with at most 1024 MiB of memory');
  if (middle < 0) throw new RangeError('guest memory has no room for its first page tables');
  const put = (table: number, index: number, value: number): void => {
    memory.write32(table + index * entryBytes, value);
    if (pae) memory.write32(table + index * entryBytes + 4, 0);
  };
  memory.write(root, new Uint8Array(PAGE));
  memory.write(linear, new Uint8Array(tables * PAGE));
  for (let i = 0; i < pages; i++) put(linear, i, i * PAGE + ENTRY_FLAGS);
  if (pae) {
    memory.write(middle, new Uint8Array(PAGE));
    for (let i = 0; i < tables; i++) put(middle, i, linear + i * PAGE + ENTRY_FLAGS);
    put(root, 0, middle + PDPT_FLAGS);
    if (kernelToo) put(root, PAGE_OFFSET / 2 ** 30, middle + PDPT_FLAGS);
  } else {
    for (let i = 0; i < tables; i++) {
      put(root, i, linear + i * PAGE + ENTRY_FLAGS);
      if (kernelToo) put(root, PAGE_OFFSET / 2 ** 22 + i, linear + i * PAGE + ENTRY_FLAGS);
    }
  }
  return { root, pae };
}

/** What the Host makes of every guest kernel, where the engine does the same by itself (`direct-hypercalls.ts`). */

/** Privilege level of a guest kernel, which believes in level 0. */
export const GUEST_PL = 1;
/** Entries of the GDT that are a thread's own. */
export const TLS_FIRST_ENTRY = 6;
export const TLS_ENTRIES = 3;
/** In the second dword of a descriptor (Intel SDM vol. 3, 3.4.5). */
export const DESC_DPL = 0x6000;
export const DESC_ACCESSED = 0x100;
/**
 * What a descriptor gets whose level is 0. The accessed bit is set in all, so that nobody has to set it in a table that the
 * guest cannot see.
 */
export const DESC_GUEST_DPL = GUEST_PL << 13;
/** Most pages that a kernel stack may have. */
export const MOST_STACK_PAGES = 2;
/** Entries of a page directory without PAE. */
export const DIRECTORY_ENTRIES = 1024;

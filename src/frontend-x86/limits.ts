/** Sizes of the architecture, and of what is made from its code, that everybody agrees on. */

/** Bytes of a page. */
export const PAGE = 4096;
/** Most bytes of an instruction (Intel SDM vol. 2, 2.3.11). */
export const MAX_INSTRUCTION = 15;
/** Most instructions in a block: a record keeps the count in a byte. */
export const MAX_BLOCK = 64;

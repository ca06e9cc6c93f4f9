/** Names that several printers share. */

/** Conditions by encoding (Intel SDM vol. 2, B.1.4.7). */
export const CONDITIONS = 'o no b ae e ne be a s ns p np l ge le g'.split(' ');
/** Segment registers by encoding. */
export const SEGMENT_NAMES = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];

/**
 * Flat segments, for which most instructions are decoded: base 0, limit 4 GiB, and these attributes. The bits are those
 * of `SEGMENT_ATTR`, descriptor bits 8..: type bit 1 writable, bit 2 expand-down, bit 3 code; bit 14 D/B.
 */
import { CS, DS, ES, SS } from './cpu-state.js';

/** What a flat data segment's attributes must have (writable, 32 bits) and must not have (expand-down, code). */
export const FLAT_DATA = { must: 0x4002, mustNot: 0xc } as const;
/** Likewise a flat code segment's: code, 32 bits. */
export const FLAT_CODE = { must: 0x4008 } as const;

/** The segment registers that have to be flat. */
export const FLAT_CODE_SEGMENTS: readonly number[] = [CS];
export const FLAT_DATA_SEGMENTS: readonly number[] = [ES, SS, DS];

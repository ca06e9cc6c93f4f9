/**
 * The window of memory in which test cases run, natively and on the engines, and the segments they may use.
 * All of it lies below 64 KiB, so that 16-bit addresses and 16-bit jumps reach the same bytes as 32-bit ones.
 */

export const PAGE = 4096;
/** Two pages for code, writable; unused bytes are int3. */
export const CODE = 0x4000;
export const CODE_BYTES = 2 * PAGE;
/** Two pages for data, then a read-only one. Nothing is mapped before, between and behind the runs of pages. */
export const DATA = 0x8000;
export const DATA_BYTES = 2 * PAGE;
export const READ_ONLY = 0xa000;
export const READ_ONLY_BYTES = PAGE;

/** Runs of pages: address, bytes. */
export const WINDOW: readonly (readonly [number, number])[] = [
  [CODE, CODE_BYTES],
  [DATA, DATA_BYTES],
  [READ_ONLY, READ_ONLY_BYTES],
];
export const WINDOW_BYTES = CODE_BYTES + DATA_BYTES + READ_ONLY_BYTES;

/** Place of a window address in an image of the window (its runs one after the other); -1 if it is not mapped. */
export function imageOffset(address: number): number {
  let at = 0;
  for (const [start, bytes] of WINDOW) {
    if (address >= start && address < start + bytes) return at + (address - start);
    at += bytes;
  }
  return -1;
}

const INT3 = 0xcc;

/** What the window holds before a case puts its own bytes there. */
export function background(): Uint8Array {
  const image = new Uint8Array(WINDOW_BYTES).fill(INT3);
  let x = 0x2545f491;
  for (let at = imageOffset(DATA); at < image.length; at++) {
    // xorshift32 (Marsaglia 2003)
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    image[at] = x >>> 11;
  }
  return image;
}

/** A segment descriptor, as both sides get it. Limit in bytes - 1 (page granular if over 1 MiB). */
export interface Segment {
  readonly selector: number;
  readonly base: number;
  readonly limit: number;
  /** Descriptor bits 40..47: P, DPL, S, type. */
  readonly access: number;
  /** D/B. */
  readonly wide: boolean;
  /** L (64-bit code): only looked at by lar and lsl. */
  readonly long?: boolean;
}

const FLAT = 0xffffffff;
const CODE_ACCESS = 0xfb;
const DATA_ACCESS = 0xf3;
const EXPAND_DOWN_ACCESS = 0xf7;
const READ_ONLY_ACCESS = 0xf1;

// Of the Linux kernel for x86-64: __USER32_CS, __USER_DS, __USER_CS (arch/x86 asm/segment.h).
export const USER_CODE = 0x23;
export const USER_DATA = 0x2b;
/** Three thread-local descriptors of the GDT. */
export const BASED = 0x63;
export const SHORT = 0x6b;
export const DOWN = 0x73;
/** Of the LDT. */
export const STACK_16 = 0x07;
export const BASED_CODE = 0x0f;
export const READ_ONLY_DATA = 0x17;

export const SEGMENTS: readonly Segment[] = [
  { selector: USER_CODE, base: 0, limit: FLAT, access: CODE_ACCESS, wide: true },
  { selector: USER_DATA, base: 0, limit: FLAT, access: DATA_ACCESS, wide: true },
  { selector: 0x33, base: 0, limit: FLAT, access: CODE_ACCESS, wide: false, long: true },
  { selector: BASED, base: 0x1000, limit: FLAT, access: DATA_ACCESS, wide: true },
  { selector: SHORT, base: 0x8000, limit: 0xfff, access: DATA_ACCESS, wide: true },
  { selector: DOWN, base: 0x0800, limit: 0x7fff, access: EXPAND_DOWN_ACCESS, wide: true },
  { selector: STACK_16, base: 0x1000, limit: 0xffff, access: DATA_ACCESS, wide: false },
  { selector: BASED_CODE, base: 0x1000, limit: FLAT, access: CODE_ACCESS, wide: true },
  { selector: READ_ONLY_DATA, base: 0, limit: FLAT, access: READ_ONLY_ACCESS, wide: true },
];

/** Selectors of es cs ss ds fs gs that cases start with. The first one is flat. */
export const SEGMENT_SETS: readonly (readonly number[])[] = [
  [USER_DATA, USER_CODE, USER_DATA, USER_DATA, BASED, SHORT],
  [BASED, USER_CODE, USER_DATA, SHORT, DOWN, READ_ONLY_DATA],
  [SHORT, USER_CODE, BASED, DOWN, USER_DATA, BASED],
  [USER_DATA, BASED_CODE, STACK_16, BASED, SHORT, READ_ONLY_DATA],
];

/** `struct user_desc` of Linux (asm/ldt.h). */
function userDescriptor(s: Segment): string {
  const pages = s.limit > 0xfffff;
  const type = (s.access >> 1) & 7;
  const flags = (s.wide ? 1 : 0) | ((type >> 1) << 1) | (type & 1 ? 0 : 8) | (pages ? 0x10 : 0);
  return `{${s.selector >> 3}, ${s.base}u, ${pages ? s.limit >>> 12 : s.limit}u, ${flags}}`;
}

/** The header with which `native/capture.c` is compiled. */
export function layoutHeader(): string {
  const list = (segments: readonly Segment[]): string => `{${segments.map(userDescriptor).join(', ')}}`;
  return [
    `#define WINDOW_PAGES {${WINDOW.map(([start, bytes]) => `{${start}, ${bytes}}`).join(', ')}}`,
    `#define WINDOW_BYTES ${WINDOW_BYTES}`,
    `#define READ_ONLY_PAGE ${READ_ONLY}u`,
    `#define TLS_SEGMENTS ${list(SEGMENTS.filter((s) => !(s.selector & 4) && s.selector > 0x33))}`,
    `#define LDT_SEGMENTS ${list(SEGMENTS.filter((s) => s.selector & 4))}`,
    '',
  ].join('\n');
}

/** The descriptor's two dwords (Intel SDM vol. 3, figure 3-8). */
export function descriptor(s: Segment): readonly [number, number] {
  const pages = s.limit > 0xfffff;
  const limit = pages ? s.limit >>> 12 : s.limit;
  const low = ((s.base << 16) | (limit & 0xffff)) >>> 0;
  const flags = (pages ? 8 : 0) | (s.wide ? 4 : 0) | (s.long ? 2 : 0);
  const high =
    (s.base & 0xff000000) | (flags << 20) | (limit & 0xf0000) | (s.access << 8) | ((s.base >>> 16) & 0xff);
  return [low, high >>> 0];
}

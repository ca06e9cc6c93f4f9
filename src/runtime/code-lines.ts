/**
 * Which bytes of guest memory are code: a bit per 64-byte line of each page, set while records were decoded from the
 * line or a region was made from it. Generated code reads the bits when it stores to a page that has code.
 */
import * as L from '../backend-wasm/memory-layout.js';
import type { MachineMemory } from './machine-memory.js';

const LINE_SHIFT = 6;
const PAGE_MASK = 4095;
const LINES = 64;

/** Lines of a page: a bit each, those of the lower half of the page first. */
export type LineBits = readonly [low: number, high: number];

/** Numbers of the lines that are set. */
function numbersOf([low, high]: LineBits): number[] {
  const numbers: number[] = [];
  for (let line = 0; line < LINES; line++)
    if (((line < 32 ? low : high) >>> (line & 31)) & 1) numbers.push(line);
  return numbers;
}

/** Whether two copies of a page are the same in some of its lines. */
export function sameLines(a: Uint8Array, b: Uint8Array, lines: LineBits): boolean {
  for (let line = 0; line < LINES; line++) {
    if (!((lines[line >> 5]! >>> (line & 31)) & 1)) continue;
    const end = (line + 1) << LINE_SHIFT;
    for (let at = line << LINE_SHIFT; at < end; at++) if (a[at] !== b[at]) return false;
  }
  return true;
}

/** The bytes of some lines of a page, one line after the other. */
export function bytesOfLines(page: Uint8Array, bits: LineBits): Uint8Array {
  const lines = numbersOf(bits);
  const bytes = new Uint8Array(lines.length << LINE_SHIFT);
  lines.forEach((line, i) =>
    bytes.set(page.subarray(line << LINE_SHIFT, (line + 1) << LINE_SHIFT), i << LINE_SHIFT),
  );
  return bytes;
}

/** Whether a page has these bytes, one line after the other, in some of its lines. */
export function hasLines(page: Uint8Array, bits: LineBits, bytes: Uint8Array): boolean {
  return numbersOf(bits).every((line, i) => {
    for (let at = 0; at < 1 << LINE_SHIFT; at++)
      if (page[(line << LINE_SHIFT) + at] !== bytes[(i << LINE_SHIFT) + at]) return false;
    return true;
  });
}

/** The line of a page that an offset is in. */
export function lineAt(page: Uint8Array, offset: number): Uint8Array {
  const from = (offset >> LINE_SHIFT) << LINE_SHIFT;
  return page.subarray(from, from + (1 << LINE_SHIFT));
}

/** Of the bytes of some lines those of the line that an offset in the page is in. */
export function lineAmong(bytes: Uint8Array, bits: LineBits, offset: number): Uint8Array {
  const line = offset >> LINE_SHIFT;
  let before = 0;
  for (let other = 0; other < line; other++) before += (bits[other >> 5]! >>> (other & 31)) & 1;
  return bytes.subarray(before << LINE_SHIFT, (before + 1) << LINE_SHIFT);
}

interface PageLines {
  /** What records were decoded from. */
  decoded: [number, number];
  /** What regions were made from, by their numbers. */
  readonly regions: Map<number, LineBits>;
}

export class CodeLines {
  private readonly pages = new Map<number, PageLines>();

  constructor(private readonly memory: MachineMemory) {}

  private page(pfn: number): PageLines {
    let page = this.pages.get(pfn);
    if (page === undefined) this.pages.set(pfn, (page = { decoded: [0, 0], regions: new Map() }));
    return page;
  }

  /** Records were decoded from the page's bytes [from, to). */
  addDecoded(pfn: number, from: number, to: number): void {
    const { decoded } = this.page(pfn);
    for (let line = from >> LINE_SHIFT; line <= (to - 1) >> LINE_SHIFT; line++)
      decoded[line >> 5]! |= 1 << (line & 31);
    this.add(pfn, decoded);
  }

  /** Region number `region` was made from lines of the page, and perhaps of others of it before: a page may be mapped twice. */
  addRegion(pfn: number, region: number, [low, high]: LineBits): void {
    const { regions } = this.page(pfn);
    const [lowBefore, highBefore] = regions.get(region) ?? [0, 0];
    const lines = [low | lowBefore, high | highBefore] as const;
    regions.set(region, lines);
    this.add(pfn, lines);
  }

  removeRegion(pfn: number, region: number): void {
    const page = this.pages.get(pfn);
    if (!page?.regions.delete(region)) return;
    this.set(pfn, page.decoded);
    for (const lines of page.regions.values()) this.add(pfn, lines);
  }

  /** The page has no code. */
  clear(pfn: number): void {
    this.pages.delete(pfn);
    this.set(pfn, [0, 0]);
  }

  /** Whether any of the bytes, which lie in one page, is code. */
  hits(address: number, length: number): boolean {
    const { i32 } = this.memory;
    const lines = this.at(address >>> 12);
    const from = (address & PAGE_MASK) >> LINE_SHIFT;
    const to = Math.min((address & PAGE_MASK) + length - 1, PAGE_MASK) >> LINE_SHIFT;
    for (let line = from; line <= to; line++)
      if ((i32[lines + (line >> 5)]! >>> (line & 31)) & 1) return true;
    return false;
  }

  private at(pfn: number): number {
    return (L.PAGE_LINES + 8 * pfn) >> 2;
  }
  private add(pfn: number, [low, high]: LineBits): void {
    const { i32 } = this.memory;
    i32[this.at(pfn)]! |= low;
    i32[this.at(pfn) + 1]! |= high;
  }
  private set(pfn: number, [low, high]: LineBits): void {
    this.memory.i32.set([low, high], this.at(pfn));
  }
}

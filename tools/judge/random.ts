/** A small seeded generator (mulberry32), and values that find mistakes. */
export class Random {
  constructor(private state: number) {}
  /** uint32 */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }
  /** 0 .. n - 1 */
  below(n: number): number {
    return Math.floor((this.next() / 2 ** 32) * n);
  }
  /** from .. to, both included */
  between(from: number, to: number): number {
    return from + this.below(to - from + 1);
  }
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
  /** A corner value or any, uint32. */
  value(): number {
    return this.chance(50) ? this.next() : this.pick(CORNERS);
  }
  bytes(n: number): Uint8Array {
    return Uint8Array.from({ length: n }, () => this.next() >>> 24);
  }
}

export const CORNERS: readonly number[] = [
  0, 1, 2, 0xf, 0x10, 0x7f, 0x80, 0x81, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000,
  0x80000001, 0xffff8000, 0xffffff80, 0xfffffffe, 0xffffffff, 0x55555555, 0xaaaaaaaa, 0x99999999,
];

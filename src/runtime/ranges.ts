/** Hands out ranges of numbers and takes them back. */

export class Ranges {
  /** Free ranges [from, to), ascending; none touches the next. */
  private readonly free: [from: number, to: number][];

  /** All numbers from `from` to `to`, `to` excluded, are free. */
  constructor(from: number, to: number) {
    this.free = [[from, to]];
  }

  /** Takes the lowest range of that length (> 0) and returns its first number; undefined if there is none. */
  take(length: number): number | undefined {
    const at = this.free.findIndex(([from, to]) => to - from >= length);
    if (at < 0) return undefined;
    const range = this.free[at]!;
    const [first, to] = range;
    range[0] = first + length;
    if (range[0] === to) this.free.splice(at, 1);
    return first;
  }

  /** Gives back a range that was taken, or ranges that were and lie side by side. */
  give(first: number, length: number): void {
    const end = first + length;
    let at = this.free.findIndex(([from]) => from >= end);
    if (at < 0) at = this.free.length;
    const before = this.free[at - 1];
    const behind = this.free[at];
    if (before && before[1] > first) throw new RangeError(`${first} is free already`);
    const touchesBefore = before?.[1] === first;
    const touchesBehind = behind?.[0] === end;
    if (touchesBefore && touchesBehind) {
      before[1] = behind[1];
      this.free.splice(at, 1);
    } else if (touchesBefore) before[1] = end;
    else if (touchesBehind) behind[0] = first;
    else this.free.splice(at, 0, [first, end]);
  }
}

/** What is to happen at a time of the guest's clock: its one-shot timer, and completions of devices. */

interface Scheduled {
  time: number;
  action: () => void;
}

const nothing = (): void => undefined;

export class Deadlines {
  /** When the guest's timer fires; Infinity = off. */
  timer = Infinity;
  /** Sorted by time, latest first, later additions of equal time nearer to the front. Entries are reused. */
  private readonly queue: Scheduled[] = [];
  private readonly spare: Scheduled[] = [];

  /** The next deadline in nanoseconds of guest time, or Infinity. */
  get next(): number {
    const first = this.queue.length === 0 ? Infinity : this.queue[this.queue.length - 1]!.time;
    return Math.min(first, this.timer);
  }

  /** Calls `action` at `time` (nanoseconds of guest time), after what was added before for the same time. */
  add(time: number, action: () => void): void {
    const entry = this.spare.pop() ?? { time, action };
    entry.time = time;
    entry.action = action;
    let at = this.queue.length;
    while (at > 0 && this.queue[at - 1]!.time <= time) at--;
    this.queue.splice(at, 0, entry);
  }

  /** Drops every addition of this action. */
  cancel(action: () => void): void {
    for (let i = this.queue.length - 1; i >= 0; i--) {
      if (this.queue[i]!.action === action) this.queue.splice(i, 1);
    }
  }

  /** Performs what is due at `now`. What the actions add waits for the next call. Returns true if the timer fired. */
  fire(now: number): boolean {
    let due = 0;
    while (due < this.queue.length && this.queue[this.queue.length - 1 - due]!.time <= now) due++;
    for (; due > 0 && this.queue.length > 0; due--) {
      const entry = this.queue.pop()!;
      const action = entry.action;
      entry.action = nothing;
      this.spare.push(entry);
      action();
    }
    if (this.timer > now) return false;
    this.timer = Infinity;
    return true;
  }
}

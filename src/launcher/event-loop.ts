/** How the guest shares the thread with the rest of the program. */

/** What a slice may take at the most, however slow the guest has become; looked at between runs of the engine. */
export const LONGEST_SLICE_MILLISECONDS = 2;
/**
 * The guest runs this long before input, signals and timers get their turn: a typed key must echo within 5 ms, also where
 * the host gives the guest a third of a processor for a while. A turn of the event loop costs 6 µs.
 */
const SLICE_MILLISECONDS = 1;
const FIRST_SLICE = 200_000;
/** A slice's instructions where every run of a machine has to be cut at the same places, however fast the host is. */
export const REPEATABLE_SLICE = FIRST_SLICE;
const SHORTEST_SLICE = 10_000;
const LONGEST_SLICE = 1 << 24;
/** A longer sleep would overflow setTimeout; it is simply resumed. */
const LONGEST_SLEEP_MILLISECONDS = 0x3fff_ffff;

/** How many instructions make a slice, by measuring. */
export class SliceLength {
  instructions = FIRST_SLICE;

  /** Tells that `count` instructions took `milliseconds`. */
  measure(count: number, milliseconds: number): void {
    if (milliseconds <= 0) return;
    const fitting = (count * SLICE_MILLISECONDS) / milliseconds;
    // Short stretches ended early and say little, unless they took long.
    if (count < this.instructions / 2 && milliseconds < LONGEST_SLICE_MILLISECONDS) return;
    const next = fitting < this.instructions ? fitting : (this.instructions + fitting) / 2;
    this.instructions = Math.round(Math.min(Math.max(next, SHORTEST_SLICE), LONGEST_SLICE));
  }
}

/** Lets input, timers and signals be served. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A sleep that can be ended. */
export class Sleeper {
  private wakeUp: (() => void) | undefined;

  /** Sleeps for `milliseconds` (Infinity: without limit), or until `wake`. */
  sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout | undefined;
      this.wakeUp = () => {
        this.wakeUp = undefined;
        if (timer) clearTimeout(timer);
        resolve();
      };
      // Rounded up: waking a little early would only mean to sleep once more.
      if (milliseconds !== Infinity)
        timer = setTimeout(
          () => this.wake(),
          Math.min(Math.max(Math.ceil(milliseconds), 0), LONGEST_SLEEP_MILLISECONDS),
        );
    });
  }

  /** Ends the sleep in progress, if any. */
  wake(): void {
    this.wakeUp?.();
  }
}

/**
 * Guest time. All times are nanoseconds since power-on, integers below 2^53 (104 days); the time-stamp counter runs at
 * 1 GHz in both modes, so that it counts the same nanoseconds.
 */

import { hostMilliseconds } from '../runtime/host-time.js';

/** Frequency of the time-stamp counter as told to the guest. */
export const TSC_KHZ = 1_000_000;

export interface Clock {
  readonly kind: 'realtime' | 'virtual';
  /** Unix time at power-on, in milliseconds. */
  readonly epochMilliseconds: number;
  /** Nanoseconds since power-on when `instructions` are executed. Never goes back. */
  now(instructions: number): number;
  /** Time-stamp counter. */
  tsc(instructions: number): bigint;
  /**
   * How many instructions from now on may run before the clock must be looked at again because of `deadline`.
   * Virtual: exact, 0 if it is reached. Realtime: an estimate of a slice, at least 1.
   */
  instructionsUntil(deadline: number, instructions: number): number;
  /** The guest goes on after a pause: what time passed says nothing about its speed. */
  resume(instructions: number): void;
  /** The guest sleeps: moves time to `deadline` if it is ahead. False if time cannot be moved, only waited for. */
  skipTo(deadline: number, instructions: number): boolean;
}

/** Wall clock unless told otherwise in virtual mode: 2013-07-01 00:00 UTC, the days of Linux 3.10. */
export const DEFAULT_VIRTUAL_EPOCH_MS = Date.UTC(2013, 6, 1);

/** Time is a function of the instruction count: the same run gives the same times, on every machine and engine. */
export class VirtualClock implements Clock {
  readonly kind = 'virtual';
  /** Nanoseconds passed without instructions, in HALT. */
  private skipped = 0;

  /** `nanosecondsPerInstruction`: > 0; 1 gives a 1000 MIPS machine. */
  constructor(
    readonly epochMilliseconds = DEFAULT_VIRTUAL_EPOCH_MS,
    private readonly nanosecondsPerInstruction = 1,
  ) {
    if (!(nanosecondsPerInstruction > 0))
      throw new RangeError('nanoseconds per instruction must be positive');
  }

  now(instructions: number): number {
    return Math.floor(instructions * this.nanosecondsPerInstruction) + this.skipped;
  }

  tsc(instructions: number): bigint {
    return BigInt(this.now(instructions));
  }

  instructionsUntil(deadline: number, instructions: number): number {
    const count = Math.ceil((deadline - this.skipped) / this.nanosecondsPerInstruction);
    return Math.max(0, count - instructions);
  }

  resume(): void {
    // No speed is measured.
  }

  skipTo(deadline: number, instructions: number): boolean {
    const ahead = deadline - this.now(instructions);
    if (ahead > 0) this.skipped += ahead;
    return true;
  }
}

/**
 * The longest slice between two looks at the clock while there is a deadline, at the speed measured last. A guest that
 * gets ten times slower within a slice keeps its timer waiting for ten of them, once. Each end of a slice costs some 5 µs.
 */
const SLICE_NANOSECONDS = 500_000;
/** Half a millisecond of a guest that rewrites its code all the time; where budgets are rough, ROUGH_BUDGET comes to it. */
const MIN_SLICE = 500;
const MAX_SLICE = 1 << 22;
const FIRST_SLICE = 50_000;

/** Time is the host's. Reading the host's clock costs some 70 ns, so it is never read per block. */
export class RealtimeClock implements Clock {
  readonly kind = 'realtime';
  private readonly origin: number;
  private last = 0;
  /** Measured speed, and where the last measurement stood. */
  private instructionsPerNanosecond = FIRST_SLICE / SLICE_NANOSECONDS;
  private measuredTime = 0;
  private measuredCount = 0;

  /** `milliseconds`: a monotonic clock with fractions; replaced in tests. */
  constructor(
    readonly epochMilliseconds = Date.now(),
    private readonly milliseconds: () => number = hostMilliseconds,
  ) {
    this.origin = milliseconds();
  }

  now(): number {
    const now = Math.floor((this.milliseconds() - this.origin) * 1e6);
    if (now > this.last) this.last = now;
    return this.last;
  }

  /** Strictly increasing, also where the host's clock is coarse (browsers). */
  tsc(): bigint {
    const before = this.last;
    if (this.now() === before) this.last = before + 1;
    return BigInt(this.last);
  }

  instructionsUntil(deadline: number, instructions: number): number {
    const now = this.now();
    this.measure(now, instructions);
    const ahead = Math.min(Math.max(deadline - now, 0), SLICE_NANOSECONDS);
    const slice = Math.floor(ahead * this.instructionsPerNanosecond);
    return Math.min(Math.max(slice, MIN_SLICE), MAX_SLICE);
  }

  /** Updates the measured speed: down at once, since a late interrupt is worse than a needless look; up by and by. */
  private measure(now: number, instructions: number): void {
    const elapsed = now - this.measuredTime;
    const executed = instructions - this.measuredCount;
    if (elapsed < 50_000) return;
    this.measuredTime = now;
    this.measuredCount = instructions;
    const faster = executed / elapsed - this.instructionsPerNanosecond;
    this.instructionsPerNanosecond += faster < 0 ? faster : faster / 4;
  }

  resume(instructions: number): void {
    this.measuredTime = this.now();
    this.measuredCount = instructions;
  }

  skipTo(): boolean {
    return false;
  }
}

/** The host's clock. */

/** Node looks up what `globalThis` has of it anew each time, which takes a tenth of the time to read the clock or more. */
const { performance: hostClock } = globalThis;

/** Milliseconds, with fractions, since some time in the past; never goes back. */
export function hostMilliseconds(): number {
  return hostClock.now();
}

/** When a bundle runs instead of the modules that it was made of (see `run-bundle.cts`). */
import { statSync } from 'node:fs';

/**
 * Whether there is such a bundle and it is to be used: it must not be older than `compiled`, the first module that it was made
 * of, all of which are compiled at once; nor is it used where something is loaded first that may want to change modules.
 */
export function isBundleOf(bundle: string, compiled: string): boolean {
  const isWatched = process.execArgv.some((option) =>
    /^--(import|loader|experimental-loader)\b/.test(option),
  );
  const [made, from] = [bundle, compiled].map((path) => statSync(path, { throwIfNoEntry: false }));
  return !isWatched && made !== undefined && from !== undefined && made.mtimeMs >= from.mtimeMs;
}

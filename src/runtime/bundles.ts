/** When a bundle runs instead of the modules that it was made of (see `run-bundle.cts`). */
import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { givenOptions } from './node-options.js';

/** Something may want to change modules, or to see them one by one. */
const WATCHING = [
  'import',
  'loader',
  'experimental-loader',
  'require',
  '-r',
  'inspect',
  'inspect-brk',
  'inspect-wait',
  'enable-source-maps',
];

function isWatched(): boolean {
  const given = givenOptions();
  return process.env['NODE_V8_COVERAGE'] !== undefined || WATCHING.some((name) => given.has(name));
}

/**
 * Whether there is such a bundle, in the package's `dist`, and it is to be used. Beside its sources it must not be older than
 * `compiled`, the first module that it was made of, all of which are compiled at once.
 */
export function isBundleOf(bundle: string, compiled: string): boolean {
  const [made, from] = [bundle, compiled].map((path) => statSync(path, { throwIfNoEntry: false }));
  if (made === undefined || isWatched()) return false;
  const hasSources = existsSync(join(dirname(bundle), '../tsconfig.json'));
  return !hasSources || from === undefined || made.mtimeMs >= from.mtimeMs;
}

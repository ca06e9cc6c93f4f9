/**
 * Runs bundles: many modules as one script (tools/bundle.ts) that V8 need not compile. With the script lies what it compiled
 * when the package was built. Another V8, or one with other flags, compiles it as ever.
 */
import fs = require('node:fs');
import vm = require('node:vm');

/** Both begin with the digest of the script, in so many hexadecimal digits: V8 takes what belongs to any script as long. */
const DIGEST_DIGITS = 64;
/** What stands before it in the script. */
const COMMENT = '// ';

/** Of a bundle, the file with what V8 has compiled of it. */
function cacheOf(bundle: string): string {
  return `${bundle}.cache`;
}

/** The digest that a bundle's text begins with. */
function digestIn(source: string): string {
  return source.slice(COMMENT.length, COMMENT.length + DIGEST_DIGITS);
}

/** What V8 has compiled of the script, if there is something. */
function compiledOf(filename: string, source: string): Buffer | undefined {
  if (!fs.existsSync(cacheOf(filename))) return undefined;
  const cache = fs.readFileSync(cacheOf(filename));
  const isOf = cache.toString('latin1', 0, DIGEST_DIGITS) === digestIn(source);
  return isOf ? cache.subarray(DIGEST_DIGITS) : undefined;
}

/** Compiles the bundle. */
function scriptOf(filename: string): vm.Script {
  const source = fs.readFileSync(filename, 'latin1');
  return new vm.Script(source, { filename, cachedData: compiledOf(filename, source) });
}

/** Runs the bundle in this thread. */
function runBundle(filename: string): void {
  const run = scriptOf(filename).runInThisContext() as (require: NodeJS.Require, filename: string) => void;
  run(require, filename);
}

export = { COMMENT, cacheOf, digestIn, runBundle, scriptOf };

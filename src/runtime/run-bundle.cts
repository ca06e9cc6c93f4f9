/**
 * Runs bundles: many modules as one script (tools/bundle.ts) that V8 need not compile. With the script lies what it compiled
 * when the package was built. Another V8, or one with other flags, compiles it as ever.
 */
import fs = require('node:fs');
import vm = require('node:vm');

/** Of a bundle, the file with what V8 has compiled of it. */
function cacheOf(bundle: string): string {
  return `${bundle}.cache`;
}

/** Runs the bundle in this thread. */
function runBundle(filename: string): void {
  const script = new vm.Script(fs.readFileSync(filename, 'latin1'), {
    filename,
    cachedData: fs.readFileSync(cacheOf(filename)),
  });
  const run = script.runInThisContext() as (require: NodeJS.Require, filename: string) => void;
  run(require, filename);
}

export = { cacheOf, runBundle };

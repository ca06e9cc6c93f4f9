/**
 * The worker that translates, all of it in one script (tools/build-worker.ts) that V8 need not compile: with the script lies
 * what it compiled when the package was built. Another V8, or one with other flags, compiles it as ever.
 */
import fs = require('node:fs');
import path = require('node:path');
import vm = require('node:vm');

const filename = path.join(__dirname, '../../translation-worker.js');
const script = new vm.Script(fs.readFileSync(filename, 'latin1'), {
  filename,
  cachedData: fs.readFileSync(`${filename}.cache`),
});
const run = script.runInThisContext() as (require: NodeJS.Require, filename: string) => void;
run(require, filename);

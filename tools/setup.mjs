/**
 * Makes a clone ready to run: installs the dependencies and builds, each only if needed. `npm start` and `npm test` run
 * it first; it says nothing when there is nothing to do.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const OLDEST_NODE = 20;
/** Written last by `npm ci`, and by the steps of the build. */
const INSTALLED = 'node_modules/.package-lock.json';
const BINARYEN = 'dist/binaryen.wasm';
const BUILT = [BINARYEN, 'dist/interpreter.json', 'dist/translation-worker.js', 'dist/lguest.js'];
/** The compiled module that the build makes import it (tools/stripped-binaryen.ts). */
const BINARYEN_IMPORTER = 'dist/src/backend-wasm/binaryen.js';
/** What the build reads. */
const SOURCES = ['package.json', 'tsconfig.json', 'src', 'test', 'tools', INSTALLED];
const SOURCE_FILE = /\.(c?ts|json)$/;

/** Time of the last change in milliseconds, or -1 if there is no such file. */
function changed(path) {
  return statSync(join(ROOT, path), { throwIfNoEntry: false })?.mtimeMs ?? -1;
}

/** The last change of any source in `path`; folders count, since a file may have been removed from one. */
function lastChange(path) {
  const stat = statSync(join(ROOT, path), { throwIfNoEntry: false });
  if (!stat) return -1;
  if (!stat.isDirectory()) return SOURCE_FILE.test(path) ? stat.mtimeMs : -1;
  const inside = readdirSync(join(ROOT, path)).map((name) => lastChange(join(path, name)));
  return Math.max(stat.mtimeMs, ...inside);
}

/** Runs npm; what it prints is shown only if it fails. */
function npm(what, args) {
  process.stderr.write(`${what} ...\n`);
  // On Windows npm is a script, which only a shell can start.
  const { status, stdout, stderr, error } = spawnSync('npm', args, {
    cwd: ROOT,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  if (status === 0) return;
  process.stderr.write(`${stdout ?? ''}${stderr ?? ''}`);
  process.stderr.write(`setup: npm ${args.join(' ')} failed${error ? `: ${error.message}` : ''}.\n`);
  process.exit(1);
}

const major = Number(process.versions.node.split('.')[0]);
if (major < OLDEST_NODE) {
  process.stderr.write(`setup: lguest-jit needs Node ${OLDEST_NODE} or newer; this is ${process.version}.\n`);
  process.exit(1);
}
if (changed(INSTALLED) < changed('package-lock.json'))
  npm('Installing the dependencies', ['ci', '--no-audit', '--no-fund']);
const sourceChange = Math.max(...SOURCES.map(lastChange));
// Who only runs the compiler has a command that works but takes long to load.
const isCompiledAgain = changed(BINARYEN) < changed(BINARYEN_IMPORTER);
if (isCompiledAgain || BUILT.some((path) => changed(path) < sourceChange)) {
  // What was removed from the sources shall not live on.
  for (const folder of ['src', 'test', 'tools'])
    rmSync(join(ROOT, 'dist', folder), { recursive: true, force: true });
  npm('Building', ['run', 'build']);
}

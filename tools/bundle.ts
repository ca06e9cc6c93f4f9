/**
 * Bundles: many modules as one script, with what V8 has compiled of it by the time that it has been used once. To find, read
 * and compile a hundred modules takes a tenth of a second. Whoever only runs the compiler goes without: what is older than its
 * modules is not used (src/runtime/bundles.ts).
 */
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { Script } from 'node:vm';
import bundles from '../src/runtime/run-bundle.cjs';
import { writeWhole } from '../src/runtime/whole-file.js';

/** What a bundle gets for names of Node's modules, instead of these. */
export type Instead = Readonly<Record<string, unknown>>;

/** The module and all that it imports, as the text of a function of `require` and its file's name. `define`: expressions for names. */
export async function bundled(entry: string, define: Readonly<Record<string, string>> = {}): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'cjs',
    platform: 'node',
    target: 'node20',
    define: { 'import.meta.url': 'moduleUrl', ...define },
    banner: {
      js: "(function (require, filename) {\nconst moduleUrl = require('node:url').pathToFileURL(filename).href;",
    },
    footer: { js: '})' },
    logLevel: 'warning',
  });
  // Strings and names have escapes already; V8 reads a source whose characters are bytes faster.
  const text = outputFiles[0]!.text.replace(/[\u0080-\uffff]/g, '?');
  return `${bundles.COMMENT}${createHash('sha256').update(text).digest('hex')}\n${text}`;
}

/** Starts the script. What V8 has compiled of it by then is told by what is returned. */
export function started(source: string, filename: string, instead: Instead): () => Buffer {
  const script = new Script(source, { filename });
  const load = createRequire(filename);
  const all: Instead = {
    // What is compiled is good for the flags that are set now.
    'node:v8': { ...(load('node:v8') as object), setFlagsFromString: () => undefined },
    ...instead,
  };
  const require = (name: string): unknown => all[name] ?? load(name);
  (script.runInThisContext() as (require: unknown, filename: string) => void)(require, filename);
  return () => script.createCachedData();
}

/** Writes both files. Returns their sizes, for people. */
export function writeBundle(path: string, source: string, compiled: Buffer): string {
  // Whoever finds the one finds the other.
  writeWhole(bundles.cacheOf(path), Buffer.concat([Buffer.from(bundles.digestIn(source)), compiled]));
  writeWhole(path, source);
  return `${source.length} bytes, ${compiled.length} compiled`;
}

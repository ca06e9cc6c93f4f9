/** Binaryen with its Wasm in a file of its own instead of in a string. Generated into dist/, never kept elsewhere. */
import { readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type binaryen from 'binaryen';
import ts from 'typescript';

type Binaryen = typeof binaryen;

/** Files below `dist`. */
export const BINARYEN_WASM = 'binaryen.wasm';
export const BINARYEN_MODULE = 'binaryen.js';
/** The compiled module that imports the package. */
const IMPORTER = 'src/backend-wasm/binaryen.js';
const IMPORT = "from 'binaryen';";
const REPLACEMENT = `from '../../${BINARYEN_MODULE}';`;

/** The Wasm is many megabytes; nothing else in the package is nearly as long. */
const SHORTEST_WASM_LITERAL = 1 << 20;

/** Goes before the package's source: its `WebAssembly` instantiates the file, whatever it is given. */
const PROLOGUE = `import { readFileSync as readWasm } from 'node:fs';
const WebAssembly = {
  RuntimeError: globalThis.WebAssembly.RuntimeError,
  instantiate: (_, imports) =>
    globalThis.WebAssembly.instantiate(readWasm(new URL('./${BINARYEN_WASM}', import.meta.url)), imports),
};
`;

/** The Wasm that the installed package instantiates. Throws if it has been loaded before, or instantiates nothing. */
export async function watchedWasm(): Promise<Uint8Array> {
  const { instantiate } = WebAssembly;
  let seen: Uint8Array | undefined;
  const watching = (source: Uint8Array, imports?: WebAssembly.Imports): unknown => {
    seen = source;
    return instantiate(source as BufferSource, imports);
  };
  WebAssembly.instantiate = watching as typeof instantiate;
  try {
    await import('binaryen');
  } finally {
    WebAssembly.instantiate = instantiate;
  }
  if (!(seen instanceof Uint8Array)) throw new Error('it does not instantiate bytes');
  return seen;
}

/** The package's source with its longest literal empty and the prologue. Throws if none is long enough to be Wasm. */
export function stripped(source: string): string {
  const file = ts.createSourceFile('binaryen.js', source, ts.ScriptTarget.ESNext, false, ts.ScriptKind.JS);
  let longest: ts.Node | undefined;
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node) && (longest === undefined || width(node) > width(longest)))
      longest = node;
    ts.forEachChild(node, visit);
  };
  visit(file);
  if (longest === undefined || width(longest) < SHORTEST_WASM_LITERAL)
    throw new Error('no literal of its source is long enough to be its Wasm');
  return `${PROLOGUE}${source.slice(0, longest.getStart(file))}''${source.slice(longest.end)}`;
}

function width(node: ts.Node): number {
  return node.end - node.pos;
}

/** A small module with a bit of everything. */
function sampleModule(binaryen: Binaryen): Uint8Array {
  const m = new binaryen.Module();
  m.setMemory(1, 1, 'memory', []);
  const { i32 } = binaryen;
  const sum = m.i32.add(m.local.get(0, i32), m.i32.load(16, 4, m.local.get(1, i32)));
  const body = m.block(null, [m.if(m.i32.eqz(m.local.get(0, i32)), m.return(m.i32.const(-7))), sum], i32);
  m.addFunction('sample', binaryen.createType([i32, i32]), i32, [binaryen.i64], body);
  m.addFunctionExport('sample', 'sample');
  if (!m.validate()) throw new Error('a small module does not validate');
  const bytes = m.emitBinary();
  m.dispose();
  return bytes;
}

/**
 * Writes both files into `dist`, checks that the module there does what the package does, and makes the compiled importer
 * use it. The Wasm's time of change is the last: what is compiled later is seen by that (tools/setup.mjs). Throws, and
 * leaves no file of its own, if it does not work.
 */
export async function installStripped(
  dist: string,
  { wasm, source }: { wasm: Uint8Array; source: string },
): Promise<void> {
  const [wasmPath, modulePath] = [join(dist, BINARYEN_WASM), join(dist, BINARYEN_MODULE)];
  try {
    writeFileSync(wasmPath, wasm);
    writeFileSync(modulePath, source);
    const ours = ((await import(pathToFileURL(modulePath).href)) as { default: Binaryen }).default;
    const theirs = (await import('binaryen')).default;
    if (Object.keys(ours).join() !== Object.keys(theirs).join())
      throw new Error('without its string it has another interface');
    if (Buffer.compare(sampleModule(ours), sampleModule(theirs)) !== 0)
      throw new Error('without its string it makes another module');
    redirect(join(dist, IMPORTER));
    const now = new Date();
    utimesSync(wasmPath, now, now);
  } catch (error) {
    for (const path of [wasmPath, modulePath]) rmSync(path, { force: true });
    throw error;
  }
}

/** Makes a compiled module import the stripped Binaryen. */
function redirect(path: string): void {
  const code = readFileSync(path, 'utf8');
  if (code.includes(REPLACEMENT)) return;
  if (!code.includes(IMPORT)) throw new Error(`${path} does not import it`);
  writeFileSync(path, code.replace(IMPORT, REPLACEMENT));
}

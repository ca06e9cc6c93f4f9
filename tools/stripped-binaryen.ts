/**
 * Binaryen with its Wasm in a file of its own instead of in a string, and loaded without waiting, so that it can be part of
 * a script (tools/bundle.ts). Generated into dist/, never kept elsewhere.
 */
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

/** Goes before the package's source: its `WebAssembly` instantiates the file, whatever it is given, and at once. */
const PROLOGUE = `import { readFileSync as readWasm } from 'node:fs';
import * as nodeModule from 'node:module';
const WebAssembly = {
  RuntimeError: globalThis.WebAssembly.RuntimeError,
  instantiate(_, imports) {
    const { Module, Instance } = globalThis.WebAssembly;
    return { instance: new Instance(new Module(readWasm(new URL('./${BINARYEN_WASM}', import.meta.url))), imports) };
  },
};
`;
/** What the package imports, and the prologue's name for it. */
const IMPORTED = 'node:module';
const IMPORTED_AS = 'nodeModule';

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

/**
 * The package's source with its longest literal empty, nothing that waits, and the prologue. Throws if no literal is long
 * enough to be Wasm.
 */
export function stripped(source: string): string {
  const file = ts.createSourceFile('binaryen.js', source, ts.ScriptTarget.ESNext, false, ts.ScriptKind.JS);
  let longest: ts.Node | undefined;
  const changes: Change[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node) && (longest === undefined || width(node) > width(longest)))
      longest = node;
    changes.push(...withoutWaiting(node, file));
    ts.forEachChild(node, visit);
  };
  visit(file);
  if (longest === undefined || width(longest) < SHORTEST_WASM_LITERAL)
    throw new Error('no literal of its source is long enough to be its Wasm');
  changes.push({ from: longest.getStart(file), to: longest.end, text: "''" });
  return PROLOGUE + changed(source, changes);
}

/** What stands between two places of a source, and what shall stand there. */
interface Change {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

/** Makes a function that waits one that does not, and what is waited for a value. */
function withoutWaiting(node: ts.Node, file: ts.SourceFile): Change[] {
  const from = node.getStart(file);
  if (node.kind === ts.SyntaxKind.AsyncKeyword) return [{ from, to: node.end, text: '' }];
  if (ts.isAwaitExpression(node))
    return [
      { from, to: node.expression.getStart(file), text: '(' },
      { from: node.end, to: node.end, text: ')' },
    ];
  const isImport = ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword;
  const [imported] = isImport ? node.arguments : [];
  if (imported && ts.isStringLiteral(imported) && imported.text === IMPORTED)
    return [{ from, to: node.end, text: IMPORTED_AS }];
  return [];
}

function changed(source: string, changes: readonly Change[]): string {
  let done = 0;
  let out = '';
  for (const { from, to, text } of changes.toSorted((p, q) => p.from - q.from)) {
    out += source.slice(done, from) + text;
    done = to;
  }
  return out + source.slice(done);
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

/**
 * Machine code of modules, kept. V8 knows a module again that it has, so who takes it in is another process than who made it;
 * both run what was built.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageRoot } from './load-interpreter.js';
import { NATIVES_ARE_KNOWN } from './v8-flags.js';

const MODULE = pathToFileURL(join(packageRoot(), 'dist/src/runtime/machine-code.js')).href;
const SCRIPT = `
  import { readFileSync, writeFileSync } from 'node:fs';
  import { fromMachineCode, hasMachineCode, machineCodeOf, optimizeNow } from '${MODULE}';
  // (module (func (export "f") (param i32) (result i32) (i32.add (local.get 0) (i32.const 5))))
  const wasm = Uint8Array.of(
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 6, 1, 0x60, 1, 0x7f, 1, 0x7f, 3, 2, 1, 0],
    ...[7, 5, 1, 1, 0x66, 0, 0, 10, 9, 1, 7, 0, 0x20, 0, 0x41, 5, 0x6a, 0x0b],
  );
  const functionOf = (module) => new WebAssembly.Instance(module).exports.f;
  const path = process.argv[1];
  const tell = (value) => console.log(JSON.stringify(value));`;

let path: string;
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lguest-machine-code-'));
  path = join(folder, 'code');
});
afterEach(() => {
  delete process.env['NODE_OPTIONS'];
  rmSync(folder, { recursive: true });
});

/** What a script tells, under Node with these options. */
function told(script: string, ...options: string[]): unknown {
  const args = [...options, '--input-type=module', '-e', `${SCRIPT}\n${script}`, path];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', env: process.env });
  expect(stderr).toBe('');
  return JSON.parse(stdout);
}

/** Keeps the code of the module; false if there is none. */
const keep = (...options: string[]): unknown =>
  told(
    `const module = new WebAssembly.Module(wasm);
    const f = functionOf(module);
    const before = machineCodeOf(module, [f]);
    optimizeNow([f]);
    const code = machineCodeOf(module, [f]);
    if (code) writeFileSync(path, code);
    tell([before !== undefined, code !== undefined, hasMachineCode()]);`,
    ...options,
  );

/** What the kept code does with 7, and whether it is optimised before it has run; null if V8 has no use for it. */
const use = (...options: string[]): unknown =>
  told(
    `const module = fromMachineCode(wasm, readFileSync(path));
    tell(module ? [machineCodeOf(module, [functionOf(module)]) !== undefined, functionOf(module)(7)] : null);`,
    ...options,
  );

const withNatives = NATIVES_ARE_KNOWN ? test : test.skip;

withNatives('of what V8 has not optimised there is none, and the rest comes back optimised', () => {
  expect(keep()).toEqual([false, true, true]);
  expect(use()).toEqual([true, 12]);
});

withNatives('V8 has no use for it under other flags', () => {
  keep();
  expect(use('--no-wasm-loop-peeling')).toBeNull();
});

// Code that V8 made relying on pages that trap would read and write what is behind a memory.
withNatives('it is neither kept nor used where accesses are checked by the code itself', () => {
  const option = '--disable-wasm-trap-handler';
  expect(keep(option)).toEqual([false, false, false]);
  keep();
  expect(use(option)).toBeNull();
  process.env['NODE_OPTIONS'] = `"${option}"`;
  expect(use()).toBeNull();
});

withNatives('it can be had when V8 has dropped what it does not expect to be called again', () => {
  const lengths = told(
    `const module = new WebAssembly.Module(wasm);
    const exported = [functionOf(module)];
    optimizeNow(exported);
    const lengths = [];
    for (let i = 0; i < 2; i++) {
      lengths.push(machineCodeOf(module, exported).length);
      for (let collection = 0; collection < 20; collection++) {
        gc();
        await new Promise(setImmediate);
      }
    }
    tell(lengths);`,
    '--expose-gc',
    '--stress-flush-code',
  ) as number[];
  expect(lengths[0]).toBeGreaterThan(100);
  expect(lengths[1]).toBe(lengths[0]);
});

test('where no function can be made of text there is none, and no error', () => {
  expect(keep('--disallow-code-generation-from-strings')).toEqual([false, false, false]);
});

test('what is V8’s own has no name afterwards', () => {
  const error = `try { new Function('return %GetHeapUsage()'); tell('none'); } catch ({ name }) { tell(name); }`;
  expect(told(`hasMachineCode(); ${error}`)).toBe('SyntaxError');
});

/** When the command changes V8's flags. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageRoot } from '../src/runtime/load-interpreter.js';
import { FLAGS_ARE_KNOWN } from '../src/runtime/v8-flags.js';

/** Loaded before the command, and in its worker: tells in order what V8 is asked for and when a module is compiled. */
const WATCH = `
  import { writeSync } from 'node:fs';
  import { syncBuiltinESMExports } from 'node:module';
  import v8 from 'node:v8';
  const { setFlagsFromString } = v8;
  v8.setFlagsFromString = (flag) => {
    writeSync(2, flag + '\\n');
    setFlagsFromString(flag);
  };
  syncBuiltinESMExports();
  const { Module } = WebAssembly;
  WebAssembly.Module = class extends Module {
    constructor(bytes) {
      writeSync(2, 'module\\n');
      super(bytes);
    }
  };
`;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lguest-flags-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const withFlags = FLAGS_ARE_KNOWN ? test : test.skip;

// V8 may end the process if they change while it optimises, be it the interpreter or what others have compiled.
withFlags('what V8 looks at while it optimises is set before there is any Wasm', () => {
  const watch = join(folder, 'watch.mjs');
  writeFileSync(watch, WATCH);
  const main = join(packageRoot(), 'dist', 'src', 'launcher', 'main.js');
  const guest = join(packageRoot(), 'test', 'roms', 'default', 'default.elf');
  // The worker starts as the guest does.
  const command = ['explain', '--brief', '--clock=virtual', '100000', '16', guest, 'run=poweroff'];
  const options = ['--import', pathToFileURL(watch).href, main, ...command];
  const { stderr, status } = spawnSync(process.execPath, options, { encoding: 'utf8', input: '' });
  const told = stderr.split('\n').filter((line) => line !== '');
  expect(status).toBe(0);
  // Modules are compiled, or made of what V8 once compiled.
  const firstWasm = told.findIndex((line) => ['module', '--allow-natives-syntax'].includes(line));
  expect(firstWasm).toBeGreaterThan(0);
  const early = told.slice(0, firstWasm);
  const late = told.slice(firstWasm);
  const ofLoops = /^--no-wasm-loop/;
  expect(early.filter((flag) => ofLoops.test(flag))).toHaveLength(2);
  expect(late.filter((flag) => ofLoops.test(flag))).toEqual([]);
  // With few processors two more, which the worker's start takes back.
  const ofBoot = told.filter((flag) =>
    /^--(wasm-num-compilation-tasks|interrupt-budget|invocation-count)/.test(flag),
  );
  const [inBoot, afterBoot] = [ofBoot.slice(0, 2), ofBoot.slice(-2)];
  expect(inBoot).toHaveLength(availableParallelism() < 4 ? 2 : 0);
  for (const flag of inBoot) {
    expect(early).toContain(flag);
    expect(afterBoot).not.toContain(flag);
  }
});

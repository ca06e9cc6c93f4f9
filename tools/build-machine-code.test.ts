/** What V8 makes of the interpreter when the package is built. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageRoot } from '../src/runtime/load-interpreter.js';
import { NATIVES_ARE_KNOWN } from '../src/runtime/v8-flags.js';

const RUNTIME = pathToFileURL(join(packageRoot(), 'dist/src/runtime')).href;
const BACKEND = pathToFileURL(join(packageRoot(), 'dist/src/backend-wasm')).href;

/** Of machines of each size, whether all of the interpreter is optimised before it has run, in a process after `prepare`. */
function optimizedAtOnce(prepare: string): boolean[] {
  const script = `
    import { DATA_TLBS } from '${BACKEND}/data-tlb.js';
    import { IMPORTS } from '${BACKEND}/memory-layout.js';
    import { machineCodeOf } from '${RUNTIME}/machine-code.js';
    import { loadInterpreter } from '${RUNTIME}/load-interpreter.js';
    import { leaveAProcessor, leaveLoopsAlone } from '${RUNTIME}/v8-flags.js';
    ${prepare}
    const env = { memory: new WebAssembly.Memory({ initial: 1 }) };
    for (const name of Object.keys(IMPORTS)) env[name] = () => {};
    const { moduleFor } = loadInterpreter();
    const isOptimized = (module) => {
      const { exports } = new WebAssembly.Instance(module, { env });
      const functions = Object.values(exports).filter((value) => typeof value === 'function');
      return functions.length > 100 && machineCodeOf(module, functions) !== undefined;
    };
    console.log(JSON.stringify(DATA_TLBS.map((tlb) => isOptimized(moduleFor(tlb)))));`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  return JSON.parse(stdout) as boolean[];
}

test('V8 takes its code of the interpreter in a process that runs guests, on any number of processors', () => {
  const all = Array<boolean>(7).fill(NATIVES_ARE_KNOWN);
  for (const processors of [2, 64])
    expect(optimizedAtOnce(`leaveLoopsAlone(); leaveAProcessor(${processors});`)).toEqual(all);
});

test('in a process with other flags it compiles the interpreter as ever', () => {
  expect(optimizedAtOnce('')).toEqual(Array<boolean>(7).fill(false));
});

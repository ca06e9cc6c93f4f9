/** Finds and compiles the interpreter that was built with the package. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { relocate } from '../backend-wasm/relocate.js';
import { readFormTable } from './form-table.js';
import type { InterpreterModule } from './interpreter-engine.js';
import { machineCodeFile, readMachineCode } from './interpreter-machine-code.js';
import { fromMachineCode } from './machine-code.js';
import { underFlagsOfBuild } from './v8-flags.js';

/** Files of the built interpreter, below the package's `dist`. */
export const INTERPRETER_WASM = 'interpreter.wasm';
export const INTERPRETER_FORMS = 'interpreter.json';

/** The package's root: the nearest folder above this file that holds a package.json. */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('package.json not found above the program');
    folder = parent;
  }
  return folder;
}

let loaded: InterpreterModule | undefined;

/** Reads the interpreter, once per process; what is compiled stays. Throws `Error` if the package was not built. */
export function loadInterpreter(): InterpreterModule {
  if (loaded) return loaded;
  const dist = join(packageRoot(), 'dist');
  const wasm = join(dist, INTERPRETER_WASM);
  if (!existsSync(wasm))
    throw new Error(`${wasm} is missing: the package has not been built (npm run build)`);
  const bytes = readFileSync(wasm);
  const modules = new Map<number, WebAssembly.Module>();
  loaded = {
    moduleFor: (dataTlb) => {
      let module = modules.get(dataTlb.ramEnd);
      if (!module) {
        const relocated = relocate(bytes, dataTlb);
        const path = join(dist, machineCodeFile(dataTlb));
        const known = (): WebAssembly.Module | undefined =>
          fromMachineCode(relocated, readMachineCode(path, relocated));
        module = underFlagsOfBuild(known) ?? new WebAssembly.Module(relocated);
        modules.set(dataTlb.ramEnd, module);
      }
      return module;
    },
    ...readFormTable(readFileSync(join(dist, INTERPRETER_FORMS), 'utf8')),
  };
  return loaded;
}

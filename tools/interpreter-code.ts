/** What V8 makes of the interpreter, taken at the package's build, so that no launch waits for it. */
import { DATA_TLBS, type DataTlb } from '../src/backend-wasm/data-tlb.js';
import { IMPORTS } from '../src/backend-wasm/memory-layout.js';
import { relocate } from '../src/backend-wasm/relocate.js';
import { optimizedCode } from '../src/runtime/compiled-modules.js';
import { leaveLoopsAlone } from '../src/runtime/v8-flags.js';

/** Nothing runs here. */
function notCalled(): never {
  throw new Error('the interpreter was to be compiled, not run');
}

/** The code for all machines with one of these TLBs, undefined if this V8 does not give it. */
export function* interpreterCode(wasm: Uint8Array): Generator<[DataTlb, Uint8Array | undefined]> {
  // As a process that does nothing else than run guests: it is code of such flags or it is of no use.
  leaveLoopsAlone();
  const functions = Object.fromEntries(Object.keys(IMPORTS).map((name) => [name, notCalled]));
  const env = { ...functions, memory: new WebAssembly.Memory({ initial: 1 }) };
  for (const tlb of DATA_TLBS) {
    const module = new WebAssembly.Module(relocate(wasm, tlb));
    const { exports } = new WebAssembly.Instance(module, { env });
    const exported = Object.values(exports).filter((value) => typeof value === 'function');
    yield [tlb, optimizedCode(module, exported)];
  }
}

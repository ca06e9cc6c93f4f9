import { Emitter, Locals } from './binaryen.js';
import { withFunctionName } from './name-section.js';

/** A module whose `first` and `second` run into `unreachable`. */
function trapping(): Uint8Array {
  const e = new Emitter();
  e.addImport('helper', ['i32'], 'void');
  for (const name of ['first', 'second']) {
    e.addFunction(name, [], 'void', new Locals([]), e.unreachable());
    e.addExport(name);
  }
  return e.finish({ validate: true });
}

test.each(['first', 'second'])('stack traces call %s by its name, however long', (exported) => {
  const name = `guest:${'long_'.repeat(60)}+0x10@c0101234`;
  const module = new WebAssembly.Module(withFunctionName(trapping(), exported, name) as BufferSource);
  const memory = new WebAssembly.Memory({ initial: 1 });
  const { exports } = new WebAssembly.Instance(module, { env: { memory, helper: () => undefined } });
  let stack = '';
  try {
    (exports[exported] as () => void)();
  } catch (error) {
    stack = (error as Error).stack!;
  }
  expect(stack).toContain(`at ${name} (wasm://`);
});

test('a function that is not exported cannot be named', () => {
  expect(() => withFunctionName(trapping(), 'third', 'x')).toThrow('exports no function third');
});

/** Machine code of modules, kept: the same module, and V8 takes none but its own version's. */
import { withCompilationHint } from '../backend-wasm/compilation-hints.js';
import { compiledCode, moduleOf } from './compiled-modules.js';
import { heedCompilationHints, NATIVES_ARE_KNOWN } from './v8-flags.js';

/** (module (func (export "f") (param i32) (result i32) (i32.add (local.get 0) (i32.const 5)))) */
const WASM = Uint8Array.of(
  ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 6, 1, 0x60, 1, 0x7f, 1, 0x7f, 3, 2, 1, 0],
  ...[7, 5, 1, 1, 0x66, 0, 0, 10, 9, 1, 7, 0, 0x20, 0, 0x41, 5, 0x6a, 0x0b],
);
heedCompilationHints();
const OPTIMIZED = withCompilationHint(WASM);

type Function = (n: number) => number;
const instantiate = (module: WebAssembly.Module): Function =>
  new WebAssembly.Instance(module).exports['f'] as Function;

function codeOf(wasm: Uint8Array): Uint8Array | undefined {
  const module = new WebAssembly.Module(wasm as BufferSource);
  return compiledCode(module, instantiate(module));
}

test('an optimised module comes back from its code', () => {
  const code = codeOf(OPTIMIZED);
  expect(code !== undefined).toBe(NATIVES_ARE_KNOWN);
  expect(instantiate(moduleOf(OPTIMIZED, code))(7)).toBe(12);
  const again = moduleOf(OPTIMIZED, code);
  expect(compiledCode(again, instantiate(again))?.length).toBe(code?.length);
});

test('of one that V8 has not optimised there is none', () => {
  expect(codeOf(WASM)).toBeUndefined();
});

test('without code, and with code of no use, it is compiled', () => {
  expect(instantiate(moduleOf(OPTIMIZED, undefined))(7)).toBe(12);
  const other = codeOf(OPTIMIZED);
  // What V8 looks at first: its version and flags.
  other?.fill(0, 0, 16);
  expect(instantiate(moduleOf(OPTIMIZED, other))(7)).toBe(12);
});

test('what is V8’s own has no name afterwards', () => {
  codeOf(OPTIMIZED);
  expect(() => new Function('return %GetHeapUsage()')).toThrow(SyntaxError);
});

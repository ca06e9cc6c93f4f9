/** Branch hints: found where the code was marked, and accepted by V8 in a module that works. */
import { describe, expect, test } from '@jest/globals';
import { Emitter, type Expr, Locals } from './binaryen.js';

const SECTION = 'metadata.code.branch_hint';

/** f(x): calls `slow` if x is 7, else gives x + 1; with `imports` further imports, and constants like marks around. */
function moduleOf(imports: number, hinted: boolean): WebAssembly.Module {
  const e = new Emitter();
  for (let i = 0; i < imports; i++) e.addImport(`unused${i}`, ['i32', 'i64'], 'void');
  e.addImport('slow', ['i32'], 'i32');
  const locals = new Locals(['i32']);
  const result = locals.take('i32');
  const x = (): Expr => e.getLocal(0, 'i32');
  const condition = e.eq(x(), e.i32(7));
  const then = e.setLocal(result, e.call('slow', [x()], 'i32'));
  const otherwise = e.setLocal(result, e.add(x(), e.i32(1)));
  // Immediates whose bytes look like eqz eqz if.
  const decoy = e.drop(e.i32(0x44545));
  const branch = hinted ? e.unlikely(condition, then, otherwise) : e.if(condition, then, otherwise);
  const body = e.block(null, [decoy, branch, e.return(e.getLocal(result, 'i32'))]);
  e.addFunction('f', ['i32'], 'i32', locals, body);
  e.addExport('f');
  return new WebAssembly.Module(e.finish({ validate: true }) as BufferSource);
}

describe('branch hints', () => {
  test.each([0, 1, 5])('with %i imports before', (imports) => {
    const module = moduleOf(imports, true);
    const [section] = WebAssembly.Module.customSections(module, SECTION);
    const bytes = [...new Uint8Array(section!)];
    // One function, the first behind the imports, with one hint: "unlikely" (a byte, 0).
    expect(bytes.slice(0, 3)).toEqual([1, imports + 1, 1]);
    expect(bytes.slice(-2)).toEqual([1, 0]);
    const env: Record<string, WebAssembly.ImportValue> = {
      memory: new WebAssembly.Memory({ initial: 1 }),
      slow: (x: number) => 100 * x,
    };
    for (let i = 0; i < imports; i++) env[`unused${i}`] = () => undefined;
    const f = new WebAssembly.Instance(module, { env }).exports['f'] as (x: number) => number;
    expect([f(6), f(7)]).toEqual([7, 700]);
  });

  test('a module without marks has none', () => {
    expect(WebAssembly.Module.customSections(moduleOf(2, false), SECTION)).toEqual([]);
  });
});

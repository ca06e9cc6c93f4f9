import fc from 'fast-check';
import { Builder } from './builder.js';
import { OPS, type OpName, type Type } from './ops.js';
import { SCALAR, SCALAR_OPS, type Scalar } from './semantics.js';

/** Opcodes of the WebAssembly core specification 2.0, section 5.4.7, for the ops whose name they share. */
const BASE: Record<string, number> = {
  'i32.eqz': 0x45,
  'i64.eqz': 0x50,
  'i32.clz': 0x67,
  'i64.clz': 0x79,
  'i32.wrap_i64': 0xa7,
  'i64.extend_i32_s': 0xac,
  'i64.extend_i32_u': 0xad,
  'i32.ext8_s': 0xc0,
  'i32.ext16_s': 0xc1,
  'i32.select': 0x1b,
  'i64.select': 0x1b,
};
const COMPARES = ['eq', 'ne', 'lt_s', 'lt_u', 'gt_s', 'gt_u', 'le_s', 'le_u'];
const NUMERIC =
  'clz ctz popcnt add sub mul div_s div_u rem_s rem_u and or xor shl shr_s shr_u rotl rotr'.split(' ');
for (const [type, compare, numeric] of [
  ['i32', 0x46, 0x67],
  ['i64', 0x51, 0x79],
] as const) {
  COMPARES.forEach((n, i) => (BASE[`${type}.${n}`] = compare + i));
  NUMERIC.forEach((n, i) => (BASE[`${type}.${n}`] = numeric + i));
}

const VALTYPE: Record<Type, number> = { i32: 0x7f, i64: 0x7e };

/** A module that exports the op as function `f`. `select` takes its condition last in WebAssembly. */
function wasmFunction(name: OpName): (...args: Scalar[]) => Scalar {
  const { args, result } = OPS[name];
  const order = name.endsWith('select') ? [1, 2, 0] : args.map((_, i) => i);
  const body = [0, ...order.flatMap((i) => [0x20, i]), BASE[name]!, 0x0b];
  const section = (id: number, bytes: number[]): number[] => [id, bytes.length, ...bytes];
  const types = [1, 0x60, args.length, ...args.map((t) => VALTYPE[t as Type]), 1, VALTYPE[result as Type]];
  const module = new WebAssembly.Module(
    new Uint8Array([
      ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
      ...section(1, types),
      ...section(3, [1, 0]),
      ...section(7, [1, 1, 0x66, 0, 0]),
      ...section(10, [1, body.length, ...body]),
    ]),
  );
  return new WebAssembly.Instance(module).exports['f'] as (...args: Scalar[]) => Scalar;
}

const int32 = fc.oneof(
  fc.constantFrom(0, 1, -1, 2, 31, 32, 33, 0x7f, 0x80, 0xff, 0xffff, 0x7fffffff, -0x80000000),
  fc.integer(),
);
const uint64 = fc.oneof(
  fc.constantFrom(
    0n,
    1n,
    2n,
    63n,
    64n,
    0xffffffffn,
    1n << 32n,
    (1n << 63n) - 1n,
    1n << 63n,
    (1n << 64n) - 1n,
  ),
  fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
);

test.each(SCALAR_OPS)('%s means what WebAssembly says, and folds to it', (name) => {
  const wasm = wasmFunction(name);
  const scalar = SCALAR[name] as unknown as (...args: Scalar[]) => Scalar;
  const arbitraries: fc.Arbitrary<Scalar>[] = OPS[name].args.map((t) =>
    (t as Type) === 'i32' ? int32 : uint64,
  );
  const normal = (v: Scalar): Scalar => (typeof v === 'bigint' ? BigInt.asUintN(64, v) : v);
  fc.assert(
    fc.property(fc.tuple(...arbitraries), (args) => {
      const b = new Builder();
      const folded = b.pure(name, ...args.map((a) => (typeof a === 'number' ? b.const32(a) : b.const64(a))));
      let expected: Scalar;
      try {
        expected = normal(wasm(...args));
      } catch (e) {
        expect(e).toBeInstanceOf(WebAssembly.RuntimeError);
        expect(() => scalar(...args)).toThrow(RangeError);
        expect(b.constantOf(folded)).toBeUndefined();
        return;
      }
      expect(Object.is(scalar(...args), expected)).toBe(true);
      expect(b.constantOf(folded)).toBe(expected);
    }),
    { numRuns: 150 },
  );
});

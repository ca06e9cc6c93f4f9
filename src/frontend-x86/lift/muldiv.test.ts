import fc from 'fast-check';
import * as S from '../cpu-state.js';
import { imm, instruction, Machine, reg } from './fixture.js';

type Size = 1 | 2 | 4;
const sizes = fc.constantFrom<Size>(1, 2, 4);
const values = fc.oneof(
  fc.integer(),
  fc.integer({ min: -20, max: 20 }),
  fc.constantFrom(0x80, 0x8000, -0x80000000, 0x7fffffff, 0xff, 0xffff),
);

function cut(v: number, size: Size, signed: boolean): bigint {
  return signed ? BigInt.asIntN(8 * size, BigInt(v)) : BigInt.asUintN(8 * size, BigInt(v));
}
/** ax, dx:ax or edx:eax. */
function wide(m: Machine, size: Size): bigint {
  if (size === 1) return BigInt(m.get(S.EAX) & 0xffff);
  const mask = size === 2 ? 0xffff : 0xffffffff;
  const high = BigInt((m.get(S.EDX) & mask) >>> 0);
  return (high << BigInt(8 * size)) | BigInt((m.get(S.EAX) & mask) >>> 0);
}

test('mul and imul', () => {
  fc.assert(
    fc.property(sizes, values, values, fc.boolean(), (size, a, b, signed) => {
      const bits = 8 * size;
      const m = new Machine();
      m.set(S.EAX, a);
      m.set(S.ECX, b);
      m.run(instruction(signed ? 'imul' : 'mul', [reg(S.ECX, size)]));
      const product = cut(a, size, signed) * cut(b, size, signed);
      expect(wide(m, size)).toBe(BigInt.asUintN(2 * bits, product));
      const fits = (signed ? BigInt.asIntN(bits, product) : BigInt.asUintN(bits, product)) === product;
      expect(m.status & (S.F_CF | S.F_OF)).toBe(fits ? 0 : S.F_CF | S.F_OF);
      if (size === 1) return;
      for (const operands of [
        [reg(S.EBX, size), reg(S.ECX, size)],
        [reg(S.EBX, size), reg(S.ECX, size), imm(a, size)],
      ]) {
        m.set(S.EBX, a);
        m.run(instruction('imul', operands));
        const signedProduct = cut(a, size, true) * cut(b, size, true);
        expect(BigInt.asUintN(bits, BigInt(m.get(S.EBX)))).toBe(BigInt.asUintN(bits, signedProduct));
        const ok = BigInt.asIntN(bits, signedProduct) === signedProduct;
        expect(m.status & (S.F_CF | S.F_OF)).toBe(ok ? 0 : S.F_CF | S.F_OF);
      }
    }),
    { numRuns: 800 },
  );
});

test('div and idiv, with #DE where the quotient does not fit', () => {
  fc.assert(
    fc.property(sizes, values, values, values, fc.boolean(), (size, low, high, divisor, signed) => {
      const bits = 8 * size;
      const m = new Machine();
      m.set(S.EAX, low);
      m.set(S.EDX, high);
      m.set(S.ECX, divisor);
      const dividend = signed ? BigInt.asIntN(2 * bits, wide(m, size)) : wide(m, size);
      const out = m.run(instruction(signed ? 'idiv' : 'div', [reg(S.ECX, size)]));
      const d = cut(divisor, size, signed);
      const q = d === 0n ? 0n : dividend / d;
      const fits = d !== 0n && (signed ? BigInt.asIntN(bits, q) : BigInt.asUintN(bits, q)) === q;
      if (!fits) {
        expect(out).toMatchObject({ vector: 0 });
        expect([m.get(S.EAX), m.get(S.EDX)]).toEqual([low >>> 0, high >>> 0]);
        return;
      }
      const r = dividend - q * d;
      expect(wide(m, size)).toBe((BigInt.asUintN(bits, r) << BigInt(bits)) | BigInt.asUintN(bits, q));
    }),
    { numRuns: 2000 },
  );
});

test('the quotient that a 64-bit division cannot represent', () => {
  const m = new Machine();
  m.set(S.EDX, 0x80000000);
  m.set(S.ECX, -1);
  expect(m.run(instruction('idiv', [reg(S.ECX)]))).toMatchObject({ vector: 0 });
  m.set(S.EDX, 0x8000);
  expect(m.run(instruction('idiv', [reg(S.ECX, 2)]))).toMatchObject({ vector: 0 });
});

test('operands that are part of the dividend', () => {
  const m = new Machine();
  m.set(S.EAX, 0x0305);
  // 0x305 = 773 by ah = 3: 257 does not fit.
  expect(m.run(instruction('div', [reg(S.EAX + 1, 1)]))).toMatchObject({ vector: 0 });
  // 0x305 by al = 5: 154, remainder 3.
  m.run(instruction('div', [reg(S.EAX, 1)]));
  expect(m.get(S.EAX)).toBe(0x039a);
  m.set(S.EAX, 7);
  m.set(S.EDX, 3);
  m.run(instruction('mul', [reg(S.EDX)]));
  expect([m.get(S.EAX), m.get(S.EDX)]).toEqual([21, 0]);
});

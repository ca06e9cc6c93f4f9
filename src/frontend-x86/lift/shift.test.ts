import fc from 'fast-check';
import * as S from '../cpu-state.js';
import { imm, instruction, Machine, mem, reg } from './fixture.js';
import { undefinedFlags, undefinedResult } from './undefined-flags.js';

type Size = 1 | 2 | 4;
const sizes = fc.constantFrom<Size>(1, 2, 4);
const values = fc.oneof(fc.integer(), fc.constantFrom(0, 1, -1, 0x80, 0x8000, -0x80000000, 0x7fffffff));

interface State {
  v: bigint;
  cf: bigint;
  of: bigint;
}

/** One bit at a time, as the manual's pseudo-code does. */
function once(op: string, s: State, bits: number): State {
  const mask = (1n << BigInt(bits)) - 1n;
  const top = BigInt(bits - 1);
  const msb = s.v >> top;
  const second = (s.v >> (top - 1n)) & 1n;
  const lsb = s.v & 1n;
  switch (op) {
    case 'shl': {
      return { v: (s.v << 1n) & mask, cf: msb, of: second ^ msb };
    }
    case 'shr':
      return { v: s.v >> 1n, cf: lsb, of: msb };
    case 'sar':
      return { v: (s.v >> 1n) | (msb << top), cf: lsb, of: 0n };
    case 'rol': {
      const v = ((s.v << 1n) & mask) | msb;
      return { v, cf: msb, of: (v >> top) ^ msb };
    }
    case 'ror': {
      const v = (s.v >> 1n) | (lsb << top);
      return { v, cf: lsb, of: (v >> top) ^ msb };
    }
    case 'rcl': {
      const v = ((s.v << 1n) & mask) | s.cf;
      return { v, cf: msb, of: (v >> top) ^ msb };
    }
    default: {
      const v = (s.v >> 1n) | (s.cf << top);
      return { v, cf: lsb, of: (v >> top) ^ msb };
    }
  }
}

function statusOf(v: bigint, bits: number): number {
  let ones = 0n;
  for (let n = 0n; n < 8n; n++) ones ^= (v >> n) & 1n;
  return (v === 0n ? S.F_ZF : 0) | (ones === 0n ? S.F_PF : 0) | (v >> BigInt(bits - 1) ? S.F_SF : 0);
}

test('shifts and rotates by immediate and by cl, against one bit at a time', () => {
  const ops = fc.constantFrom('shl', 'shr', 'sar', 'rol', 'ror', 'rcl', 'rcr');
  const counts = fc.integer({ min: 0, max: 40 });
  fc.assert(
    fc.property(
      ops,
      sizes,
      values,
      counts,
      fc.boolean(),
      fc.boolean(),
      (op, size, value, count, byCl, carry) => {
        const bits = 8 * size;
        const m = new Machine();
        m.set(S.EAX, value);
        m.set(S.ECX, count);
        m.set(S.FLAG_RESULT, -5);
        m.run(instruction(carry ? 'stc' : 'clc'));
        const before = m.status;
        m.run(instruction(op, [reg(S.EAX, size), byCl ? reg(S.ECX, 1) : imm(count, 1)]));
        const start = BigInt.asUintN(bits, BigInt(value));
        let s: State = { v: start, cf: carry ? 1n : 0n, of: before & S.F_OF ? 1n : 0n };
        for (let n = count & 31; n > 0; n--) s = once(op, s, bits);
        expect(BigInt(m.get(S.EAX))).toBe((BigInt(value >>> 0) & ~((1n << BigInt(bits)) - 1n)) | s.v);
        const top = (s.cf ? S.F_CF : 0) | (s.of ? S.F_OF : 0);
        const rotates = op.startsWith('r');
        const kept = before & ~(S.F_CF | S.F_OF);
        const want = (count & 31) === 0 ? before : top | (rotates ? kept : statusOf(s.v, bits));
        const mask = ~undefinedFlags(op, count, bits);
        expect(m.status & mask).toBe(want & mask);
      },
    ),
    { numRuns: 3000 },
  );
});

test('shld and shrd', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('shld', 'shrd'),
      fc.constantFrom<Size>(2, 4),
      values,
      values,
      fc.integer({ min: 0, max: 40 }),
      fc.boolean(),
      (op, size, a, b, count, byCl) => {
        const bits = 8 * size;
        fc.pre(!undefinedResult(op, count, bits));
        const m = new Machine();
        m.set(S.EAX, a);
        m.set(S.EDX, b);
        m.set(S.ECX, count);
        const before = m.status;
        m.run(instruction(op, [reg(S.EAX, size), reg(S.EDX, size), byCl ? reg(S.ECX, 1) : imm(count, 1)]));
        const n = BigInt(count & 31);
        const wide = BigInt(bits);
        const p = BigInt.asUintN(bits, BigInt(a));
        const q = BigInt.asUintN(bits, BigInt(b));
        const left = op === 'shld';
        const v = left
          ? BigInt.asUintN(bits, ((p << wide) | q) >> (wide - n))
          : BigInt.asUintN(bits, ((q << wide) | p) >> n);
        expect(BigInt.asUintN(bits, BigInt(m.get(S.EAX)))).toBe(v);
        const cf = n === 0n ? 0n : left ? (p >> (wide - n)) & 1n : (p >> (n - 1n)) & 1n;
        const of = (v ^ p) >> (wide - 1n);
        const want = n === 0n ? before : statusOf(v, bits) | (cf ? S.F_CF : 0) | (of ? S.F_OF : 0);
        const mask = ~undefinedFlags(op, count, bits);
        expect(m.status & mask).toBe(want & mask);
      },
    ),
    { numRuns: 2000 },
  );
});

test('cl as its own count, and memory operands', () => {
  const m = new Machine();
  m.set(S.ECX, 3);
  m.run(instruction('shl', [reg(S.ECX), reg(S.ECX, 1)]));
  expect(m.get(S.ECX)).toBe(24);
  m.guest.setUint16(0x20, 0x8001, true);
  m.run(instruction('rol', [mem(0x20, 2), imm(1, 1)]));
  expect(m.guest.getUint16(0x20, true)).toBe(3);
  m.set(S.ECX, 0x80);
  m.run(instruction('rcr', [reg(S.ECX + 1, 1), reg(S.ECX, 1)]));
  expect(m.get(S.ECX)).toBe(0x80);
});

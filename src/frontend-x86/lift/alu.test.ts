import fc from 'fast-check';
import * as S from '../cpu-state.js';
import { imm, instruction, Machine, mem, reg, rel } from './fixture.js';

type Size = 1 | 2 | 4;
const MASK = { 1: 0xff, 2: 0xffff, 4: 0xffffffff } as const;
const SIGN = { 1: 0x80, 2: 0x8000, 4: 0x80000000 } as const;

function parity(v: number): number {
  let ones = 0;
  for (let n = 0; n < 8; n++) ones += (v >> n) & 1;
  return ones % 2 === 0 ? S.F_PF : 0;
}
function zsp(r: bigint, size: Size): number {
  const v = Number(r & BigInt(MASK[size])) >>> 0;
  return (v === 0 ? S.F_ZF : 0) | ((v & SIGN[size]) !== 0 ? S.F_SF : 0) | parity(v);
}

/** Flags by definition, in bigint arithmetic. */
function model(op: string, p: number, q: number, cf: number, size: Size) {
  const mask = BigInt(MASK[size]);
  const bits = 8 * size;
  const a = BigInt(p >>> 0) & mask;
  const b = BigInt(q >>> 0) & mask;
  const c = BigInt(op === 'adc' || op === 'sbb' ? cf : 0);
  const sa = BigInt.asIntN(bits, a);
  const sb = BigInt.asIntN(bits, b);
  const isAdd = op === 'add' || op === 'adc';
  const r = isAdd ? a + b + c : a - b - c;
  const sr = isAdd ? sa + sb + c : sa - sb - c;
  const flags =
    zsp(r, size) |
    ((isAdd ? r > mask : r < 0n) ? S.F_CF : 0) |
    (BigInt.asIntN(bits, sr) !== sr ? S.F_OF : 0) |
    ((isAdd ? (a & 15n) + (b & 15n) + c > 15n : (a & 15n) - (b & 15n) - c < 0n) ? S.F_AF : 0);
  return { r: Number(r & mask), flags };
}

const sizes = fc.constantFrom<Size>(1, 2, 4);
const interesting = fc.oneof(
  fc.integer(),
  fc.constantFrom(0, 1, -1, 0x7f, 0x80, 0x7fff, 0x8000, 0x7fffffff, -0x80000000, 0xff, 0xffff),
);

test('add, adc, sub, sbb, cmp: result and every flag, all sizes, registers and memory', () => {
  const ops = fc.constantFrom('add', 'adc', 'sub', 'sbb', 'cmp');
  fc.assert(
    fc.property(
      ops,
      sizes,
      interesting,
      interesting,
      fc.boolean(),
      fc.boolean(),
      (op, size, a, b, carry, memory) => {
        const m = new Machine();
        m.set(S.EAX, a);
        m.set(S.ECX, b);
        m.guest.setInt32(0x10, a, true);
        m.set(S.FLAG_AUX, carry ? -0x80000000 : 0);
        m.run(instruction(op, [memory ? mem(0x10, size) : reg(S.EAX, size), reg(S.ECX, size)]));
        const want = model(op, a, b, carry ? 1 : 0, size);
        const got = (memory ? m.guest.getUint32(0x10, true) : m.get(S.EAX)) >>> 0;
        const r = op === 'cmp' ? a & MASK[size] : want.r;
        expect(got).toBe(((a & ~MASK[size]) | r) >>> 0);
        expect(m.status).toBe(want.flags);
      },
    ),
    { numRuns: 1000 },
  );
});

test('inc and dec keep CF; neg; logic clears CF and OF', () => {
  fc.assert(
    fc.property(sizes, interesting, interesting, fc.boolean(), (size, a, b, carry) => {
      const cf = carry ? S.F_CF : 0;
      for (const op of ['inc', 'dec', 'neg', 'and', 'or', 'xor', 'test', 'not'] as const) {
        const m = new Machine();
        m.set(S.EAX, a);
        m.set(S.ECX, b);
        m.run(instruction(carry ? 'stc' : 'clc'));
        const before = m.status;
        const two = op === 'and' || op === 'or' || op === 'xor' || op === 'test';
        m.run(instruction(op, two ? [reg(S.EAX, size), reg(S.ECX, size)] : [reg(S.EAX, size)]));
        let want: { r: number; flags: number };
        if (op === 'inc' || op === 'dec') {
          want = model(op === 'inc' ? 'add' : 'sub', a, 1, 0, size);
          want.flags = (want.flags & ~S.F_CF) | cf;
        } else if (op === 'neg') {
          want = model('sub', 0, a, 0, size);
        } else if (op === 'not') {
          want = { r: ~a & MASK[size], flags: before };
        } else {
          const r = op === 'or' ? a | b : op === 'xor' ? a ^ b : a & b;
          want = { r: r & MASK[size], flags: zsp(BigInt(r >>> 0), size) };
        }
        const r = op === 'test' ? a & MASK[size] : want.r;
        expect(m.get(S.EAX)).toBe(((a & ~MASK[size]) | r) >>> 0);
        expect(m.status).toBe(want.flags);
      }
    }),
    { numRuns: 300 },
  );
});

/** Intel SDM vol. 1, appendix B. */
function holds(cc: number, f: number): boolean {
  const has = (m: number) => (f & m) !== 0;
  const less = has(S.F_SF) !== has(S.F_OF);
  const base = [
    has(S.F_OF),
    has(S.F_CF),
    has(S.F_ZF),
    has(S.F_CF) || has(S.F_ZF),
    has(S.F_SF),
    has(S.F_PF),
    less,
    less || has(S.F_ZF),
  ][cc >> 1]!;
  return base !== ((cc & 1) === 1);
}

test('all conditions, fused with their compare and from stored flags', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(
        'sub',
        'cmp',
        'and',
        'test',
        'add',
        'xor',
        'adc',
        'sbb',
        'inc',
        'dec',
        'neg',
        'shl',
        'arpl',
      ),
      sizes,
      interesting,
      interesting,
      (op, size, a, b) => {
        for (let cc = 0; cc < 16; cc++) {
          const m = new Machine();
          m.set(S.EAX, a);
          m.set(S.ECX, b);
          const one = op === 'inc' || op === 'dec' || op === 'neg';
          const from = reg(S.ECX, op === 'shl' ? 1 : size);
          const first = instruction(op, one ? [reg(S.EAX, size)] : [reg(S.EAX, size), from]);
          const setcc = (slot: number) => instruction('setcc', [reg(slot, 1)], { cc });
          const out = m.run(first, setcc(S.EDX), instruction('jcc', [rel(0x50)], { cc }));
          m.run(setcc(S.EBX));
          const want = holds(cc, m.status);
          expect([cc, m.get(S.EDX), m.get(S.EBX)]).toEqual([cc, Number(want), Number(want)]);
          expect(out).toEqual({ kind: 'goto', eip: want ? 0x154 : 0x106 });
        }
      },
    ),
    { numRuns: 200 },
  );
});

test('lahf, sahf, salc and setting the carry leave the other flags alone', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 255 }), fc.boolean(), (ah, overflow) => {
      const m = new Machine();
      if (overflow) {
        m.set(S.EAX, 0x7fffffff);
        m.run(instruction('add', [reg(S.EAX), imm(1)]));
      }
      m.set(S.EAX, ah << 8);
      m.run(instruction('sahf'));
      const want = (ah & 0xd5) | (overflow ? S.F_OF : 0);
      expect(m.status).toBe(want);
      m.run(instruction('lahf'), instruction('salc'));
      expect(m.get(S.EAX)).toBe((((ah & 0xd5) | 2) << 8) | (ah & 1 ? 0xff : 0));
      m.run(instruction('cmc'));
      expect(m.status).toBe(want ^ S.F_CF);
      m.run(instruction('stc'));
      expect(m.status).toBe(want | S.F_CF);
      m.run(instruction('clc'));
      expect(m.status).toBe(want & ~S.F_CF);
    }),
  );
});

import fc from 'fast-check';
import * as S from '../cpu-state.js';
import { imm, instruction, Machine, mem, reg } from './fixture.js';

test('bit tests in memory reach beyond the operand, in both directions', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('bt', 'bts', 'btr', 'btc'),
      fc.constantFrom<2 | 4>(2, 4),
      fc.integer({ min: -0x4000, max: 0x3fff }),
      fc.boolean(),
      (op, size, bit, set) => {
        const m = new Machine();
        const at = 0x2000 + Math.floor(bit / 8);
        const mask = 1 << (bit & 7);
        m.guest.setUint8(at, set ? 0xff : 0);
        // Upper halves of 16-bit registers do not matter.
        m.set(S.ECX, size === 2 ? 0x12340000 | (bit & 0xffff) : bit);
        m.set(S.FLAG_RESULT, 0);
        m.run(instruction(op, [mem(0x2000, size), reg(S.ECX, size)]));
        const old = set ? 0xff : 0;
        const want = { bt: old, bts: old | mask, btr: old & ~mask, btc: old ^ mask }[op]!;
        expect(m.guest.getUint8(at)).toBe(want);
        expect(m.status & (S.F_CF | S.F_ZF)).toBe(S.F_ZF | (set ? S.F_CF : 0));
      },
    ),
    { numRuns: 500 },
  );
});

test('bit tests of registers and by immediate take the number modulo the width', () => {
  const m = new Machine();
  m.set(S.ECX, 33);
  m.run(instruction('bts', [reg(S.ECX), reg(S.ECX)]));
  expect(m.get(S.ECX)).toBe(35);
  m.run(instruction('btc', [reg(S.ECX, 2), imm(17, 1)]));
  expect(m.get(S.ECX)).toBe(33);
  m.run(instruction('bts', [mem(0x30, 2), imm(31, 1)]));
  expect(m.guest.getUint32(0x30, true)).toBe(0x8000);
});

test('bsf and bsr leave the destination for zero', () => {
  const m = new Machine();
  m.set(S.EAX, 0x12345678);
  m.set(S.ECX, 0x00500000);
  m.run(instruction('bsf', [reg(S.EDX), reg(S.ECX)]), instruction('bsr', [reg(S.EBX), reg(S.ECX)]));
  expect([m.get(S.EDX), m.get(S.EBX), m.status & S.F_ZF]).toEqual([20, 22, 0]);
  m.run(instruction('bsf', [reg(S.EAX, 2), reg(S.ECX, 2)]));
  expect([m.get(S.EAX), m.status & S.F_ZF]).toEqual([0x12345678, S.F_ZF]);
});

test('cmpxchg: equal, different, with the accumulator itself, and write checked first', () => {
  const m = new Machine();
  m.set(S.EAX, 5);
  m.set(S.ECX, 9);
  m.guest.setUint32(0x40, 5, true);
  m.run(instruction('cmpxchg', [mem(0x40), reg(S.ECX)]));
  expect([m.guest.getUint32(0x40, true), m.get(S.EAX), m.status & S.F_ZF]).toEqual([9, 5, S.F_ZF]);
  m.run(instruction('cmpxchg', [mem(0x40), reg(S.ECX)]));
  expect([m.guest.getUint32(0x40, true), m.get(S.EAX)]).toEqual([9, 9]);
  expect(m.status).toBe(S.F_CF | S.F_SF | S.F_AF | S.F_PF);
  m.run(instruction('cmpxchg', [reg(S.EAX), reg(S.ESP)]));
  expect([m.get(S.EAX), m.status & S.F_ZF]).toEqual([0x2000, S.F_ZF]);
  m.set(S.EDX, 1);
  m.run(instruction('cmpxchg', [reg(S.EDX), reg(S.EAX)]));
  expect([m.get(S.EAX), m.get(S.EDX)]).toEqual([1, 1]);
  m.readOnlyFrom = 0x40;
  expect(m.run(instruction('cmpxchg', [mem(0x40), reg(S.ECX)]))).toMatchObject({
    vector: 14,
    errorCode: 2,
  });
  expect(m.get(S.EAX)).toBe(1);
});

test('cmpxchg8b changes ZF alone', () => {
  const m = new Machine();
  const run = () => m.run(instruction('cmpxchg8b', [mem(0x48, 8)]));
  m.guest.setBigUint64(0x48, 0x11111111_22222222n, true);
  m.set(S.EDX, 0x11111111);
  m.set(S.EAX, 0x22222222);
  m.set(S.ECX, 3);
  m.set(S.EBX, 4);
  m.set(S.FLAG_RESULT, -1);
  m.set(S.FLAG_AUX, 0xc0000008);
  const before = m.status;
  run();
  expect(m.guest.getBigUint64(0x48, true)).toBe(0x3_00000004n);
  expect(m.status).toBe(before | S.F_ZF);
  run();
  expect([m.get(S.EDX), m.get(S.EAX)]).toEqual([3, 4]);
  expect(m.status).toBe(before & ~S.F_ZF);
});

test('xadd, also with one register twice', () => {
  const m = new Machine();
  m.set(S.EAX, 3);
  m.guest.setUint16(0x50, 0xfffe, true);
  m.run(instruction('xadd', [mem(0x50, 2), reg(S.EAX, 2)]));
  expect([m.guest.getUint16(0x50, true), m.get(S.EAX)]).toEqual([1, 0xfffe]);
  expect(m.status & S.F_CF).toBe(S.F_CF);
  m.run(instruction('xadd', [reg(S.EAX), reg(S.EAX)]));
  expect(m.get(S.EAX)).toBe(0x1fffc);
});

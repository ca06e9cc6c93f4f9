import * as S from '../cpu-state.js';
import { GuestFault } from '../../ir/environment.js';
import { imm, instruction, Machine, mem, reg } from './fixture.js';

function words(m: Machine, at: number, n: number): number[] {
  return Array.from({ length: n }, (_, k) => m.guest.getUint32(at + 4 * k, true));
}

test('push and pop with esp as operand and as base', () => {
  const m = new Machine();
  m.run(instruction('push', [reg(S.ESP)]));
  expect([m.get(S.ESP), ...words(m, 0x1ffc, 1)]).toEqual([0x1ffc, 0x2000]);
  m.guest.setUint32(0x1ffc, 0x1234, true);
  m.run(instruction('pop', [reg(S.ESP)]));
  expect(m.get(S.ESP)).toBe(0x1234);
  m.set(S.ESP, 0x1000);
  m.guest.setUint32(0x1000, 77, true);
  m.guest.setUint32(0x1008, 88, true);
  // The address counts from the incremented esp.
  m.run(instruction('pop', [mem(4, 4, { base: S.ESP })]));
  expect([m.get(S.ESP), ...words(m, 0x1008, 1)]).toEqual([0x1004, 77]);
  // push [esp]: from the old one.
  m.run(instruction('push', [mem(4, 4, { base: S.ESP })]));
  expect([m.get(S.ESP), ...words(m, 0x1000, 1)]).toEqual([0x1000, 77]);
  m.run(instruction('push', [imm(-2)], { operandSize: 2 }));
  expect([m.get(S.ESP), m.guest.getUint16(0xffe, true)]).toEqual([0xffe, 0xfffe]);
});

test('a fault leaves esp alone', () => {
  const m = new Machine();
  m.readOnlyFrom = 0x1000;
  m.set(S.ESP, 0x2000);
  for (const i of [
    instruction('push', [reg(S.EAX)]),
    instruction('pop', [mem(0x1000)]),
    instruction('pusha'),
    instruction('pushf'),
    instruction('enter', [imm(0, 2), imm(3, 1)]),
    instruction('call', [reg(S.EAX)]),
  ]) {
    expect([i.op, m.run(i)]).toEqual([i.op, new GuestFault(14, 2)]);
    expect([m.get(S.ESP), m.get(S.EBP)]).toEqual([0x2000, 0]);
  }
});

test('pusha writes nothing unless all can be written; popa skips esp', () => {
  const m = new Machine();
  for (let n = 0; n < 8; n++) if (n !== 4) m.set(4 * n, 100 + n);
  m.run(instruction('pusha'));
  expect(m.get(S.ESP)).toBe(0x1fe0);
  expect(words(m, 0x1fe0, 8)).toEqual([107, 106, 105, 0x2000, 103, 102, 101, 100]);
  m.guest.setUint32(0x1fec, 5, true);
  m.set(S.EAX, 0);
  m.set(S.EDI, 0);
  m.run(instruction('popa'));
  expect([m.get(S.EAX), m.get(S.EDI), m.get(S.ESP)]).toEqual([100, 107, 0x2000]);
  m.run(instruction('pusha', [], { operandSize: 2 }));
  expect([m.get(S.ESP), m.guest.getUint16(0x1ffe, true)]).toEqual([0x1ff0, 100]);
});

test('pushf shows IF; popf keeps IF and IOPL, clears RF, sets the others', () => {
  const m = new Machine();
  m.run(instruction('std'), instruction('stc'), instruction('pushf'));
  expect(words(m, 0x1ffc, 1)).toEqual([S.F_IF | S.F_DF | S.F_CF | 2]);
  m.guest.setUint32(0x1ffc, 0xffffffff, true);
  expect(m.run(instruction('popf'))).toEqual({ kind: 'jump', eip: 0x102, hint: 3 });
  expect(m.get(S.FLAGS_SYSTEM)).toBe(S.F_IF | S.F_TF | S.F_NT | S.F_AC | S.F_ID);
  expect(m.status).toBe(0x8d5);
  expect(m.get(S.DIRECTION)).toBe(0xffffffff);
  // 16 bits leave the upper half alone.
  m.guest.setUint32(0x2000, 0, true);
  m.run(instruction('popf', [], { operandSize: 2 }));
  expect(m.get(S.FLAGS_SYSTEM)).toBe(S.F_IF | S.F_AC | S.F_ID);
  expect([m.status, m.get(S.DIRECTION), m.get(S.ESP)]).toEqual([0, 1, 0x2002]);
});

test('enter and leave, with nesting levels', () => {
  const m = new Machine();
  m.set(S.EBP, 0x3000);
  m.run(instruction('enter', [imm(0x20, 2), imm(0, 1)]));
  expect([m.get(S.EBP), m.get(S.ESP), ...words(m, 0x1ffc, 1)]).toEqual([0x1ffc, 0x1fdc, 0x3000]);
  m.run(instruction('leave'));
  expect([m.get(S.EBP), m.get(S.ESP)]).toEqual([0x3000, 0x2000]);
  m.guest.setUint32(0x2ffc, 11, true);
  m.guest.setUint32(0x2ff8, 22, true);
  m.run(instruction('enter', [imm(8, 2), imm(35, 1)]));
  expect([m.get(S.EBP), m.get(S.ESP)]).toEqual([0x1ffc, 0x1fe8]);
  expect(words(m, 0x1ff0, 4)).toEqual([0x1ffc, 22, 11, 0x3000]);
});

test('a 16-bit stack segment uses sp alone', () => {
  const m = new Machine();
  m.set(S.SEGMENT_ATTR + 4 * S.SS, 0x93);
  m.set(S.SEGMENT_LIMIT + 4 * S.SS, 0xffff);
  m.set(S.SEGMENT_BASE + 4 * S.SS, 0x100);
  m.set(S.ESP, 0x12340004);
  const segmented = { flat: false };
  m.run(instruction('push', [imm(5)], segmented));
  expect([m.get(S.ESP), ...words(m, 0x100, 1)]).toEqual([0x12340000, 5]);
  expect(m.run(instruction('pop', [reg(S.EAX)], segmented))).toMatchObject({ kind: 'next' });
  expect([m.get(S.ESP), m.get(S.EAX)]).toEqual([0x12340004, 5]);
  m.set(S.SEGMENT_LIMIT + 4 * S.SS, 2);
  m.set(S.ESP, 0);
  expect(m.run(instruction('pop', [reg(S.EAX)], segmented))).toEqual(new GuestFault(12, 0));
});

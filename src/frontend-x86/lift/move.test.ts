import * as S from '../cpu-state.js';
import { AddressShape } from '../instruction.js';
import { imm, instruction, Machine, mem, reg } from './fixture.js';

test('mov, movzx, movsx, lea with every address shape', () => {
  const m = new Machine();
  m.set(S.EBX, 0x100);
  m.set(S.ESI, 3);
  m.guest.setUint32(0x10c, 0x8081f2f3, true);
  const at = { base: S.EBX, index: S.ESI, scale: 2 };
  m.run(
    instruction('mov', [reg(S.EAX), mem(0, 4, at)]),
    instruction('movzx', [reg(S.ECX), mem(0, 1, at)]),
    instruction('movsx', [reg(S.EDX), mem(0, 2, at)]),
    instruction('lea', [reg(S.EDI), mem(-1, 4, at)]),
    instruction('mov', [reg(S.EBP + 0, 1), reg(S.EAX + 1, 1)]),
  );
  expect(m.get(S.EAX)).toBe(0x8081f2f3);
  expect(m.get(S.ECX)).toBe(0xf3);
  expect(m.get(S.EDX)).toBe(0xfffff2f3);
  expect(m.get(S.EDI)).toBe(0x10b);
  expect(m.get(S.EBP)).toBe(0xf2);
  // 16-bit addresses wrap.
  m.set(S.EBX, 0x1fffe);
  m.run(instruction('lea', [reg(S.EAX), mem(0x12, 4, { base: S.EBX, shape: AddressShape.general16 })]));
  expect(m.get(S.EAX)).toBe(0x10);
  // FS: base added, sum wraps.
  m.set(S.SEGMENT_BASE + 4 * S.FS, 0x200);
  m.set(S.SEGMENT_LIMIT + 4 * S.FS, -1);
  m.set(S.SEGMENT_ATTR + 4 * S.FS, 0xc0f3);
  m.run(instruction('mov', [mem(-0x100, 4, { shape: AddressShape.fsgs, segment: S.FS }), imm(0x55)]));
  expect(m.guest.getUint32(0x100, true)).toBe(0x55);
  // A null FS cannot be used.
  m.set(S.SEGMENT_ATTR + 4 * S.FS, 0);
  m.set(S.SEGMENT_LIMIT + 4 * S.FS, 0);
  const unusable = instruction('mov', [reg(S.EAX), mem(0, 4, { shape: AddressShape.fsgs, segment: S.FS })]);
  expect(m.run(unusable)).toMatchObject({ vector: 13, errorCode: 0 });
});

test('xchg with memory on either side, with itself, and between bytes of one register', () => {
  const m = new Machine();
  m.set(S.EAX, 0x1122);
  m.run(instruction('xchg', [reg(S.EAX, 1), reg(S.EAX + 1, 1)]));
  expect(m.get(S.EAX)).toBe(0x2211);
  m.run(instruction('xchg', [reg(S.EAX), reg(S.EAX)]));
  expect(m.get(S.EAX)).toBe(0x2211);
  m.guest.setUint32(0x60, 7, true);
  m.set(S.EBX, 0x60);
  m.run(instruction('xchg', [mem(0, 4, { base: S.EBX }), reg(S.EBX)]));
  expect([m.get(S.EBX), m.guest.getUint32(0x60, true)]).toEqual([7, 0x60]);
});

test('cmov reads memory whatever the condition', () => {
  const m = new Machine();
  m.set(S.EAX, 1);
  m.set(S.FLAG_RESULT, 1);
  const missing = instruction('cmovcc', [reg(S.EAX), mem(0x10000)], { cc: 4 });
  expect(m.run(missing)).toMatchObject({ vector: 14, errorCode: 0 });
  m.guest.setUint32(0x60, 7, true);
  m.run(instruction('cmovcc', [reg(S.EAX), mem(0x60)], { cc: 4 }));
  expect(m.get(S.EAX)).toBe(1);
  m.run(instruction('cmovcc', [reg(S.EAX), mem(0x60)], { cc: 5 }));
  expect(m.get(S.EAX)).toBe(7);
});

test('bswap, cbw, cwde, cwd, cdq, xlat', () => {
  const m = new Machine();
  m.set(S.EAX, 0x12345680);
  m.run(instruction('bswap', [reg(S.EAX)]));
  expect(m.get(S.EAX)).toBe(0x80563412);
  m.set(S.EAX, 0x12345680);
  m.run(instruction('cbw', [], { operandSize: 2 }), instruction('cwd', [], { operandSize: 2 }));
  expect([m.get(S.EAX), m.get(S.EDX)]).toEqual([0x1234ff80, 0xffff]);
  m.run(instruction('cbw'), instruction('cwd'));
  expect([m.get(S.EAX), m.get(S.EDX)]).toEqual([0xffffff80, 0xffffffff]);
  m.set(S.EBX, 0x100);
  m.guest.setUint8(0x180, 0x77);
  m.run(instruction('xlat'));
  expect(m.get(S.EAX)).toBe(0xffffff77);
});

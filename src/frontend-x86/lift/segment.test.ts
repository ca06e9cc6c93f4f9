import * as S from '../cpu-state.js';
import { GuestFault } from '../../ir/environment.js';
import { AddressShape } from '../instruction.js';
import { imm, instruction, Machine, mem, reg } from './fixture.js';

const sreg = (number: number) => ({ kind: 'sreg', number }) as const;
const load = (number: number, selector: number) => instruction('mov', [sreg(number), imm(selector, 2)]);

test('data segment loads: hidden part, null, and every refusal', () => {
  const m = new Machine();
  m.descriptor(6, 0x12345678, 0x12345, 0x40f2); // DPL 3 data, byte granular, not yet accessed
  expect(m.run(load(S.GS, 0x33))).toMatchObject({ kind: 'next', eip: 0x102 });
  const part = (slot: number) => m.get(slot + 4 * S.GS);
  expect([part(S.SELECTOR), part(S.SEGMENT_BASE), part(S.SEGMENT_LIMIT), part(S.SEGMENT_ATTR)]).toEqual([
    0x33, 0x12345678, 0x12345, 0x40f3,
  ]);
  m.run(load(S.GS, 3));
  expect([part(S.SELECTOR), part(S.SEGMENT_ATTR)]).toEqual([3, 0]);
  // RPL 0 into DPL 1 data at CPL 1 is fine; DPL below CPL or RPL is not.
  expect(m.run(load(S.DS, 0x68))).toMatchObject({ kind: 'next', eip: 0x102 });
  expect(m.run(load(S.DS, 0x6b))).toEqual(new GuestFault(13, 0x68));
  m.descriptor(1, 0, 0xfffff, 0xc093);
  expect(m.run(load(S.ES, 0x08))).toEqual(new GuestFault(13, 8));
  expect(m.run(load(S.ES, 0x6d))).toEqual(new GuestFault(13, 0x6c)); // TI
  expect(m.run(load(S.ES, 0x100))).toEqual(new GuestFault(13, 0x100)); // beyond the limit
  m.descriptor(2, 0, 0xfffff, 0xc0b9); // execute-only code
  expect(m.run(load(S.ES, 0x11))).toEqual(new GuestFault(13, 0x10));
  m.descriptor(2, 0, 0x67, 0x00a9); // TSS
  expect(m.run(load(S.ES, 0x11))).toEqual(new GuestFault(13, 0x10));
  m.descriptor(2, 0, 0xfffff, 0xc033); // not present
  expect(m.run(load(S.ES, 0x11))).toEqual(new GuestFault(11, 0x10));
  m.descriptor(2, 0, 0xfffff, 0xc09f); // conforming code of DPL 0: readable by all
  expect(m.run(load(S.ES, 0x13))).toMatchObject({ kind: 'next' });
  expect(m.run(load(S.CS, 0x61))).toEqual(new GuestFault(6, 0));
});

test('a load of what is there looks at the descriptor anew', () => {
  const m = new Machine();
  const part = (slot: number): number => m.get(slot + 4 * S.ES);
  m.descriptor(6, 0x1000, 0xfffff, 0x40f2);
  m.run(load(S.ES, 0x33));
  m.run(load(S.ES, 0x33));
  expect([part(S.SEGMENT_BASE), part(S.SEGMENT_ATTR)]).toEqual([0x1000, 0x40f3]);
  m.descriptor(6, 0x2000, 0xfffff, 0x40f2);
  m.run(load(S.ES, 0x33));
  expect(part(S.SEGMENT_BASE)).toBe(0x2000);
  m.descriptor(6, 0x2000, 0xfffff, 0x4072); // not present
  expect(m.run(load(S.ES, 0x33))).toEqual(new GuestFault(11, 0x30));
  m.descriptor(6, 0x2000, 0xfffff, 0x4092); // of the kernel
  m.set(S.CPL, 3);
  expect(m.run(load(S.ES, 0x33))).toEqual(new GuestFault(13, 0x30));
});

test('stack segment loads, and the interrupt shadow behind them', () => {
  const m = new Machine();
  m.set(S.INTERRUPT_SHADOW, -1);
  expect(m.run(load(S.SS, 0x69))).toMatchObject({ kind: 'jump' });
  expect(m.get(S.INTERRUPT_SHADOW)).toBe(0x102);
  expect(m.run(load(S.SS, 0))).toEqual(new GuestFault(13, 0));
  expect(m.run(load(S.SS, 0x68))).toEqual(new GuestFault(13, 0x68));
  expect(m.run(load(S.SS, 0x61))).toEqual(new GuestFault(13, 0x60));
  expect(m.run(load(S.SS, 0x7b))).toEqual(new GuestFault(13, 0x78));
  m.descriptor(13, 0, 0xfffff, 0xc033);
  expect(m.run(load(S.SS, 0x69))).toEqual(new GuestFault(12, 0x68));
});

test('pop of a segment moves esp only when it succeeds; lss loads both', () => {
  const m = new Machine();
  m.guest.setUint32(0x2000, 0xabcd6d, true);
  expect(m.run(instruction('pop', [sreg(S.DS)]))).toBeInstanceOf(GuestFault);
  expect(m.get(S.ESP)).toBe(0x2000);
  m.guest.setUint32(0x2000, 0xabcd0069, true);
  m.run(instruction('pop', [sreg(S.ES)]));
  expect([m.get(S.ESP), m.get(S.SELECTOR)]).toEqual([0x2004, 0x69]);
  m.guest.setUint32(0x10, 0x3000, true);
  m.guest.setUint16(0x14, 0x69, true);
  m.run(instruction('lss', [reg(S.ESP), mem(0x10, 6)]));
  expect([m.get(S.ESP), m.get(S.INTERRUPT_SHADOW)]).toEqual([0x3000, 0x102]);
  m.guest.setUint16(0x14, 0x6d, true);
  expect(m.run(instruction('lds', [reg(S.EAX), mem(0x10, 6)]))).toBeInstanceOf(GuestFault);
  expect(m.get(S.EAX)).toBe(0);
});

test('mov and push of selectors', () => {
  const m = new Machine();
  m.set(S.EAX, -1);
  m.guest.setUint32(0x10, -1, true);
  m.run(
    instruction('mov', [reg(S.EAX), sreg(S.CS)]),
    instruction('mov', [mem(0x10, 2), sreg(S.DS)]),
    instruction('push', [sreg(S.SS)]),
  );
  expect([m.get(S.EAX), m.guest.getUint32(0x10, true)]).toEqual([0x61, 0xffff0069]);
  expect(m.guest.getUint32(0x1ffc, true)).toBe(0x69);
});

test('lar, lsl, verr, verw, arpl change ZF alone', () => {
  const m = new Machine();
  m.descriptor(6, 0, 0x12, 0x40f2);
  m.descriptor(1, 0, 0xfffff, 0xc093);
  m.descriptor(2, 0, 0x67, 0x00e9); // available TSS, DPL 3
  m.descriptor(3, 0, 0x1234, 0x00ee); // interrupt gate
  m.set(S.FLAG_AUX, 0xc0000008 | 0);
  const zf = (op: string, selector: number, to = S.EAX) => {
    m.set(S.ECX, selector);
    m.set(S.EAX, 0x5555);
    const two = op === 'lar' || op === 'lsl';
    const before = m.status & ~S.F_ZF;
    m.run(instruction(op, two ? [reg(to), reg(S.ECX, 2)] : [reg(S.ECX, 2)]));
    expect(m.status & ~S.F_ZF).toBe(before);
    return (m.status & S.F_ZF) !== 0;
  };
  expect([zf('lar', 0x33), m.get(S.EAX)]).toEqual([true, 0x0040f200]);
  expect([zf('lsl', 0x33), m.get(S.EAX)]).toEqual([true, 0x12]);
  expect([zf('lsl', 0x61), m.get(S.EAX)]).toEqual([true, 0xffffffff]);
  expect([zf('lar', 0x08), m.get(S.EAX)]).toEqual([false, 0x5555]);
  expect([zf('lar', 0), zf('lar', 0x34), zf('lar', 0x1000)]).toEqual([false, false, false]);
  expect([zf('lar', 0x13), zf('lsl', 0x13), zf('lar', 0x1b), zf('lsl', 0x1b)]).toEqual([
    true,
    true,
    false,
    false,
  ]);
  expect([zf('verr', 0x61), zf('verw', 0x61), zf('verw', 0x69), zf('verr', 0x13)]).toEqual([
    true,
    false,
    true,
    false,
  ]);
  expect(zf('verr', 0x6b)).toBe(false);
  m.set(S.EAX, 0x10);
  m.set(S.ECX, 3);
  m.run(instruction('arpl', [reg(S.EAX, 2), reg(S.ECX, 2)]));
  expect([m.get(S.EAX), m.status & S.F_ZF]).toEqual([0x13, S.F_ZF]);
  m.run(instruction('arpl', [reg(S.EAX, 2), reg(S.ESP, 2)]));
  expect([m.get(S.EAX), m.status & S.F_ZF]).toEqual([0x13, 0]);
});

test('limits, types and wrapping of segments that are not flat', () => {
  const m = new Machine();
  const at = (disp: number, size: 1 | 2 | 4, segment = S.ES) =>
    mem(disp, size, { shape: AddressShape.general, segment });
  const set = (base: number, limit: number, attr: number, s = S.ES) => {
    m.set(S.SEGMENT_BASE + 4 * s, base);
    m.set(S.SEGMENT_LIMIT + 4 * s, limit);
    m.set(S.SEGMENT_ATTR + 4 * s, attr);
  };
  const read = (disp: number, s = S.ES) => m.run(instruction('mov', [reg(S.EAX), at(disp, 4, s)]));
  const write = (disp: number) => m.run(instruction('mov', [at(disp, 4), reg(S.EAX)]));
  const gp = new GuestFault(13, 0);
  set(0x100, 0xff, 0x40f3);
  m.guest.setUint32(0x1fc, 0xcafe, true);
  expect(read(0xfc)).toMatchObject({ kind: 'next' });
  expect(m.get(S.EAX)).toBe(0xcafe);
  expect(read(0xfd)).toEqual(gp);
  expect(read(-2)).toEqual(gp);
  set(0x100, 0xff, 0x40f1); // read-only
  expect([read(0).constructor.name, write(0)]).toEqual(['Object', gp]);
  set(0x100, 0xff, 0x40f9); // execute-only
  expect([read(0), write(0)]).toEqual([gp, gp]);
  set(0x100, 0xff, 0x40f7); // expand-down: offsets above the limit
  m.set(S.SEGMENT_BASE, -0x100000000 + 0x1000);
  expect(read(0xff)).toEqual(gp);
  expect(read(0x100)).toMatchObject({ kind: 'next' });
  expect(read(-2)).toEqual(gp);
  set(0x100, -1, 0xc0f3);
  expect(read(-0x10)).toMatchObject({ kind: 'next' });
  set(0, 0, 0);
  expect(read(0)).toEqual(gp);
  set(0, 0xff, 0x40b3, S.SS);
  expect(read(0x100, S.SS)).toEqual(new GuestFault(12, 0));
});

import * as S from '../cpu-state.js';
import { GuestFault } from '../../ir/environment.js';
import { LEAVE } from '../leave.js';
import { imm, instruction, Machine, mem, reg, rel } from './fixture.js';

function push(m: Machine, ...values: number[]): void {
  for (const v of values) {
    m.set(S.ESP, m.get(S.ESP) - 4);
    m.guest.setUint32(m.get(S.ESP), v, true);
  }
}

test('calls push the next offset; the target is read first', () => {
  const m = new Machine();
  expect(m.run(instruction('call', [rel(0x40)]))).toEqual({ kind: 'goto', eip: 0x140 });
  expect(m.guest.getUint32(0x1ffc, true)).toBe(0x102);
  expect(m.run(instruction('call', [reg(S.ESP)]))).toEqual({ kind: 'jump', eip: 0x1ffc, hint: 1 });
  m.guest.setUint32(0x1ff8, 0x77, true);
  expect(m.run(instruction('call', [mem(0, 4, { base: S.ESP })]))).toMatchObject({ eip: 0x77 });
  expect(m.get(S.ESP)).toBe(0x1ff4);
  expect(m.run(instruction('ret', [imm(8, 2)]))).toEqual({ kind: 'jump', eip: 0x102, hint: 2 });
  expect(m.get(S.ESP)).toBe(0x2000);
});

test('16-bit operand size truncates eip', () => {
  const m = new Machine();
  m.eip = 0x12340;
  const size = { operandSize: 2 } as const;
  expect(m.run(instruction('jmp', [rel(0x10)], size))).toMatchObject({ eip: 0x2350 });
  expect(m.run(instruction('jcc', [rel(0x10)], { ...size, cc: 5 }))).toMatchObject({ eip: 0x2350 });
  expect(m.run(instruction('jcc', [rel(0x10)], { ...size, cc: 4 }))).toMatchObject({ eip: 0x12342 });
  expect(m.run(instruction('call', [rel(0x10)], size))).toMatchObject({ eip: 0x2350 });
  expect(m.guest.getUint16(0x1ffe, true)).toBe(0x2342);
});

test('loop, loope, loopne, jecxz', () => {
  const taken = { kind: 'goto', eip: 0x110 };
  const not = { kind: 'goto', eip: 0x102 };
  const m = new Machine();
  m.set(S.ECX, 1);
  m.set(S.FLAG_RESULT, 0);
  const run = (op: string, addressSize: 2 | 4 = 4) => m.run(instruction(op, [rel(0x10)], { addressSize }));
  expect(run('loop')).toEqual(not);
  expect(run('jecxz')).toEqual(taken);
  expect(run('loop')).toEqual(taken);
  expect(m.get(S.ECX)).toBe(0xffffffff);
  expect(run('loope')).toEqual(taken);
  expect(run('loopne')).toEqual(not);
  m.set(S.ECX, 0x10001);
  expect(run('loop', 2)).toEqual(not);
  expect(m.get(S.ECX)).toBe(0x10000);
  expect(run('jecxz', 2)).toEqual(taken);
});

test('software interrupts leave', () => {
  const m = new Machine();
  const leave = (reason: number, detail: number) => ({ kind: 'leave', reason, detail, next: 0x102 });
  expect(m.run(instruction('int', [imm(0x80, 1)]))).toEqual(leave(LEAVE.int, 0x80));
  expect(m.run(instruction('int', [imm(-1, 1)]))).toEqual(leave(LEAVE.int, 0xff));
  expect(m.run(instruction('int3'))).toEqual(leave(LEAVE.trap, 3));
  expect(m.run(instruction('icebp'))).toEqual(leave(LEAVE.icebp, 1));
  expect(m.run(instruction('into'))).toEqual({ kind: 'goto', eip: 0x102 });
  m.set(S.FLAG_AUX, 0x40000000);
  expect(m.run(instruction('into'))).toEqual(leave(LEAVE.trap, 4));
});

test('bound', () => {
  const m = new Machine();
  m.guest.setInt32(0x10, -2, true);
  m.guest.setInt32(0x14, 5, true);
  const run = (index: number) => {
    m.set(S.EAX, index);
    return m.run(instruction('bound', [reg(S.EAX), mem(0x10, 8)]));
  };
  expect(run(-2)).toMatchObject({ kind: 'next' });
  expect(run(5)).toMatchObject({ kind: 'next' });
  expect(run(6)).toEqual(new GuestFault(5, 0));
  expect(run(-3)).toEqual(new GuestFault(5, 0));
});

test('iret to the same level keeps IF and IOPL', () => {
  const m = new Machine();
  push(m, 0x3cd7 & ~S.F_IF & ~S.F_NT, 0x61, 0x3000);
  expect(m.run(instruction('iret'))).toEqual({ kind: 'jump', eip: 0x3000, hint: 3 });
  expect([m.get(S.ESP), m.get(S.CPL), m.get(S.FLAGS_SYSTEM)]).toEqual([0x2000, 1, S.F_IF]);
  expect([m.status, m.get(S.DIRECTION)]).toEqual([0x8d5, 0xffffffff]);
});

test('iret to an outer level switches stacks and nulls inner data segments', () => {
  const m = new Machine();
  // FS: a DPL 3 segment stays, DS and ES (DPL 1) do not.
  m.run(instruction('mov', [{ kind: 'sreg', number: S.FS }, imm(0x7b, 2)]));
  push(m, 0x7b, 0x3f00, 0x202, 0x73, 0x4000);
  expect(m.run(instruction('iret'))).toEqual({ kind: 'jump', eip: 0x4000, hint: 3 });
  expect([m.get(S.ESP), m.get(S.CPL)]).toEqual([0x3f00, 3]);
  const selectors = [S.ES, S.CS, S.SS, S.DS, S.FS, S.GS].map((s) => m.get(S.SELECTOR + 4 * s));
  expect(selectors).toEqual([0, 0x73, 0x7b, 0, 0x7b, 0]);
  expect(m.get(S.SEGMENT_ATTR + 4 * S.DS)).toBe(0);
  expect(m.get(S.SEGMENT_ATTR + 4 * S.SS)).toBe(0xc0f3);
});

test('iret refuses NT, inner levels, data segments and bad stacks, changing nothing', () => {
  const m = new Machine();
  m.descriptor(1, 0, 0xfffff, 0xc09b);
  const attempt = (...frame: number[]) => {
    m.set(S.ESP, 0x2000);
    push(m, ...frame);
    const esp = m.get(S.ESP);
    const out = m.run(instruction('iret'));
    expect([m.get(S.ESP), m.get(S.CPL), m.get(S.SELECTOR + 4 * S.CS)]).toEqual([esp, 1, 0x61]);
    return out;
  };
  expect(attempt(0x202, 0x08, 0)).toEqual(new GuestFault(13, 8));
  expect(attempt(0x202, 0x69, 0)).toEqual(new GuestFault(13, 0x68));
  expect(attempt(0x202, 0, 0)).toEqual(new GuestFault(13, 0));
  expect(attempt(0x202, 0x65, 0)).toEqual(new GuestFault(13, 0x64));
  expect(attempt(0x202, 0x1001, 0)).toEqual(new GuestFault(13, 0x1000));
  expect(attempt(0x7a, 0x3f00, 0x202, 0x73, 0)).toEqual(new GuestFault(13, 0x78));
  expect(attempt(0, 0x3f00, 0x202, 0x73, 0)).toEqual(new GuestFault(13, 0));
  m.descriptor(15, 0, 0xfffff, 0xc073);
  expect(attempt(0x7b, 0x3f00, 0x202, 0x73, 0)).toEqual(new GuestFault(12, 0x78));
  m.set(S.FLAGS_SYSTEM, S.F_IF | S.F_NT);
  expect(attempt(0x202, 0x61, 0)).toEqual(new GuestFault(13, 0));
});

test('far calls, jumps and returns', () => {
  const m = new Machine();
  const far = (offset: number, selector: number) => ({ kind: 'far', offset, selector }) as const;
  expect(m.run(instruction('callf', [far(0x3000, 0x60)]))).toEqual({
    kind: 'jump',
    eip: 0x3000,
    hint: 3,
  });
  expect(m.get(S.SELECTOR + 4 * S.CS)).toBe(0x61);
  expect([m.guest.getUint32(0x1ffc, true), m.guest.getUint32(0x1ff8, true)]).toEqual([0x61, 0x102]);
  expect(m.run(instruction('retf', [imm(4, 2)]))).toMatchObject({ eip: 0x102 });
  expect(m.get(S.ESP)).toBe(0x2004);
  m.guest.setUint32(0x10, 0x55, true);
  m.guest.setUint16(0x14, 0x61, true);
  expect(m.run(instruction('jmpf', [mem(0x10, 6)]))).toMatchObject({ eip: 0x55 });
  expect(m.run(instruction('jmpf', [far(0, 0x69)]))).toEqual(new GuestFault(13, 0x68));
  expect(m.run(instruction('callf', [far(0, 0x73)]))).toEqual(new GuestFault(13, 0x70));
  // To an outer level, releasing bytes on both stacks.
  m.set(S.ESP, 0x2000);
  push(m, 0x7b, 0x3f00, 0xaaaa, 0x73, 0x4000);
  m.run(instruction('retf', [imm(4, 2)]));
  expect([m.get(S.ESP), m.get(S.CPL)]).toEqual([0x3f04, 3]);
});

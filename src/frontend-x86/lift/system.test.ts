import * as S from '../cpu-state.js';
import { GuestFault } from '../../ir/environment.js';
import { LEAVE } from '../leave.js';
import { instruction, Machine, mem, reg } from './fixture.js';

test('privileged instructions raise #GP(0), undefined ones #UD', () => {
  const m = new Machine();
  expect(m.run(instruction('privileged'))).toEqual(new GuestFault(13, 0));
  expect(m.run(instruction('too_long'))).toEqual(new GuestFault(13, 0));
  expect(m.run(instruction('ud'))).toEqual(new GuestFault(6, 0));
});

test('rdtsc, cpuid, vmcall', () => {
  const m = new Machine();
  m.run(instruction('rdtsc'));
  expect([m.get(S.EAX), m.get(S.EDX)]).toEqual([2, 1]);
  const leave = (reason: number) => ({ kind: 'leave', reason, detail: 0, next: 0x102 });
  expect(m.run(instruction('cpuid'))).toEqual(leave(LEAVE.cpuid));
  expect(m.run(instruction('vmcall'))).toEqual(leave(LEAVE.vmcall));
});

test('debug registers are left to the owner, and refused to CPL 3', () => {
  const m = new Machine();
  const dr = { kind: 'dreg', number: 6 } as const;
  expect(m.run(instruction('mov_dr', [reg(S.ECX), dr]))).toMatchObject({
    reason: LEAVE.debugRegister,
    detail: 0x61,
  });
  expect(m.run(instruction('mov_dr', [dr, reg(S.EDI)]))).toMatchObject({ detail: 0x167 });
  m.set(S.CPL, 3);
  expect(m.run(instruction('mov_dr', [reg(S.ECX), dr]))).toEqual(new GuestFault(13, 0));
});

test('sgdt, sidt, sldt, str, smsw', () => {
  const m = new Machine();
  m.set(S.GDT_REPORTED_BASE, 0xc1234567);
  m.set(S.IDT_REPORTED_BASE, 0xc0000800);
  m.set(S.IDT_REPORTED_LIMIT, 0x7ff);
  m.set(S.TR_SELECTOR, 0x80);
  m.set(S.CR0_REPORTED, 0x8005003b);
  m.set(S.CR0_TS, 1);
  m.run(
    instruction('sgdt', [mem(0x10, 6)]),
    instruction('sidt', [mem(0x20, 6)]),
    instruction('str', [reg(S.EAX)]),
    instruction('smsw', [reg(S.ECX)]),
    instruction('smsw', [reg(S.EDX, 2)]),
  );
  expect([m.guest.getUint16(0x10, true), m.guest.getUint32(0x12, true)]).toEqual([0xff, 0xc1234567]);
  expect([m.guest.getUint16(0x20, true), m.guest.getUint32(0x22, true)]).toEqual([0x7ff, 0xc0000800]);
  expect([m.get(S.EAX), m.get(S.ECX), m.get(S.EDX)]).toEqual([0x80, 0x8005003b, 0x3b]);
});

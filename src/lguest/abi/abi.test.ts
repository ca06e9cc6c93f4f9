import * as S from '../../frontend-x86/cpu-state.js';
import { LEAVE } from '../../frontend-x86/leave.js';
import { bareFixture, DATA, ENTRY, handlerOf, NOIRQ } from '../testing/scripted-engine.js';
import type { GuestAbi } from './abi.js';
import { GUEST_ABIS, abiByName } from './detect.js';

test.each(GUEST_ABIS.map((abi) => [abi.name, abi] as const))('Linux %s is detected at INIT', (_, abi) => {
  const { engine, host } = bareFixture({}, abi);
  engine.int(0x1f, () => {
    engine.cpu.setReg(0, 1);
    engine.cpu.setReg(abi.argumentRegisters[0], DATA);
  });
  host.run(1);
  expect(host.abi.name).toBe(abi.name);
  expect(host.data.kernelAddress).toBe(0xc0000000);
  expect(host.data.syscallVector).toBe(0x80);
});

test.each(GUEST_ABIS.map((abi) => [abi.name, abi] as const))('the fields of %s do not overlap', (_, abi) => {
  const { data } = abi;
  const sizes: Partial<Record<keyof GuestAbi['data'], number>> = {
    time: 8,
    hcallStatus: 64,
    hcalls: 64 * abi.ringEntryBytes,
  };
  const fields = Object.entries(data)
    .filter(([name, at]) => name !== 'size' && at >= 0)
    .map(([name, at]) => ({ at, end: at + (sizes[name as keyof GuestAbi['data']] ?? 4) }))
    .sort((a, b) => a.at - b.at);
  fields.forEach(({ end }, i) => expect(end).toBe(i + 1 < fields.length ? fields[i + 1]!.at : data.size));
});

test.each(GUEST_ABIS.map((abi) => [abi.name, abi] as const))(
  '%s has a counter for each hypercall',
  (_, abi) => {
    expect(Math.max(...Object.keys(abi.hypercalls).map(Number))).toBeLessThan(S.HYPERCALL_NUMBERS);
  },
);

function initialised(name: string): ReturnType<typeof bareFixture> {
  const abi = abiByName(name)!;
  const f = bareFixture({ abi }, abi);
  f.engine.int(0x1f, () => {
    f.engine.cpu.setReg(0, 1);
    f.engine.cpu.setReg(abi.argumentRegisters[0], DATA);
  });
  f.host.run(1);
  return f;
}

test('2.6.24: its registers and ring order', () => {
  const { engine, host, setField } = initialised('2.6.24');
  [8, 0, 0, 1].forEach((word, i) => setField(84 + 4 * i, word)); // TS(edx = 1)
  engine.memory.write8(DATA + 20, 0);
  engine.int(0x1f, () => [0, 0, 0, 0].forEach((v, i) => engine.cpu.setReg(i, v)));
  host.run(1);
  expect(engine.cpu.get(S.CR0_TS)).toBe(1);
  engine.memory.write(0x5000, new TextEncoder().encode('Oops\0'));
  engine.int(0x1f, () => [2, 0, 0x5000, 0].forEach((v, i) => engine.cpu.setReg(i, v)));
  expect(host.run(1)).toMatchObject({ what: 'panic', message: 'Oops' });
});

test('2.6.24: what switches interrupts on without a word is found', () => {
  const { engine, host, setField } = initialised('2.6.24');
  const handler = handlerOf(33);
  const gate = [6, (handler & 0xffff0000) | 0x8e00, 33, 0x600000 | (handler & 0xffff)];
  engine.int(0x1f, () => gate.forEach((v, i) => engine.cpu.setReg(i, v)));
  host.run(1);
  engine.cpu.set(S.ESP, 0x30000);
  setField(0, 0);
  host.raiseIrq(1);
  engine.execute(100, () => setField(0, 0x200));
  host.run(100);
  expect(engine.cpu.eip).not.toBe(handler);
  host.run(4093);
  expect(engine.cpu.eip).toBe(handler);
});

test('2.6.32: vmcall, and page tables at the start', () => {
  const { engine, host, field } = initialised('2.6.32');
  const { mmu, memory } = engine;
  const root = memory.ramBytes - 4096;
  expect(mmu.root).toBe(root);
  expect(field(1376)).toBe(root);
  expect(mmu.translate(0x123456, true, false)).toBe(0x123456);
  expect(mmu.translate(0xc0123456, true, false)).toBe(0x123456);
  expect(mmu.translate(0x80123456, true, false)).toBe(-1);
  engine.cpu.setReg(0, 8);
  engine.cpu.setReg(3, 8);
  engine.leave(LEAVE.vmcall, 0);
  host.run(1);
  expect(engine.cpu.get(S.CR0_TS)).toBe(1);
});

test('2.6.32 with PAE', () => {
  const abi = abiByName('2.6.32')!;
  const { engine } = bareFixture({ abi, pae: true }, abi);
  expect(engine.mmu.translate(0x3ff000, true, false)).toBe(0x3ff000);
  expect(engine.mmu.translate(0xc0001234, true, false)).toBe(0x1234);
});

test('4.1: an interrupt at the iret is delivered on the frame that is there', () => {
  const { engine, host, setField, field } = initialised('4.1');
  const handler = handlerOf(33);
  engine.hypercall(6, 33, 0x600000 | (handler & 0xffff), (handler & 0xffff0000) | 0x8e00);
  host.run(1);
  setField(0, 0x200);
  setField(4, 0);
  engine.cpu.eip = NOIRQ;
  engine.cpu.set(S.ESP, 0x30000);
  [ENTRY, 0x61, S.F_TF | S.F_CF | 0x202].forEach((word, i) => engine.memory.write32(0x30000 + 4 * i, word));
  host.raiseIrq(1);
  host.run(1);
  expect(engine.cpu.eip).toBe(handler);
  expect(engine.cpu.get(S.ESP)).toBe(0x30000);
  expect(engine.cpu.eflags).toBe(S.F_IF | S.F_CF | 2);
  expect(field(0)).toBe(0);
});

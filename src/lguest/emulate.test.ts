import { enterUser, ENTRY, fixture, handlerOf } from './testing/scripted-engine.js';

function gpAt(bytes: number[], ring3 = false): ReturnType<typeof fixture> {
  const f = fixture();
  f.engine.memory.write(ENTRY, Uint8Array.from(bytes));
  f.engine.cpu.setReg(0, 0x12345678);
  if (ring3) enterUser(f.engine, ENTRY, 0x50000);
  f.engine.fault(13, 0).execute(1);
  f.host.run(ring3 ? 1 : 1);
  return f;
}

test.each([
  ['cli', [0xfa], 1, 0x12345678],
  ['in al, imm8', [0xe4, 0x60], 2, 0x123456ff],
  ['in ax, imm8', [0x66, 0xe5, 0x60], 3, 0x1234ffff],
  ['in eax, imm8', [0xe5, 0x60], 2, 0xffffffff],
  ['in al, dx', [0xec], 1, 0x123456ff],
  ['in eax, dx', [0xed], 1, 0xffffffff],
  ['out dx, al', [0xee], 1, 0x12345678],
  ['out imm8, ax', [0x66, 0xe7, 1], 3, 0x12345678],
])('%s is stepped over', (_, bytes, length, eax) => {
  const f = gpAt(bytes);
  expect(f.engine.cpu.eip).toBe(ENTRY + length);
  expect(f.engine.cpu.reg(0)).toBe(eax);
  expect(f.host.counters()['emulated instructions']).toBe(1);
  expect(f.host.counters()['exit fault']).toBe(1);
});

test.each([
  ['sti', [0xfb]],
  ['hlt', [0xf4]],
  ['ins', [0x6c]],
  ['loop', [0xe2, 0]],
])('%s is the guest’s #GP', (_, bytes) => {
  expect(gpAt(bytes).engine.cpu.eip).toBe(handlerOf(13));
});

test('nothing is emulated for ring 3', () => {
  expect(gpAt([0xfa], true).engine.cpu.eip).toBe(handlerOf(13));
});

test('device ports are asked', () => {
  const seen: number[][] = [];
  const f = fixture({
    ports: {
      read: (port, bytes) => (seen.push([port, bytes]), 0xaabb),
      write: (port, bytes, value) => void seen.push([port, bytes, value]),
    },
  });
  f.engine.memory.write(ENTRY, Uint8Array.from([0xec, 0xef]));
  f.engine.cpu.setReg(2, 0xcf8);
  f.engine.fault(13, 0).fault(13, 0);
  f.host.run(2);
  expect(seen).toEqual([
    [0xcf8, 1],
    [0xcf8, 4, 0xbb],
  ]);
});

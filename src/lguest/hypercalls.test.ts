import * as S from '../frontend-x86/cpu-state.js';
import { LINUX_3_10 } from './abi/linux-3.10.js';
import { bareFixture, DATA, fixture, handlerOf, type Fixture } from './testing/scripted-engine.js';

const D = LINUX_3_10.data;

function ring(f: Fixture, slot: number, ...words: number[]): void {
  words.forEach((word, i) => f.setField(D.hcalls + 20 * slot + 4 * i, word));
  f.engine.memory.write8(DATA + D.hcallStatus + slot, 0);
}

describe('LGUEST_INIT', () => {
  test('is detected, introduces the machine and sets the time', () => {
    const lines: string[] = [];
    const f = bareFixture({ log: (line) => lines.push(line) });
    f.engine.hypercall(1, DATA);
    f.host.run(1);
    expect(f.host.abi.name).toBe('3.10');
    expect(lines).toEqual(['guest interface: Linux 3.10 (by its lguest_data), lguest_data at 0x20000']);
    expect(f.field(D.reserveMem)).toBe(0x22000);
    expect(f.field(D.tscKhz)).toBe(1000000);
    expect(f.engine.mmu.kernelAddress).toBe(0xc0000000);
    expect(f.engine.cpu.eip).toBe(0x100002);
  });
  test('must come first', () => {
    const f = bareFixture();
    f.engine.hypercall(5, 0);
    expect(() => f.host.run(1)).toThrow('hypercall 5 before LGUEST_INIT');
  });
  test('must not come twice', () => {
    const f = fixture();
    f.engine.hypercall(1, DATA);
    expect(() => f.host.run(1)).toThrow('LGUEST_INIT a second time');
  });
  test('with an address outside memory kills', () => {
    for (const address of [0xffffffff, 0x7fffffff, (1 << 22) + 16 * 4096 - 1391]) {
      const f = bareFixture();
      f.engine.hypercall(1, address);
      expect(() => f.host.run(1)).toThrow('outside guest memory');
    }
  });
});

test('the ring is drained in order before a call made directly, at most one turn, and wraps', () => {
  const f = fixture();
  const seen: number[] = [];
  const g = fixture({ onNotify: (address) => seen.push(address) > 0 });
  for (let i = 0; i < 64; i++) ring(g, i, 17, 0x1000 + i);
  g.engine.hypercall(17, 1);
  g.host.run(1);
  expect(seen).toEqual([...Array.from({ length: 64 }, (_, i) => 0x1000 + i), 1]);
  for (let i = 0; i < 64; i++) expect(g.engine.memory.read8(DATA + D.hcallStatus + i)).toBe(0xff);
  ring(g, 0, 17, 7);
  ring(g, 2, 17, 8); // not reached: slot 1 is free
  g.engine.hypercall(0);
  g.host.run(1);
  expect(seen.slice(65)).toEqual([7]);
  expect(g.host.counters()['ring hypercall NOTIFY']).toBe(65);
  // Not drained by traps.
  ring(f, 0, 8, 8);
  f.engine.fault(6, 0).execute(1);
  f.host.run(1);
  expect(f.engine.cpu.get(S.CR0_TS)).toBe(0);
  f.engine.hypercall(19);
  f.host.run(1);
  expect(f.engine.cpu.get(S.CR0_TS)).not.toBe(0);
});

test('arguments that name nothing kill with a reason', () => {
  const cases: [RegExp, number, ...number[]][] = [
    [/unknown hypercall 3\b/, 3],
    [/unknown hypercall 4294967295/, 0xffffffff],
    [/string at 0xfffffff0/, 2, 0xfffffff0, 1],
    [/bad page table address 0x1004/, 4, 0x1004],
    [/bad page table address 0xfffff000/, 4, 0xfffff000],
    [/IDT entry 256/, 6, 256, 0, 0],
    [/IDT entry 9 has the bad type 0x5/, 6, 9, 0, 0x8500],
    [/bad stack segment 0x68/, 7, 0x68, 0x1000, 1],
    [/stack of 3 pages/, 7, 0x69, 0x1000, 3],
    [/stack segment 0x61/, 7, 0x61, 0x1000, 1],
    [/stack segment 0xfffffff9/, 7, 0xfffffff9, 0x1000, 1],
    [/top level page table entry 1024/, 15, 0x1000, 1024],
    [/GDT entry 32/, 18, 32, 0, 0],
    [/descriptors at 0xfffffff0/, 16, 0xfffffff0],
    [/string at 0xffffffff/, 17, 0xffffffff],
  ];
  for (const [message, number, ...words] of cases) {
    const f = fixture();
    f.engine.hypercall(number, ...words);
    expect(() => f.host.run(1)).toThrow(message);
  }
});

test('SHUTDOWN tells power off, restart and panic apart, and is final', () => {
  for (const [text, kind, what] of [
    ['Power down', 1, 'poweroff'],
    ['Restarting', 2, 'restart'],
    ['Kernel panic: no init', 1, 'panic'],
  ] as const) {
    const f = fixture();
    f.engine.memory.write(0x5000, new TextEncoder().encode(`${text}\0rest`));
    f.engine.hypercall(2, 0x5000, kind);
    const event = { kind: 'shutdown', what, message: text };
    expect(f.host.run(10)).toEqual(event);
    expect(f.host.run(10)).toEqual(event);
  }
});

test('a restart needs no string: Linux gives a null pointer', () => {
  const f = fixture();
  f.engine.hypercall(2, 0x40000000, 2);
  expect(f.host.run(1)).toMatchObject({ kind: 'shutdown', what: 'restart' });
});

test('a SHUTDOWN string at the end of memory ends there', () => {
  const f = fixture();
  const end = f.engine.memory.limitBytes;
  f.engine.memory.write(end - 3, new TextEncoder().encode('abc'));
  f.engine.hypercall(2, end - 3, 1);
  expect(f.host.run(1)).toMatchObject({ message: 'abc' });
});

test('NOTIFY that no device takes is early console output', () => {
  let text = '';
  const f = fixture({ onEarlyConsole: (t) => (text += t), onNotify: () => false });
  f.engine.memory.write(0x5000, new TextEncoder().encode('Linux\0'));
  f.engine.hypercall(17, 0x5000);
  f.host.run(1);
  expect(text).toBe('Linux');
});

describe('segments', () => {
  const descriptor = (f: Fixture, index: number): [number, number] => [
    f.engine.cpu.view.getUint32(f.engine.cpu.get(S.GDT_ADDRESS) + 8 * index, true),
    f.engine.cpu.view.getUint32(f.engine.cpu.get(S.GDT_ADDRESS) + 8 * index + 4, true),
  ];
  test('LOAD_GDT_ENTRY fixes level 0 and the accessed bit, and spares the Host its entries', () => {
    const f = fixture();
    f.engine.hypercall(18, 14, 0xffff, 0x00cffa00);
    f.engine.hypercall(18, 27, 0xffff, 0x008f9200);
    f.engine.hypercall(18, 16, 0x1234, 0x8900);
    f.host.run(3);
    expect(descriptor(f, 14)).toEqual([0xffff, 0x00cffb00]);
    expect(descriptor(f, 27)).toEqual([0xffff, 0x008fb300]);
    expect(descriptor(f, 16)).toEqual([0, 0]);
    expect(f.engine.segmentChanges).toBeGreaterThan(2);
  });
  test('LOAD_TLS reads three descriptors', () => {
    const f = fixture();
    for (let i = 0; i < 6; i++) f.engine.memory.write32(0x5000 + 4 * i, i & 1 ? 0x00cff300 : i);
    f.engine.hypercall(16, 0x5000);
    f.host.run(1);
    expect([6, 7, 8].map((i) => descriptor(f, i)[0])).toEqual([0, 2, 4]);
  });
});

describe('page tables', () => {
  const root = 0x40000;
  test('two levels are detected', () => {
    const f = fixture();
    f.engine.memory.write32(root + 0xc00, 0x41063);
    f.engine.memory.write32(root + 6 * 4, 0x41063);
    f.engine.hypercall(4, root);
    f.host.run(1);
    expect([f.engine.mmu.root, f.engine.mmu.pae]).toEqual([root, false]);
  });
  test('three levels are detected', () => {
    const f = fixture();
    f.engine.memory.write32(root + 0x60, 0x42001);
    f.engine.memory.write32(root + 0x60 + 24, 0x43001);
    f.engine.hypercall(4, root + 0x60);
    f.host.run(1);
    expect([f.engine.mmu.root, f.engine.mmu.pae]).toEqual([root + 0x60, true]);
    f.engine.hypercall(15, root, 4);
    expect(() => f.host.run(1)).toThrow('top level page table entry 4 does not exist');
  });
});

describe('timer and halt', () => {
  test('SET_CLOCKEVENT fires at the exact instruction with the virtual clock', () => {
    const f = fixture();
    const at = f.engine.instructions;
    f.engine.hypercall(9, 1000);
    f.host.run(5000);
    expect(f.engine.budgets.slice(0, 2)).toEqual([5000, 999]);
    expect(f.engine.cpu.eip).toBe(handlerOf(32));
    expect(f.engine.memory.read32(f.engine.cpu.get(S.ESP) + 8)).toBe(0x202);
    expect(f.field(D.time + 4)).toBe(at + 1000);
    expect(f.host.counters()['interrupt 0']).toBe(1);
  });
  test('0 switches it off', () => {
    const f = fixture();
    f.engine.hypercall(9, 1000).hypercall(9, 0);
    f.host.run(5000);
    expect(f.host.counters()['interrupt 0']).toBeUndefined();
  });
  test('HALT skips virtual time to the deadline, and delivery switches interrupts on', () => {
    const f = fixture();
    f.setField(D.irqEnabled, 0);
    const start = f.host.now();
    f.engine.hypercall(9, 10_000_000).hypercall(10);
    expect(f.host.run(10)).toEqual({ kind: 'budget' });
    expect(f.engine.cpu.eip).toBe(handlerOf(32));
    expect(f.engine.memory.read32(f.engine.cpu.get(S.ESP) + 8)).toBe(0x202);
    expect(f.host.now()).toBe(start + 10_000_000 + 8); // 8 instructions of the handler
  });
  test('HALT with nothing to come says so, and an interrupt ends it', () => {
    const f = fixture();
    f.engine.hypercall(10);
    expect(f.host.run(10)).toEqual({ kind: 'halted', until: undefined });
    expect(f.host.run(10)).toEqual({ kind: 'halted', until: undefined });
    f.host.raiseIrq(4);
    expect(f.host.run(10)).toEqual({ kind: 'budget' });
    expect(f.engine.cpu.eip).toBe(handlerOf(36));
  });
});

test('attention ends a run', () => {
  const f = fixture();
  f.host.requestAttention();
  expect(f.host.run(10)).toEqual({ kind: 'attention' });
});

test('a run ends when its time is over, however few instructions the hypercalls of the guest leave room for', () => {
  const { engine, host } = fixture();
  const start = engine.instructions;
  for (let i = 0; i < 3; i++) {
    engine.int(0x1f, () => {
      engine.cpu.setReg(0, 19);
      const end = performance.now() + 5;
      while (performance.now() < end);
    });
  }
  expect(host.run(1_000_000, 1)).toEqual({ kind: 'budget' });
  expect(engine.instructions).toBe(start + 1);
  expect(host.run(2, 1000)).toEqual({ kind: 'budget' });
  expect(engine.instructions).toBe(start + 3);
});

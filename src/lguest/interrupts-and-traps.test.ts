import * as S from '../frontend-x86/cpu-state.js';
import { LEAVE } from '../frontend-x86/leave.js';
import { LINUX_3_10 } from './abi/linux-3.10.js';
import { RealtimeClock } from './clock.js';
import {
  bareFixture,
  DATA,
  ENTRY,
  enterUser,
  fillLguestData,
  fixture,
  handlerOf,
  NOIRQ,
  STACK_TOP,
} from './testing/scripted-engine.js';

const D = LINUX_3_10.data;
const FLAGS = 0x202;

test('a system call from ring 3 switches to the kernel stack and keeps interrupts on', () => {
  const { engine, host, stack, field } = fixture();
  enterUser(engine, 0x8048000, 0xbffff000);
  const before = engine.instructions;
  engine.int(0x80);
  host.run(1);
  expect(engine.cpu.eip).toBe(handlerOf(0x80));
  expect(engine.cpu.get(S.CPL)).toBe(1);
  expect(engine.cpu.selector(S.CS)).toBe(0x61);
  expect(engine.cpu.selector(S.SS)).toBe(0x69);
  expect(engine.cpu.get(S.ESP)).toBe(STACK_TOP - 20);
  expect(stack(5)).toEqual([0x8048002, 0x73, FLAGS, 0xbffff000, 0x7b]);
  expect(field(D.irqEnabled)).toBe(0x200);
  expect(engine.instructions).toBe(before + 1);
});

test('a page fault at the kernel level pushes three words and the error code, and counts nothing', () => {
  const { engine, host, stack, field } = fixture();
  const before = engine.instructions;
  engine.fault(14, 2, 0xdeadb000);
  engine.execute(1);
  host.run(1);
  expect(engine.cpu.get(S.ESP)).toBe(STACK_TOP - 0x100 - 16);
  expect(stack(4)).toEqual([2, ENTRY, 0x61, FLAGS]);
  expect(field(D.cr2)).toBe(0xdeadb000);
  expect(field(D.irqEnabled)).toBe(0);
  expect(engine.cpu.eip).toBe(handlerOf(14));
  expect(engine.instructions).toBe(before + 1);
  expect(host.counters()['trap 14']).toBe(1);
});

test('the pushed interrupt flag is that of lguest_data; the handler starts with TF, NT, AC as rules say', () => {
  const { engine, host, stack, setField } = fixture();
  setField(D.irqEnabled, 0x46); // a whole EFLAGS image without bit 9
  engine.cpu.eflags = S.F_IF | S.F_NT | S.F_AC | S.F_CF | S.F_DF | 2;
  engine.fault(0, 0);
  engine.execute(1);
  host.run(1);
  expect(stack(3)[2]).toBe(S.F_NT | S.F_AC | S.F_CF | S.F_DF | 2);
  expect(engine.cpu.eflags).toBe(S.F_IF | S.F_AC | S.F_CF | S.F_DF | 2);
});

test('int n obeys the effective gate level', () => {
  for (const [vector, ok] of [
    [3, true],
    [5, false],
    [14, false],
    [0x20, false],
    [0x1f, false],
    [0x81, false],
  ] as const) {
    const { engine, host, stack } = fixture();
    enterUser(engine, 0x8048000, 0xbffff000);
    const before = engine.instructions;
    engine.int(vector);
    host.run(0);
    host.run(1);
    if (ok) {
      expect(engine.cpu.eip).toBe(handlerOf(vector));
    } else {
      expect(stack(2)).toEqual([8 * vector + 2, 0x8048000]);
      expect(engine.cpu.eip).toBe(handlerOf(13));
      expect(engine.instructions - before).toBe(1); // one of the handler's, none for the int
    }
  }
});

test('vmcall is an invalid opcode for this guest', () => {
  const { engine, host } = fixture();
  engine.leave(LEAVE.vmcall, 0);
  engine.execute(1);
  host.run(1);
  expect(engine.cpu.eip).toBe(handlerOf(6));
});

test('a frame on a page that is not mapped kills with a reason', () => {
  const { engine, host } = fixture();
  engine.cpu.set(S.ESP, 0x7fffff00);
  engine.fault(6, 0);
  expect(() => host.run(1)).toThrow(/^guest died at eip 0x100000: /);
  expect(() => host.run(1)).toThrow(/^guest died at eip 0x100000: /);
});

test('a trap without a gate kills', () => {
  const { engine, host } = fixture();
  engine.hypercall(6, 6, 0, 0);
  engine.fault(6, 0);
  expect(() => host.run(5)).toThrow('unhandled trap 6');
});

test('an interrupt is delivered at once when interrupts are on', () => {
  const { engine, host, stack, field } = fixture();
  host.raiseIrq(3);
  host.run(1);
  expect(engine.cpu.eip).toBe(handlerOf(35));
  expect(stack(3)).toEqual([ENTRY, 0x61, FLAGS]);
  expect(field(D.irqEnabled)).toBe(0);
  expect(field(D.irqPending)).toBe(0);
  expect(host.counters()['interrupt 3']).toBe(1);
});

test('lowest first; the next one is held back, shown, and found at a multiple of 4093', () => {
  const { engine, host, field, setField } = fixture();
  engine.instructions = 4069;
  host.raiseIrq(7);
  host.raiseIrq(2);
  engine.execute(100, () => setField(D.irqEnabled, 0x202)); // the guest says nothing when it does this
  host.run(24);
  expect(engine.cpu.eip).toBe(handlerOf(34));
  expect(field(D.irqPending)).toBe(0x200);
  expect(engine.budgets).toEqual([24]);
  host.run(5000);
  expect(engine.budgets).toEqual([24, 4093, 4017, 907]); // the script ends a run after its 100 instructions
  expect(engine.cpu.eip).toBe(handlerOf(39));
  expect(field(D.irqPending)).toBe(0);
});

test('a hypercall is a chance for a held interrupt', () => {
  const { engine, host, setField } = fixture();
  setField(D.irqEnabled, 0);
  host.raiseIrq(1);
  engine.execute(3, () => setField(D.irqEnabled, 0x200));
  engine.hypercall(19);
  host.run(4);
  expect(engine.cpu.eip).toBe(handlerOf(33));
  expect(engine.instructions % 4093).not.toBe(0);
});

test('blocked interrupts stay pending and are found when the guest unmasks them without a word', () => {
  const { engine, host, setField, field } = fixture();
  setField(D.blockedInterrupts, 1 << 5);
  host.raiseIrq(5);
  host.run(100);
  expect(engine.cpu.eip).toBe(ENTRY);
  expect(field(D.irqPending)).toBe(0);
  setField(D.blockedInterrupts, 0);
  host.run(20000);
  expect(engine.cpu.eip).toBe(handlerOf(37));
});

test('no interrupt inside the noirq range: the next instruction is looked at', () => {
  const { engine, host } = fixture();
  engine.cpu.eip = NOIRQ + 4;
  host.raiseIrq(1);
  engine.execute(1);
  engine.execute(1, () => (engine.cpu.eip = NOIRQ + 8));
  host.run(10);
  expect(engine.budgets).toEqual([1, 1, 8]);
  expect(engine.cpu.eip).toBe(handlerOf(33));
});

test('no interrupt in the shadow of mov ss, but a stale shadow does not hold it back', () => {
  const { engine, host } = fixture();
  engine.cpu.set(S.INTERRUPT_SHADOW, ENTRY);
  host.raiseIrq(1);
  host.run(10);
  expect(engine.budgets).toEqual([1, 9]); // the scripted eip never moves
  expect(engine.cpu.eip).toBe(handlerOf(33));
});

test('an interrupt without a gate stays pending', () => {
  const { engine, host } = fixture();
  host.raiseIrq(31);
  host.run(10);
  expect(engine.cpu.eip).toBe(ENTRY);
});

test('single step: #DB after the instruction, DR6 says why', () => {
  const { engine, host, stack } = fixture();
  enterUser(engine, 0x8048000, 0xbffff000);
  engine.cpu.eflags = S.F_TF | S.F_IF | 2;
  engine.execute(1, () => (engine.cpu.eip = 0x8048003));
  host.run(1);
  expect(engine.budgets).toEqual([1]);
  expect(engine.cpu.eip).toBe(handlerOf(1));
  expect(stack(3)).toEqual([0x8048003, 0x73, FLAGS | S.F_TF]);
  expect(engine.cpu.eflags & S.F_TF).toBe(0);
  engine.leave(LEAVE.debugRegister, (6 << 4) | 2);
  host.run(1);
  expect(engine.cpu.reg(2)).toBe(0xffff4ff0);
});

test('a handler that faults on its first instruction does not keep run from returning', () => {
  const { engine, host } = fixture();
  engine.mmu.pfnLimit = 0x100000;
  for (let i = 0; i < 5000; i++) engine.fault(6, 0);
  expect(host.run(1000)).toEqual({ kind: 'budget' });
  expect(engine.script.length).toBeGreaterThan(0);
});

test('interrupts that are pending together are delivered before the next instruction where the gates leave them on', () => {
  const { engine, host, stack } = fixture();
  for (const vector of [37, 38])
    host.traps.loadIdtEntry(vector, handlerOf(vector) & 0xffff, (handlerOf(vector) & 0xffff0000) | 0x8f00);
  host.raiseIrq(6);
  host.raiseIrq(5);
  engine.script.push((budget) => {
    expect(engine.cpu.eip).toBe(handlerOf(38));
    engine.instructions += budget;
    return LEAVE.budget;
  });
  host.run(100);
  expect(engine.budgets).toEqual([100]);
  expect(stack(6)).toEqual([handlerOf(37), 0x61, FLAGS, ENTRY, 0x61, FLAGS]);
});

test('a timer that ran out in real time is delivered after the next hypercall, not after the slice', () => {
  let ms = 0;
  const { engine, host, setField } = fixture({ clock: new RealtimeClock(0, () => ms) });
  setField(D.blockedInterrupts, 0);
  engine.hypercall(9, 1_000_000);
  engine.int(0x1f, () => {
    ms = 2;
    engine.cpu.setReg(0, 19);
  });
  engine.script.push(() => {
    expect(engine.cpu.eip).toBe(handlerOf(32));
    engine.instructions++;
    return LEAVE.budget;
  });
  host.run(3);
  expect(engine.script).toEqual([]);
});

describe('direct traps are allowed', () => {
  const allowed = ({ engine, host }: ReturnType<typeof fixture>): number => {
    engine.execute(1);
    host.run(1);
    return engine.cpu.get(S.DIRECT_TRAPS);
  };

  test('with gates, a stack and nothing pending', () => {
    const f = fixture();
    expect(allowed(f)).toBe(1);
    expect(f.engine.cpu.get(S.DIRECT_INT_HANDLER)).toBe(handlerOf(0x80));
    expect(f.engine.cpu.get(S.DIRECT_ESP)).toBe(STACK_TOP);
  });

  test('not while an interrupt is held back', () => {
    const f = fixture();
    f.setField(D.irqEnabled, 0);
    f.host.raiseIrq(3);
    expect(allowed(f)).toBe(0);
  });

  test('not with a stack segment that starts elsewhere', () => {
    const f = fixture();
    f.host.segments.loadEntry(13, 0x1000ffff, 0x00cf9200);
    expect(allowed(f)).toBe(0);
    f.host.segments.loadEntry(13, 0x0000ffff, 0x00cf9200);
    expect(allowed(f)).toBe(1);
  });

  test('as before, when a descriptor is loaded that stands there already', () => {
    const { segments } = fixture().host;
    const load = (low: number): number => {
      segments.loadEntry(6, low, 0x00cff200);
      return segments.version;
    };
    const version = load(0x1000ffff);
    expect(load(0x1000ffff)).toBe(version);
    expect(load(0x2000ffff)).not.toBe(version);
  });

  test('not with an lguest_data that is not aligned', () => {
    const f = bareFixture();
    fillLguestData(f.engine.memory, LINUX_3_10, DATA + 2);
    f.engine.hypercall(1, DATA + 2);
    f.engine.hypercall(7, 0x69, STACK_TOP, 1);
    f.host.run(2);
    expect(allowed(f)).toBe(0);
  });
});

import { GDT } from '../backend-wasm/memory-layout.js';
import { LINUX_3_10 } from './abi/linux-3.10.js';
import { VirtualClock } from './clock.js';
import { LguestUser } from './lguest-user.js';
import { DATA, ENTRY, fillLguestData, ScriptedEngine } from './testing/scripted-engine.js';

test('read runs until a NOTIFY, a break, a halt or the end', () => {
  const engine = new ScriptedEngine();
  const user = new LguestUser({
    engine,
    gdtAddress: GDT,
    clock: new VirtualClock(0),
    pfnLimit: engine.memory.limitBytes / 4096,
    start: ENTRY,
  });
  fillLguestData(engine.memory, LINUX_3_10, DATA);
  engine.hypercall(1, DATA).hypercall(17, 0x400000).hypercall(10);
  expect(user.read()).toEqual({ kind: 'notify', address: 0x400000 });
  expect(user.read()).toEqual({ kind: 'halted', until: undefined });
  user.break();
  expect(user.read()).toEqual({ kind: 'broken' });
  expect(() => user.irq(0)).toThrow(RangeError);
  expect(() => user.irq(32)).toThrow(RangeError);
  expect(engine.mmu.pfnLimit).toBe(engine.memory.limitBytes / 4096);
});

import { LEAVE } from '../frontend-x86/leave.js';
import { ROUGH_BUDGET } from '../runtime/engine.js';
import { LINUX_3_10 } from './abi/linux-3.10.js';
import { RealtimeClock, VirtualClock } from './clock.js';
import { fixture } from './testing/scripted-engine.js';
import { Deadlines } from './deadlines.js';

test('virtual time is the instruction count and what was skipped', () => {
  const clock = new VirtualClock(0, 0.4);
  expect(clock.now(10)).toBe(4);
  expect(clock.instructionsUntil(100, 10)).toBe(240);
  clock.skipTo(1000, 10);
  expect(clock.now(10)).toBe(1000);
  expect(clock.tsc(10)).toBe(1000n);
  for (const deadline of [1001, 1003, 1e9]) {
    const count = 10 + clock.instructionsUntil(deadline, 10);
    expect(clock.now(count)).toBeGreaterThanOrEqual(deadline);
    expect(clock.now(count - 1)).toBeLessThan(deadline);
  }
});

test('real time never goes back, and its slices follow the measured speed', () => {
  let ms = 5;
  const clock = new RealtimeClock(0, () => ms);
  expect(clock.now()).toBe(0);
  const t = clock.tsc();
  expect(clock.tsc()).toBe(t + 1n);
  ms = 4;
  expect(clock.now()).toBeGreaterThanOrEqual(0);
  let count = 0;
  ms = 5;
  for (let i = 0; i < 40; i++) {
    ms += 1;
    count += 400_000;
    clock.instructionsUntil(1e12, count);
  }
  const slice = clock.instructionsUntil(1e12, count);
  expect(slice).toBeGreaterThan(190_000);
  expect(slice).toBeLessThan(210_000);
  expect(clock.skipTo()).toBe(false);
});

test('a guest that gets a hundred times slower is looked at more often from the next slice on', () => {
  let ms = 0;
  const clock = new RealtimeClock(0, () => ms);
  let count = 0;
  for (let i = 0; i < 40; i++) {
    ms += 0.2;
    count += 80_000;
    clock.instructionsUntil(1e12, count);
  }
  // A pause changes nothing.
  ms += 500;
  clock.resume(count);
  expect(clock.instructionsUntil(1e12, count)).toBeGreaterThan(175_000);
  ms += 30;
  count += 80_000;
  expect(clock.instructionsUntil(1e12, count)).toBeLessThan(2000);
});

test('deadlines fire in order of time, then of addition', () => {
  const deadlines = new Deadlines();
  const fired: string[] = [];
  const c = (): void => void fired.push('c');
  deadlines.add(20, () => fired.push('b'));
  deadlines.add(10, () => fired.push('a'));
  deadlines.add(20, c);
  deadlines.add(30, () => fired.push('d'));
  deadlines.add(20, () => fired.push('e'));
  deadlines.cancel(c);
  deadlines.timer = 25;
  expect(deadlines.next).toBe(10);
  expect(deadlines.fire(24)).toBe(false);
  expect(fired).toEqual(['a', 'b', 'e']);
  expect(deadlines.fire(25)).toBe(true);
  expect(deadlines.next).toBe(30);
});

test('in real time a run that ends roughly where the clock is to be looked at is as good as an exact one', () => {
  const { engine, host } = fixture({ clock: new RealtimeClock(0, () => 0) });
  host.schedule(1e9, () => undefined);
  const early = ROUGH_BUDGET - 1;
  engine.script.push((budget) => {
    expect(engine.roughBudgets).toBe(true);
    engine.instructions += budget - early;
    return LEAVE.budget;
  });
  engine.execute(1, () => host.requestAttention());
  host.run(1e6);
  expect(engine.budgets[1]).toBe(engine.budgets[0]);
  expect(fixture().engine.roughBudgets).toBe(false);
});

test('in real time what is left in the end of a stretch by the host is not worth a run', () => {
  const rest = 100;
  const runs = (milliseconds?: number): number => {
    const { engine, host } = fixture({ clock: new RealtimeClock(0, () => 0) });
    engine.script.push((budget) => {
      engine.instructions += budget - rest;
      return LEAVE.budget;
    });
    expect(host.run(1e6, milliseconds)).toEqual({ kind: 'budget' });
    return engine.budgets.length;
  };
  expect(runs(1000)).toBe(1);
  // So many instructions and no fewer.
  expect(runs()).toBe(2);
});

test('looks at an interrupt that is held back are exact in real time too', () => {
  const { engine, host, setField } = fixture({ clock: new RealtimeClock(0, () => 0) });
  const { irqEnabled } = LINUX_3_10.data;
  const seen: boolean[] = [];
  const ends: number[] = [];
  const note = (interruptsEnabled: number) => (budget: number) => {
    seen.push(engine.roughBudgets);
    engine.instructions += budget;
    ends.push(engine.instructions);
    setField(irqEnabled, interruptsEnabled);
    return LEAVE.budget;
  };
  engine.script.push(note(0), note(0), note(0x200), note(0x200));
  setField(irqEnabled, 0);
  host.raiseIrq(1);
  host.run(1e5);
  expect(seen).toEqual([false, false, false, true]);
  const interval = ends[1]! - ends[0]!;
  expect(ends.slice(0, 3).map((end) => end / interval)).toEqual([1, 2, 3]);
});

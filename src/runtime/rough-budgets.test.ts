/** Runs whose budget need not be used up. */
import { LEAVE } from '../frontend-x86/leave.js';
import { ROUGH_BUDGET } from './engine.js';
import { CODE, DRIVER, Guest, KINDS, MOV_EAX, NOP, OLD, RET, STACK } from './testing/code-guest.js';

const NOPS = 40;

function started(kind: (typeof KINDS)[number], rough: boolean): Guest['engine'] {
  const guest = new Guest(kind);
  guest.put(CODE, [...Array.from({ length: NOPS }, () => NOP).flat(), ...MOV_EAX(OLD), ...RET]);
  const { engine } = guest;
  engine.roughBudgets = rough;
  engine.cpu.setReg(1, 5);
  engine.cpu.setReg(4, STACK);
  engine.cpu.eip = DRIVER;
  return engine;
}

describe.each(KINDS)('%s:', (kind) => {
  test.each([true, false])('rough %s: runs end where they may, and get on', (rough) => {
    const engine = started(kind, rough);
    let executed = 0;
    for (let budget = 1; budget < 60; budget++) {
      const reason = engine.run(budget);
      const now = engine.instructions - executed;
      executed = engine.instructions;
      if (reason !== LEAVE.budget) break;
      expect(now).toBeLessThanOrEqual(budget);
      expect(now).toBeGreaterThan(rough ? Math.max(0, budget - ROUGH_BUDGET) : budget - 1);
    }
    expect(engine.cpu.reg(0)).toBe(OLD);
    expect(engine.cpu.reg(1)).toBe(0);
    expect(engine.instructions).toBe(5 * (NOPS + 5));
  });
});

// A region wants more than a block to be affordable.
test.each(['interp', 'jit'] as const)('%s: nothing is decoded for the rest of a rough budget', (kind) => {
  const decoded = (rough: boolean): number => {
    const engine = started(kind, rough);
    engine.run(1000);
    engine.cpu.setReg(1, 5);
    engine.cpu.eip = DRIVER;
    const before = engine.counters()['blocks decoded']!;
    engine.run(20);
    return engine.counters()['blocks decoded']! - before;
  };
  expect(decoded(false)).toBeGreaterThan(0);
  expect(decoded(true)).toBe(0);
});

test.each(['interp', 'jit'] as const)('%s: rough runs are not shorter than they may be', (kind) => {
  const guest = new Guest(kind);
  guest.put(CODE, [...Array.from({ length: 60 }, () => NOP).flat(), ...MOV_EAX(OLD), ...RET]);
  const { engine } = guest;
  engine.roughBudgets = true;
  engine.cpu.setReg(4, STACK);
  for (let budget = ROUGH_BUDGET + 1; budget < 3 * ROUGH_BUDGET; budget += 1001) {
    engine.cpu.setReg(1, 1e6);
    engine.cpu.eip = DRIVER;
    const before = engine.instructions;
    expect(engine.run(budget)).toBe(LEAVE.budget);
    const executed = engine.instructions - before;
    expect(executed).toBeLessThanOrEqual(budget);
    expect(executed).toBeGreaterThan(budget - ROUGH_BUDGET);
  }
});

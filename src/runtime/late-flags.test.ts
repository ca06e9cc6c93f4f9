/** A loop whose compare leaves its flags to the next turn's ways out: they are there whenever somebody looks. */
import { LEAVE } from '../frontend-x86/leave.js';
import type { EngineKind } from './create-engine.js';
import { CODE, DRIVER, dword, Guest, PAGE, RET, STACK, TABLE } from './testing/code-guest.js';

const FIRST = 0x40000;
/** Odd, so that PF and AF are others in each turn. */
const STEP = 0x503;
const END = FIRST + 6 * PAGE;
const ABSENT = FIRST + 4 * PAGE;
/** The `int` behind the call. */
const DRIVER_END = DRIVER + 8;
const HEAD = CODE + 5;
/** mov edx, FIRST; loop: mov byte [edx], 1; add edx, STEP; cmp edx, END; jb loop; ret */
const LOOP = [
  ...[0xba, ...dword(FIRST)],
  ...[0xc6, 0x02, 0x01, 0x81, 0xc2, ...dword(STEP), 0x81, 0xfa, ...dword(END), 0x72, 0xef],
  ...RET,
];

function translated(kind: EngineKind): Guest {
  const guest = new Guest(kind);
  guest.paging();
  guest.put(CODE, LOOP);
  guest.heat();
  if (kind !== 'interp') expect(guest.engine.counters()['regions live']).toBeGreaterThan(0);
  return guest;
}

/** What is to be seen each time that the loop, begun with these flags, is stopped after another so many instructions. */
function seen(guest: Guest, instructions: number, flags: number): string[] {
  const { engine } = guest;
  const { cpu } = engine;
  engine.mmu.flushAll();
  cpu.setReg(2, FIRST);
  cpu.setReg(4, STACK);
  engine.memory.write32(STACK, DRIVER_END);
  cpu.eip = HEAD;
  cpu.eflags = flags;
  const states: string[] = [];
  for (let runs = 0; runs < 60; runs++) {
    const end = engine.instructions + instructions;
    let reason: number = LEAVE.budget;
    while (reason === LEAVE.budget && engine.instructions < end)
      reason = engine.run(end - engine.instructions);
    states.push(`${reason} ${cpu.eip} ${cpu.reg(2)} ${cpu.eflags}`);
    if (reason !== LEAVE.budget) break;
  }
  return states;
}

describe.each(['jit', 'auto'] as const)('%s:', (kind) => {
  test('at any count', () => {
    const [a, b] = [translated('interp'), translated(kind)];
    for (let instructions = 1; instructions < 23; instructions++)
      for (const flags of [0x2, 0x8d7])
        expect(seen(b, instructions, flags)).toEqual(seen(a, instructions, flags));
  });

  test('at a page fault', () => {
    const [a, b] = [translated('interp'), translated(kind)];
    for (const guest of [a, b]) guest.engine.memory.write32(TABLE + (ABSENT >>> 12) * 4, 0);
    for (const flags of [0x2, 0x8d7]) {
      const [first, second] = [seen(a, 1000, flags), seen(b, 1000, flags)];
      expect(first.at(-1)).toContain(`${LEAVE.fault} ${HEAD} `);
      expect(second).toEqual(first);
    }
    // In the first turn the flags are those from outside.
    for (const guest of [a, b]) guest.engine.memory.write32(TABLE + (FIRST >>> 12) * 4, 0);
    expect(seen(b, 1000, 0x8d7)).toEqual(seen(a, 1000, 0x8d7));
  });
});

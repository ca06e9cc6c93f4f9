import { GDT } from '../backend-wasm/memory-layout.js';
import * as S from '../frontend-x86/cpu-state.js';
import { LEAVE } from '../frontend-x86/leave.js';
import { createEngine } from './create-engine.js';

test('a run of code that rewrites itself all the time ends early; the counts are right, memory is bounded', () => {
  const engine = createEngine({ ramBytes: 1 << 20, devicePages: 0, kind: 'interp' });
  const { cpu } = engine;
  cpu.eflags = 0x202;
  cpu.set(S.CPL, 1);
  cpu.set(S.GDT_ADDRESS, GDT);
  for (const s of [S.ES, S.CS, S.SS, S.DS]) {
    cpu.set(S.SEGMENT_LIMIT + 4 * s, 0xffffffff);
    cpu.set(S.SEGMENT_ATTR + 4 * s, s === S.CS ? 0xcfbb : 0xcfb3);
  }
  engine.segmentsChanged();
  // inc byte [0x1007]; mov al, imm (at 0x1007); inc ecx; jmp 0x1000
  engine.memory.write(0x1000, Uint8Array.of(0xfe, 5, 7, 0x10, 0, 0, 0xb0, 0, 0x41, 0xeb, 0xf5));
  cpu.eip = 0x1000;
  expect(engine.run(1_000_000)).toBe(LEAVE.budget);
  expect(engine.instructions).toBeGreaterThan(0);
  expect(engine.instructions).toBeLessThan(5000);
  while (engine.instructions < 400_000) engine.run(400_000 - engine.instructions);
  expect(engine.instructions).toBe(400_000);
  expect(cpu.reg(1)).toBe(100_000);
  expect(cpu.reg(0)).toBe(100_000 & 0xff);
});

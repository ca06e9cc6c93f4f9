/** A guest that sets its trap flag: the run ends behind that instruction, so that the owner can step. */
import * as S from '../frontend-x86/cpu-state.js';
import { LEAVE } from '../frontend-x86/leave.js';
import { CODE, Guest, KINDS, NOP, OFTEN, STACK } from './testing/code-guest.js';

/** pushf; or dword [esp], 0x100; popf */
const SET_TF = [0x9c, 0x81, 0x0c, 0x24, ...[0x00, 0x01, 0x00, 0x00], 0x9d];
const INSTRUCTIONS = 3;
const BEHIND = CODE + SET_TF.length;

test.each(KINDS)('%s: popf, also where what follows has been executed before', (kind) => {
  const guest = new Guest(kind);
  guest.put(CODE, [...SET_TF, ...NOP, ...NOP, 0xcd, 0x20]);
  const { engine } = guest;
  const { cpu } = engine;
  for (let n = 0; n < OFTEN[kind]; n++) {
    cpu.setReg(4, STACK);
    cpu.eip = CODE;
    const before = engine.instructions;
    expect([engine.run(100), cpu.eip]).toEqual([LEAVE.budget, BEHIND]);
    expect(engine.instructions - before).toBe(INSTRUCTIONS);
    expect([engine.run(1), cpu.eip]).toEqual([LEAVE.budget, BEHIND + 1]);
    cpu.set(S.FLAGS_SYSTEM, cpu.get(S.FLAGS_SYSTEM) & ~S.F_TF);
    expect([engine.run(100), cpu.eip]).toEqual([LEAVE.int, BEHIND + 2]);
  }
});

/** Computed jumps to places where there is nothing: a region looks them up in its entry map, and must not find them. */
import * as S from '../frontend-x86/cpu-state.js';
import { LEAVE } from '../frontend-x86/leave.js';
import { EMPTY_PLACE } from '../backend-wasm/memory-layout.js';
import { CODE, DRIVER, Guest, KINDS, RET, STACK } from './testing/code-guest.js';

const JMP_EDX = [0xff, 0xe2];
const CALL_EDX = [0xff, 0xd2];
/** Of the driver's call and the jump. */
const INSTRUCTIONS = 2;

describe.each(KINDS)('%s', (kind) => {
  test.each([
    ['a jump', JMP_EDX, 1],
    ['a call', CALL_EDX, 2],
  ])('%s to the place that stands in empty rows of the map faults there', (_, jump, pushes) => {
    const guest = new Guest(kind);
    guest.paging();
    guest.put(CODE, [...jump, ...RET]);
    guest.heat(CODE + jump.length);
    const { engine } = guest;
    const { cpu } = engine;
    cpu.setReg(1, 1);
    cpu.setReg(2, CODE + EMPTY_PLACE);
    cpu.setReg(4, STACK);
    cpu.eip = DRIVER;
    const before = engine.instructions;
    expect(engine.run(1000)).toBe(LEAVE.fault);
    expect(cpu.get(S.EXIT_DETAIL)).toBe(14);
    expect(cpu.eip).toBe(CODE + EMPTY_PLACE);
    expect(engine.instructions - before).toBe(INSTRUCTIONS);
    expect(cpu.reg(4)).toBe(STACK - 4 * pushes);
  });
});

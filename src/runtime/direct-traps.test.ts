/** Which page faults the engine takes to the guest's handler by itself. */
import * as S from '../frontend-x86/cpu-state.js';
import { LEAVE } from '../frontend-x86/leave.js';
import { GDT } from '../backend-wasm/memory-layout.js';
import { CODE, DATA, Guest, JMP, PAGE, STACK, STORE } from './testing/code-guest.js';

const FAR_HANDLER = CODE + PAGE;
const UNMAPPED = 0x400000;
const PUSH_EAX = [0x50];
const INT = (vector: number): number[] => [0xcd, vector];
const KERNEL_CODE = 8;
const CR2 = DATA + 0x10;
const IF = DATA + 0x20;

/** Runs code, by default a store to an unmapped page, behind a push at a privilege level; how it ended, and where. */
function fault(level: number, code = STORE): { reason: number; detail: number; guest: Guest } {
  const guest = new Guest('interp');
  const { cpu, memory } = guest.engine;
  guest.paging();
  // The push brings the stack's page into the TLB.
  guest.put(CODE, [...PUSH_EAX, ...code]);
  guest.put(FAR_HANDLER, INT(0x21));
  memory.write32(IF, S.F_IF);
  cpu.set(S.DIRECT_TRAPS, 1);
  cpu.set(S.DIRECT_FAULT_HANDLER, FAR_HANDLER);
  cpu.set(S.DIRECT_CR2_ADDRESS, CR2);
  cpu.set(S.DIRECT_IF_ADDRESS, IF);
  // A flat code segment of level 1.
  cpu.set(S.GDT_ADDRESS, GDT);
  cpu.view.setUint32(GDT + KERNEL_CODE, 0x0000ffff, true);
  cpu.view.setUint32(GDT + KERNEL_CODE + 4, 0x00cfbb00, true);
  cpu.set(S.DIRECT_CS, KERNEL_CODE | 1);
  cpu.set(S.DIRECT_ESP, STACK);
  cpu.set(S.CPL, level);
  cpu.setReg(2, UNMAPPED);
  cpu.setReg(4, STACK);
  cpu.eip = CODE;
  guest.engine.segmentsChanged();
  const reason = guest.engine.run(10);
  return { reason, detail: cpu.get(S.EXIT_DETAIL), guest };
}

test('at the kernel level the handler is entered with a frame on the same stack', () => {
  const { reason, detail, guest } = fault(1);
  expect([reason, detail]).toEqual([LEAVE.int, 0x21]);
  const { cpu, memory } = guest.engine;
  expect(cpu.get(S.ESP)).toBe(STACK - 4 - 16);
  expect([0, 4].map((at) => memory.read32(STACK - 20 + at))).toEqual([2, CODE + 1]);
  expect(memory.read32(CR2)).toBe(UNMAPPED);
  expect(guest.engine.directTraps()).toEqual({ systemCalls: 0, pageFaults: 1 });
});

test('what cannot be fetched is a fault like others', () => {
  const { reason, detail, guest } = fault(1, JMP(CODE + 1, UNMAPPED));
  expect([reason, detail]).toEqual([LEAVE.int, 0x21]);
  const { memory } = guest.engine;
  expect(memory.read32(STACK - 4 - 12)).toBe(UNMAPPED);
  expect(memory.read32(CR2)).toBe(UNMAPPED);
  expect(guest.engine.directTraps()).toEqual({ systemCalls: 0, pageFaults: 1 });
});

test('a level between kernel and user is left to the owner', () => {
  const { reason, detail, guest } = fault(2);
  expect([reason, detail]).toEqual([LEAVE.fault, 14]);
  expect(guest.engine.cpu.get(S.CPL)).toBe(2);
  expect(guest.engine.directTraps().pageFaults).toBe(0);
});

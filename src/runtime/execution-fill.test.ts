/** Pages whose code is known already are entered into the execution TLB by the interpreter itself. */
import * as S from '../frontend-x86/cpu-state.js';
import { LEAVE } from '../frontend-x86/leave.js';
import type { InterpreterEngine } from './interpreter-engine.js';
import { PTE_ACCESSED, PTE_USER } from './page-table-entry.js';
import {
  ALIAS,
  CODE,
  COPY,
  DRIVER,
  Guest,
  JMP,
  KINDS,
  MOV_EAX,
  NEW,
  NOP,
  OLD,
  OTHER_DIRECTORY,
  OTHER_TABLE,
  RET,
  TABLE,
} from './testing/code-guest.js';

const entryOf = (table: number, page: number): number => table + (page >>> 12) * 4;

/** A guest that has run CODE, which goes on in COPY, in its first address space, and now is in the second. */
function guestWith(kind: (typeof KINDS)[number]): Guest {
  const guest = new Guest(kind);
  const { memory, mmu } = guest.engine;
  guest.paging();
  for (let page = 0; page < 256; page++) {
    for (const table of [TABLE, OTHER_TABLE])
      memory.write32(table + 4 * page, memory.read32(table + 4 * page) | PTE_USER);
  }
  for (const directory of [mmu.root, OTHER_DIRECTORY])
    memory.write32(directory, memory.read32(directory) | PTE_USER);
  guest.put(CODE, JMP(CODE, COPY));
  guest.put(COPY, [...MOV_EAX(OLD), ...RET]);
  expect(guest.call(3)).toBe(OLD);
  mmu.setPageTable(OTHER_DIRECTORY, false);
  return guest;
}

describe.each(KINDS)('%s:', (kind) => {
  test('its accessed bit is set', () => {
    const guest = guestWith(kind);
    const { memory } = guest.engine;
    expect(memory.read32(entryOf(OTHER_TABLE, COPY)) & PTE_ACCESSED).toBe(0);
    expect(guest.call(3)).toBe(OLD);
    expect(memory.read32(entryOf(OTHER_TABLE, COPY)) & PTE_ACCESSED).not.toBe(0);
  });

  test('but not when the budget ends before it', () => {
    const guest = guestWith(kind);
    const { engine } = guest;
    const { memory, cpu } = engine;
    cpu.setReg(4, CODE - 0x100);
    cpu.eip = DRIVER;
    // call CODE, jmp COPY
    const accessed = (): number => memory.read32(entryOf(OTHER_TABLE, COPY)) & PTE_ACCESSED;
    for (const end = engine.instructions + 2; engine.instructions < end;)
      engine.run(end - engine.instructions);
    expect(cpu.eip).toBe(COPY);
    expect(accessed()).toBe(0);
    engine.run(1);
    expect(accessed()).not.toBe(0);
  });

  test('not for what the privilege level may not execute', () => {
    const guest = guestWith(kind);
    const { engine } = guest;
    const { memory, cpu } = engine;
    memory.write32(entryOf(OTHER_TABLE, COPY), COPY | 3);
    cpu.set(S.CPL, 3);
    engine.segmentsChanged();
    cpu.setReg(4, ALIAS);
    cpu.eip = CODE;
    let reason: number = LEAVE.budget;
    while (reason === LEAVE.budget) reason = engine.run(100);
    expect([reason, cpu.get(S.EXIT_DETAIL), cpu.get(S.EXIT_ERROR)]).toEqual([LEAVE.fault, 14, 5]);
    expect(cpu.eip).toBe(COPY);
  });

  test('an instruction that goes on in the next page is looked at anew', () => {
    const guest = new Guest(kind);
    const { memory, mmu } = guest.engine;
    guest.paging();
    const at = CODE + 0x1000 - 6;
    guest.put(CODE, JMP(CODE, at));
    guest.put(at, [...NOP, ...NOP, ...NOP, ...MOV_EAX(OLD), ...RET]);
    expect(guest.call(3)).toBe(OLD);
    mmu.setPageTable(OTHER_DIRECTORY, false);
    expect(guest.call(3)).toBe(OLD);
    // The second address space has another page behind.
    guest.put(COPY, [0x33, 0x33, ...RET]);
    memory.write32(entryOf(OTHER_TABLE, CODE + 0x1000), COPY | 3);
    mmu.flushPage(OTHER_DIRECTORY, CODE + 0x1000);
    expect(guest.call(3)).toBe(0x33331111);
    expect(guest.call(3)).toBe(0x33331111);
  });
});

test('a page that was known is entered without a lookup in JavaScript', () => {
  const guest = guestWith('interp');
  const lookups = (): number => guest.engine.counters()['code lookups']!;
  const before = lookups();
  expect(guest.call(3)).toBe(OLD);
  expect(lookups()).toBe(before);
});

test('what was known of pages is forgotten with all code', () => {
  const guest = guestWith('interp');
  const { engine } = guest;
  guest.put(ALIAS, [...MOV_EAX(NEW), ...RET]);
  guest.put(CODE, JMP(CODE, ALIAS));
  (engine as InterpreterEngine).code.flush();
  expect(guest.call(3)).toBe(NEW);
  guest.put(CODE, JMP(CODE, COPY));
  expect(guest.call(3)).toBe(OLD);
});

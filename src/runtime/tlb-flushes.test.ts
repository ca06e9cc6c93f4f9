/** What a flush of a top level entry, or of the user part, forgets: also where it need not look at every entry. */
import {
  DATA_ENTRY_BYTES,
  entriesOf,
  FOR_LOADS,
  NO_PAGE,
  noEntry,
  physicalOf,
} from '../backend-wasm/data-tlb.js';
import * as L from '../backend-wasm/memory-layout.js';
import * as S from '../frontend-x86/cpu-state.js';
import type { InterpreterEngine } from './interpreter-engine.js';
import {
  ALIAS,
  CODE,
  COPY,
  DATA,
  DIRECTORY,
  Guest,
  JMP,
  KINDS,
  MOV_EAX,
  NEW,
  OLD,
  OTHER_DIRECTORY,
  OTHER_TABLE,
  PAGE,
  RET,
  TABLE,
} from './testing/code-guest.js';

const USER_WRITABLE = 7;
/** The window: top level entry 1, through a table of its own. */
const WINDOW = 0x400000;
const WINDOW_TABLE = 0x70000;
const NEW_TABLE = 0x71000;
const LOAD = [0x8b, 0x02]; // mov eax, [edx]
const ABOVE = 0xc0000000;

/**
 * A guest at a privilege level whose window shows DATA and COPY; the new table for it, which is not used yet, shows
 * ALIAS at both places. Both address spaces have the window.
 */
function guestWith(kind: (typeof KINDS)[number], level: number, kernelAddress: number): Guest {
  const guest = new Guest(kind);
  const { engine } = guest;
  const { memory, mmu, cpu } = engine;
  guest.paging();
  for (let page = 0; page < 256; page++) {
    for (const table of [TABLE, OTHER_TABLE, WINDOW_TABLE])
      memory.write32(table + 4 * page, (page * PAGE) | USER_WRITABLE);
    memory.write32(NEW_TABLE + 4 * page, ALIAS | USER_WRITABLE);
  }
  for (const [directory, table] of [
    [DIRECTORY, TABLE],
    [OTHER_DIRECTORY, OTHER_TABLE],
  ] as const) {
    memory.write32(directory, table | USER_WRITABLE);
    memory.write32(directory + 4, WINDOW_TABLE | USER_WRITABLE);
  }
  memory.write32(DATA, OLD);
  guest.put(COPY, [...MOV_EAX(OLD), ...RET]);
  guest.put(ALIAS, [...MOV_EAX(NEW), ...RET]);
  mmu.kernelAddress = kernelAddress;
  cpu.set(S.CPL, level);
  engine.segmentsChanged();
  return guest;
}

/** MOV_EAX(NEW), as data. */
const ALIAS_DWORD = (0xb8 | (NEW << 8)) >>> 0;

function exchange(guest: Guest, directory: number): void {
  guest.engine.memory.write32(directory + 4, NEW_TABLE | USER_WRITABLE);
}

describe.each(KINDS)('%s:', (kind) => {
  describe.each([3, 1])('at level %d', (level) => {
    test.each([
      ['above it', ABOVE],
      ['with it', WINDOW],
    ])('a new top level entry, the kernel starting %s', (_, kernelAddress) => {
      for (const [code, before, after] of [
        [[...LOAD, ...RET], OLD, ALIAS_DWORD],
        [JMP(CODE, WINDOW + COPY), OLD, NEW],
      ] as const) {
        const guest = guestWith(kind, level, kernelAddress);
        guest.put(CODE, code);
        expect(guest.call(3, WINDOW + DATA)).toBe(before);
        // More than once: what tells where entries are is made anew by the next entry.
        for (let round = 0; round < 2; round++) {
          exchange(guest, DIRECTORY);
          guest.engine.mmu.flushTopLevel(DIRECTORY, 1);
          expect(guest.call(3, WINDOW + DATA)).toBe(after);
          guest.engine.memory.write32(DIRECTORY + 4, WINDOW_TABLE | USER_WRITABLE);
          guest.engine.mmu.flushTopLevel(DIRECTORY, 1);
          expect(guest.call(3, WINDOW + DATA)).toBe(before);
        }
      }
    });

    test('a new top level entry of another address space, and of all of them', () => {
      const guest = guestWith(kind, level, ABOVE);
      const { mmu } = guest.engine;
      guest.put(CODE, [...LOAD, ...RET]);
      expect(guest.call(3, WINDOW + DATA)).toBe(OLD);
      mmu.setPageTable(OTHER_DIRECTORY, false);
      expect(guest.call(3, WINDOW + DATA)).toBe(OLD);
      exchange(guest, DIRECTORY);
      mmu.flushTopLevel(DIRECTORY, 1);
      expect(guest.call(3, WINDOW + DATA)).toBe(OLD);
      mmu.setPageTable(DIRECTORY, false);
      expect(guest.call(3, WINDOW + DATA)).toBe(ALIAS_DWORD);
      mmu.kernelAddress = WINDOW;
      mmu.setPageTable(OTHER_DIRECTORY, false);
      expect(guest.call(3, WINDOW + DATA)).toBe(OLD);
      exchange(guest, OTHER_DIRECTORY);
      mmu.flushTopLevel(DIRECTORY, 1);
      expect(guest.call(3, WINDOW + DATA)).toBe(ALIAS_DWORD);
    });

    test('the user part', () => {
      for (const [code, before, after] of [
        [[...LOAD, ...RET], OLD, ALIAS_DWORD],
        [JMP(CODE, WINDOW + COPY), OLD, NEW],
      ] as const) {
        const guest = guestWith(kind, level, ABOVE);
        guest.put(CODE, code);
        expect(guest.call(3, WINDOW + DATA)).toBe(before);
        exchange(guest, DIRECTORY);
        guest.engine.mmu.flushUser();
        expect(guest.call(3, WINDOW + DATA)).toBe(after);
        guest.engine.memory.write32(DIRECTORY + 4, WINDOW_TABLE | USER_WRITABLE);
        guest.engine.mmu.flushUser();
        expect(guest.call(3, WINDOW + DATA)).toBe(before);
      }
    });
  });
});

test.each([0x2000000, 0x8000000, 0x80000000])(
  'the user part of a guest with %i bytes of RAM, and no more',
  (ramBytes) => {
    const guest = new Guest('interp', {}, { ramBytes, devicePages: 0 });
    const { memory, mmu } = guest.engine;
    guest.paging();
    memory.write32(DIRECTORY + (ABOVE >>> 22) * 4, TABLE | USER_WRITABLE);
    mmu.kernelAddress = ABOVE;
    // Beside each other in the TLB, in one group, but for the largest.
    const own = DATA;
    const kernels = ABOVE + DATA + PAGE;
    guest.put(CODE, [...LOAD, ...RET]);
    for (const address of [own, kernels]) guest.call(1, address);
    const { i32, dataTlb } = (guest.engine as InterpreterEngine).memory;
    const entry = (address: number): { index: number; distance: number } => {
      const index = (address >>> 12) & (entriesOf(dataTlb) - 1);
      return { index, distance: i32[(i32[L.TLB_BASE >> 2]! + index * DATA_ENTRY_BYTES + FOR_LOADS) >> 2]! };
    };
    const page = (address: number): number =>
      physicalOf(dataTlb, entry(address).index, entry(address).distance);
    expect([page(own), page(kernels)]).toEqual([DATA, DATA + PAGE]);
    mmu.flushUser();
    expect([page(own), page(kernels)]).toEqual([NO_PAGE, DATA + PAGE]);
    expect(entry(own).distance).toBe(noEntry(dataTlb, entry(own).index));
  },
);

test('flushes of other ranges and of the user part keep the entries that they do not concern', () => {
  const guest = guestWith('interp', 1, WINDOW);
  const { mmu } = guest.engine;
  guest.put(CODE, [...LOAD, ...RET]);
  const misses = (): number => guest.engine.counters()['TLB misses']!;
  guest.call(3, WINDOW + DATA);
  const before = misses();
  mmu.flushTopLevel(DIRECTORY, 0);
  guest.call(3, WINDOW + DATA);
  // The stack's page, and not the window's.
  expect(misses() - before).toBe(1);
  mmu.flushUser();
  guest.call(3, WINDOW + DATA);
  expect(misses() - before).toBe(2);
});

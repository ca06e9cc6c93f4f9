/** Guests of several sizes: generated code has constants for the size of RAM, and pages behind a power of 2 have no TLB entries. */
import { dataTlbFor, entriesOf } from '../backend-wasm/data-tlb.js';
import {
  CODE,
  COPY,
  DIRECTORY,
  dword,
  Guest,
  KINDS,
  NEW,
  PAGE,
  PRESENT_WRITABLE,
  RET,
  TABLE,
} from './testing/code-guest.js';

const MIB = 2 ** 20;
const WINDOW = 0x400000;
const OTHER_WINDOW_TABLE = 0x71000;
const WINDOW_TABLE = 0x70000;
const OTHER_PAGE = 0xa0000;

/** Loads into eax and stores of ebx, at edx, by themselves and in groups; copies from edx to COPY; and what constants lead to. */
const CODES: Readonly<Record<string, (window: number) => number[]>> = {
  'mov al, [edx]': () => [0x8a, 0x02],
  'mov ax, [edx]': () => [0x66, 0x8b, 0x02],
  'mov eax, [edx]': () => [0x8b, 0x02],
  'mov [edx], bl': () => [0x88, 0x1a],
  'mov [edx], bx': () => [0x66, 0x89, 0x1a],
  'mov [edx], ebx': () => [0x89, 0x1a],
  'several at edx': () => [
    ...[0x8b, 0x02, 0x03, 0x42, 0x04, 0x02, 0x42, 0x07], // mov eax, [edx]; add eax, [edx + 4]; add al, [edx + 7]
    ...[0x66, 0x89, 0x5a, 0x09, 0x88, 0x42, 0x0c], // mov [edx + 9], bx; mov [edx + 12], al
  ],
  'rep movsd': () => [
    ...[0x56, 0x57, 0x51, 0x89, 0xd6, 0xbf, ...dword(COPY), 0xb9, ...dword(5)],
    ...[0xf3, 0xa5, 0x59, 0x5f, 0x5e],
  ],
  'rep stosb': () => [0x57, 0x51, 0x89, 0xd7, 0xb0, 0x5a, 0xb9, ...dword(21), 0xf3, 0xaa, 0x59, 0x5f],
  'mov eax, [constant]; mov [constant + 8], ebx': (window) => [
    ...[0xa1, ...dword(window + 0x20), 0x89, 0x1d, ...dword(window + 0x28)],
  ],
};

/** A window of two pages, RAM's last and the device's, and one that meets it in the data TLB, of another page and RAM's last. */
function guestOf(
  kind: (typeof KINDS)[number],
  ramBytes: number,
): { guest: Guest; windows: readonly number[] } {
  const guest = new Guest(kind, {}, { ramBytes, devicePages: 1 });
  const { memory, mmu } = guest.engine;
  guest.paging();
  const period = entriesOf(dataTlbFor(ramBytes)) * PAGE;
  const other = WINDOW + (period === 2 ** 32 ? 64 * MIB : period);
  const last = ramBytes - PAGE;
  for (const [window, table, pages] of [
    [WINDOW, WINDOW_TABLE, [last, ramBytes]],
    [other, OTHER_WINDOW_TABLE, [OTHER_PAGE, last]],
  ] as const) {
    memory.write32(DIRECTORY + 4 * (window >>> 22), table | PRESENT_WRITABLE);
    pages.forEach((page, i) => memory.write32(table + 4 * i, (page | PRESENT_WRITABLE) >>> 0));
  }
  for (const page of [last, ramBytes, OTHER_PAGE, COPY])
    for (let i = 0; i < PAGE; i += 4) memory.write32(page + i, (page + 3 * i) >>> 0);
  mmu.flushAll();
  return { guest, windows: [WINDOW, other] };
}

/** Everything that the codes find and leave, each at many places that take each other's entries. */
function outcome(kind: (typeof KINDS)[number], ramBytes: number): unknown {
  const { guest, windows } = guestOf(kind, ramBytes);
  const { memory } = guest.engine;
  const found: number[] = [];
  for (const code of Object.values(CODES))
    for (const window of windows) {
      guest.put(CODE, [...code(window), ...RET]);
      for (const at of [0, PAGE - 2, PAGE, PAGE - 20])
        for (const base of windows) found.push(guest.call(3, base + at, NEW + found.length));
    }
  const pages = [ramBytes - PAGE, ramBytes, OTHER_PAGE, COPY];
  return { found, bytes: pages.map((page) => Buffer.from(memory.view(page, PAGE)).toString('base64')) };
}

describe.each([1, 32, 33, 64, 2048])('RAM of %i MiB and a device page:', (mebibytes) => {
  const expected = outcome('reference', mebibytes * MIB);
  test.each(['interp', 'jit'] as const)('%s does what the reference engine does', (kind) => {
    expect(outcome(kind, mebibytes * MIB)).toEqual(expected);
  });
});

test.each(KINDS)('%s: a store across pages goes to both as they were before it', (kind) => {
  const guest = new Guest(kind, {}, { ramBytes: 32 * MIB, devicePages: 1 });
  const { memory } = guest.engine;
  const table = TABLE;
  guest.paging();
  // The table is seen through its last but one entry; the last, which the store changes, shows the device page.
  guest.map(1022 * PAGE, table);
  guest.map(1023 * PAGE, 32 * MIB);
  guest.put(CODE, [0x89, 0x1a, ...RET]);
  guest.call(1, 1023 * PAGE - 2, 0x55660009);
  expect(memory.read32(32 * MIB) & 0xffff).toBe(0x5566);
  expect(memory.read32(table + 4 * 1023) >>> 16).toBe(9);
  expect(memory.read16(0x90000)).toBe(0);
});

test.each(['interp', 'jit'] as const)(
  '%s: a page directory above 2 GiB is the same one to every flush',
  (kind) => {
    const guest = new Guest(kind, {}, { ramBytes: 2048 * MIB, devicePages: 1 });
    const { memory, mmu } = guest.engine;
    const directory = 2048 * MIB;
    guest.paging();
    for (let i = 0; i < PAGE; i += 4) memory.write32(directory + i, memory.read32(DIRECTORY + i));
    mmu.setPageTable(directory, false);
    guest.put(CODE, [0x8b, 0x02, ...RET]);
    memory.write32(COPY, 1);
    memory.write32(OTHER_PAGE, 2);
    expect(guest.call(3, COPY)).toBe(1);
    memory.write32(TABLE + 4 * (COPY >>> 12), OTHER_PAGE | PRESENT_WRITABLE);
    mmu.flushPage(directory, COPY);
    expect(guest.call(3, COPY)).toBe(2);
    memory.write32(TABLE + 4 * (COPY >>> 12), COPY | PRESENT_WRITABLE);
    mmu.flushTopLevel(directory, 0);
    expect(guest.call(3, COPY)).toBe(1);
  },
);

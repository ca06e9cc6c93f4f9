/** What generated code knows of addresses before it runs: those of data that are constants, and its own. */
import {
  ALIAS,
  CODE,
  COPY,
  DATA,
  DIRECTORY,
  DRIVER,
  dword,
  Guest,
  KINDS,
  OTHER_TABLE,
  PAGE,
  PRESENT_WRITABLE,
  RET,
} from './testing/code-guest.js';

/** Where two pages of data are: low, where numbers change their sign, where kernels are, and the last ones. */
const PLACES = [DATA, 0x7ffff000, 0xc0000000, 0xffffe000];
/** Room for page tables. */
const TABLES = 0xa0000;
const MOV_EAX_FROM = (at: number): number[] => [0xa1, ...dword(at)];
const MOV_EAX_TO = (at: number): number[] => [0xa3, ...dword(at)];
const ADD_EAX_FROM = (at: number): number[] => [0x03, 0x05, ...dword(at)];
const ADD_AL_FROM = (at: number): number[] => [0x02, 0x05, ...dword(at)];
const ADD_EBX_TO = (at: number): number[] => [0x01, 0x1d, ...dword(at)];
const BYTES = Uint8Array.from({ length: 2 * PAGE }, (_, i) => (i * 37 + (i >> 5)) & 0xff);

/** A guest whose two pages from `data` on are not neighbours in memory. */
function guestWith(kind: (typeof KINDS)[number], data: number, code: readonly number[]): Guest {
  const guest = new Guest(kind);
  guest.paging();
  const { memory } = guest.engine;
  let tables = TABLES;
  for (const [linear, physical] of [
    [data, COPY],
    [data + PAGE, OTHER_TABLE],
  ] as const) {
    const directoryEntry = DIRECTORY + 4 * (linear >>> 22);
    if (memory.read32(directoryEntry) === 0) {
      memory.write32(directoryEntry, tables | PRESENT_WRITABLE);
      tables += PAGE;
    }
    const table = memory.read32(directoryEntry) & -PAGE;
    memory.write32(table + 4 * ((linear >>> 12) & 0x3ff), physical | PRESENT_WRITABLE);
  }
  memory.write(COPY, BYTES.subarray(0, PAGE));
  memory.write(OTHER_TABLE, BYTES.subarray(PAGE));
  guest.put(CODE, code);
  return guest;
}

const at = (place: number): number => new DataView(BYTES.buffer).getUint32(place, true);
const sum = (...numbers: number[]): number => numbers.reduce((a, b) => (a + b) >>> 0, 0);

describe.each(KINDS)('%s', (kind) => {
  describe.each(PLACES)('with data at %d', (data) => {
    test.each<[string, number[], number]>([
      ['the last bytes of a page', MOV_EAX_FROM(data + 0xffc), at(0xffc)],
      ['across two pages', MOV_EAX_FROM(data + 0xffd), at(0xffd)],
      [
        'several in one page',
        [...MOV_EAX_FROM(data), ...ADD_EAX_FROM(data + 0x80), ...ADD_EAX_FROM(data + 0x44)],
        sum(at(0), at(0x80), at(0x44)),
      ],
      [
        'several on both sides of a border',
        [...MOV_EAX_FROM(data + 0xff8), ...ADD_EAX_FROM(data + PAGE), ...ADD_EAX_FROM(data + 0xffe)],
        sum(at(0xff8), at(PAGE), at(0xffe)),
      ],
    ])('reads constant addresses: %s', (_, code, expected) => {
      const guest = guestWith(kind, data, [...code, ...RET]);
      expect(guest.heat() >>> 0).toBe(expected);
    });

    test('writes constant addresses, some of which lie in two pages', () => {
      const places = [0x10, 0x14, 0xffe, 0x1004];
      const guest = guestWith(kind, data, [
        ...MOV_EAX_FROM(data),
        ...places.flatMap((place) => [...MOV_EAX_TO(data + place), ...ADD_EBX_TO(data + place)]),
        ...ADD_AL_FROM(data + 0x11),
        ...RET,
      ]);
      const value = sum(at(0), 0x01020304);
      const low = (at(0) + (value >>> 8)) & 0xff;
      expect(guest.heat(DATA, 0x01020304) >>> 0).toBe(((at(0) & ~0xff) | low) >>> 0);
      const { memory } = guest.engine;
      const byteAt = (place: number): number =>
        memory.view(place < PAGE ? COPY + place : OTHER_TABLE + place - PAGE, 1)[0]!;
      for (const place of places)
        expect([place, ...[0, 1, 2, 3].map((i) => byteAt(place + i))]).toEqual([place, ...dword(value)]);
    });
  });

  test('code that runs at two addresses knows at which', () => {
    const guest = new Guest(kind);
    guest.paging();
    guest.map(ALIAS, CODE);
    // call next; next: pop eax; ret
    guest.put(CODE, [0xe8, 0, 0, 0, 0, 0x58, ...RET]);
    // loop: call edx; dec ecx; jnz loop; int 0x20
    guest.put(DRIVER, [0xff, 0xd2, 0x49, 0x75, 0xfb, 0xcd, 0x20]);
    expect(guest.heat(CODE) >>> 0).toBe(CODE + 5);
    expect(guest.heat(ALIAS) >>> 0).toBe(ALIAS + 5);
    expect(guest.call(3, CODE) >>> 0).toBe(CODE + 5);
  });
});

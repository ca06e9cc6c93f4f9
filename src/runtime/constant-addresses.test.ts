/** What generated code knows of addresses before it runs: those of data that are constants, and its own. */
import {
  ALIAS,
  CODE,
  COPY,
  DATA,
  DRIVER,
  dword,
  Guest,
  KINDS,
  OTHER_TABLE,
  PAGE,
  RET,
} from './testing/code-guest.js';

const BEHIND = DATA + PAGE;
const MOV_EAX_FROM = (at: number): number[] => [0xa1, ...dword(at)];
const MOV_EAX_TO = (at: number): number[] => [0xa3, ...dword(at)];
const ADD_EAX_FROM = (at: number): number[] => [0x03, 0x05, ...dword(at)];
const ADD_AL_FROM = (at: number): number[] => [0x02, 0x05, ...dword(at)];
const ADD_EBX_TO = (at: number): number[] => [0x01, 0x1d, ...dword(at)];
const BYTES = Uint8Array.from({ length: 2 * PAGE }, (_, i) => (i * 37 + (i >> 5)) & 0xff);

/** A guest whose two pages from DATA on are not neighbours in memory. */
function guestWith(kind: (typeof KINDS)[number], code: readonly number[]): Guest {
  const guest = new Guest(kind);
  guest.paging();
  guest.map(DATA, COPY);
  guest.map(BEHIND, OTHER_TABLE);
  guest.engine.memory.write(COPY, BYTES.subarray(0, PAGE));
  guest.engine.memory.write(OTHER_TABLE, BYTES.subarray(PAGE));
  guest.put(CODE, code);
  return guest;
}

const at = (place: number): number => new DataView(BYTES.buffer).getUint32(place, true);
const sum = (...numbers: number[]): number => numbers.reduce((a, b) => (a + b) >>> 0, 0);

describe.each(KINDS)('%s', (kind) => {
  test.each<[string, number[], number]>([
    ['the last bytes of a page', MOV_EAX_FROM(DATA + 0xffc), at(0xffc)],
    ['across two pages', MOV_EAX_FROM(DATA + 0xffd), at(0xffd)],
    [
      'several in one page',
      [DATA, DATA + 0x80, DATA + 0x44].flatMap((a, i) => (i === 0 ? MOV_EAX_FROM(a) : ADD_EAX_FROM(a))),
      sum(at(0), at(0x80), at(0x44)),
    ],
    [
      'several on both sides of a border',
      [...MOV_EAX_FROM(DATA + 0xff8), ...ADD_EAX_FROM(BEHIND), ...ADD_EAX_FROM(DATA + 0xffe)],
      sum(at(0xff8), at(PAGE), at(0xffe)),
    ],
  ])('reads constant addresses: %s', (_, code, expected) => {
    const guest = guestWith(kind, [...code, ...RET]);
    expect(guest.heat() >>> 0).toBe(expected);
  });

  test('writes constant addresses, some of which lie in two pages', () => {
    const places = [0x10, 0x14, 0xffe, 0x1004];
    const guest = guestWith(kind, [
      ...MOV_EAX_FROM(DATA),
      ...places.flatMap((place) => [...MOV_EAX_TO(DATA + place), ...ADD_EBX_TO(DATA + place)]),
      ...ADD_AL_FROM(DATA + 0x11),
      ...RET,
    ]);
    const value = sum(at(0), 0x01020304);
    expect(guest.heat(DATA, 0x01020304) >>> 0).toBe(
      ((at(0) & ~0xff) | ((at(0) + ((value >>> 8) & 0xff)) & 0xff)) >>> 0,
    );
    const { memory } = guest.engine;
    for (const place of places) {
      const bytes = [0, 1, 2, 3].map((i) => {
        const linear = place + i;
        return memory.view(linear < PAGE ? COPY + linear : OTHER_TABLE + linear - PAGE, 1)[0]!;
      });
      expect([place, ...bytes]).toEqual([place, ...dword(value)]);
    }
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

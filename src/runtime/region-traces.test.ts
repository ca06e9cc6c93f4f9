/** When a page of a region goes, nothing of the region is left: not in the tables of its other pages, nor anywhere else. */
import * as L from '../backend-wasm/memory-layout.js';
import { HANDLER, RECORD_ENTRY } from '../backend-wasm/record.js';
import type { CodePageView } from './code-page.js';
import type { InterpreterEngine } from './interpreter-engine.js';
import type { Region } from './region-cache.js';
import {
  CALL,
  CODE,
  Guest,
  JMP,
  JZ,
  MOV_EAX,
  NEW,
  NOP,
  OLD,
  PAGE,
  RET,
  STORE,
} from './testing/code-guest.js';

const FAR = CODE + 3 * PAGE;

interface Insides {
  readonly memory: InterpreterEngine['memory'];
  readonly regions: {
    regions(): Iterable<Region>;
    readonly size: number;
    readonly table: WebAssembly.Table;
    readonly live: { clear(): void };
  };
  readonly code: { pages: Map<number, CodePageView & { blocks: number[]; regions: Map<number, unknown> }> };
}

const insidesOf = (guest: Guest): Insides => guest.engine as unknown as Insides;

/** Addresses of records that a code map names and that enter a region. */
function regionRecords({ memory, code }: Insides): number[] {
  const found: number[] = [];
  for (const { map } of code.pages.values()) {
    for (let offset = 0; offset < PAGE; offset++) {
      const record = memory.i32[(map >> 2) + offset]!;
      if (record !== 0 && memory.data.getUint16(record, true) === HANDLER.region) found.push(record);
    }
  }
  return found;
}

const valuesIn = ({ memory }: Insides, [from, to]: readonly [number, number]): Set<number> =>
  new Set(memory.i32.subarray(from >> 2, to >> 2));

const lines = ({ memory }: Insides, address: number): Int32Array =>
  memory.i32.slice(
    (L.PAGE_LINES + 8 * (address >>> 12)) >> 2,
    ((L.PAGE_LINES + 8 * (address >>> 12)) >> 2) + 2,
  );

test.each(['jit', 'auto'] as const)('%s', (kind) => {
  const guest = new Guest(kind);
  guest.put(CODE, [...STORE, ...CALL(CODE + 2, FAR), ...RET]);
  guest.put(FAR, [...MOV_EAX(OLD), 0x85, 0xc0, 0x0f, 0x85, 0xf3, 0, 0, 0, ...RET]); // test eax, eax; jnz
  guest.put(FAR + 0x100, RET);
  expect(guest.heat()).toBe(OLD);
  // Where the callee's page is known when the caller is translated, the region has both.
  guest.put(CODE, [...STORE, ...CALL(CODE + 2, FAR), ...RET]);
  expect(guest.heat()).toBe(OLD);
  const insides = insidesOf(guest);
  const { memory, regions, code } = insides;
  const all = [...regions.regions()];
  const onBoth = all.filter(({ pages }) =>
    [CODE, FAR].every((a) => pages.some(({ pfn }) => pfn === a >>> 12)),
  );
  expect(onBoth.length).toBeGreaterThan(0);
  expect(regionRecords(insides).length).toBeGreaterThan(0);
  for (const { slot } of onBoth) expect(regions.table.get(slot)).not.toBeNull();

  guest.engine.memory.write32(FAR + 1, NEW);
  const left = [...regions.regions()];
  for (const region of onBoth) {
    expect(left).not.toContain(region);
    expect(regions.table.get(region.slot)).toBeNull();
    for (const page of region.pages) expect(page.onDrop.has(region.drop)).toBe(false);
    expect(valuesIn(insides, region.rows)).toEqual(new Set([-1]));
    expect(valuesIn(insides, region.map)).toEqual(new Set([L.EMPTY_PLACE]));
  }
  // Region records are those of the regions that are left.
  const slots = new Set(left.map(({ slot }) => slot));
  for (const record of regionRecords(insides)) {
    const entry = memory.data.getUint16(record + RECORD_ENTRY, true);
    expect(slots).toContain(memory.i32[(L.REGION_ENTRY_TABLE + entry * L.REGION_ENTRY_BYTES) >> 2]);
  }
  for (const { pfn, regions: patches } of code.pages.values())
    if (!left.some(({ pages }) => pages.some((page) => page.pfn === pfn))) expect(patches.size).toBe(0);
  expect([...lines(insides, FAR)]).toEqual([0, 0]);

  // And the other way round: of the caller's page nothing is left on the callee's.
  expect(guest.heat()).toBe(NEW);
  guest.engine.memory.write(CODE, Uint8Array.from(RET));
  guest.engine.memory.write(FAR, Uint8Array.from(RET));
  expect([...lines(insides, CODE), ...lines(insides, FAR)]).toEqual([0, 0, 0, 0]);
  for (const address of [CODE, FAR]) expect(code.pages.get(address >>> 12)!.regions.size).toBe(0);
});

test('lines that only a region was made from are code no more when it goes', () => {
  const guest = new Guest('jit');
  const insides = insidesOf(guest);
  // test eax, eax; jz CODE + 0x100: never taken, so that only the translator reads what is there.
  guest.put(CODE, [...MOV_EAX(OLD), 0x85, 0xc0, 0x0f, 0x84, 0xf3, 0, 0, 0, ...RET]);
  guest.put(CODE + 0x100, RET);
  expect(guest.heat()).toBe(OLD);
  expect(lines(insides, CODE)[0]! & 0b10001).toBe(0b10001);
  insides.regions.live.clear();
  expect([...lines(insides, CODE)]).toEqual([0b00001, 0]);
  expect(guest.heat()).toBe(OLD);
});

test('jumps in the pages of a region that went do not go to its records any more', () => {
  const guest = new Guest('auto');
  const { memory, regions, code } = insidesOf(guest);
  // CODE: test edx, edx; jz over; jmp loop; over: nop; jmp loop. Only the second way is warm when the region is made.
  const loop = CODE + 0x40;
  const [hot, cold] = [JMP(CODE + 4, loop), JMP(CODE + 10, loop)];
  guest.put(CODE, [0x85, 0xd2, ...JZ(6), ...hot, ...NOP, ...cold]);
  // mov eax, 20; loop: dec eax; jnz loop; ret
  guest.put(loop, [...MOV_EAX(20), 0x48, 0x75, 0xfd, ...RET]);
  guest.heat(1);
  guest.call(3, 0);
  const patches = [...code.pages.get(CODE >>> 12)!.regions.values()] as { record: number; entry: number }[];
  const gone = new Set(
    patches.flatMap(({ record, entry }) => [record, entry]).filter((record) => record !== 0),
  );
  // Of blocks that are entered as such: nobody follows the others' links.
  const links = (): number[] =>
    [...code.pages.values()].flatMap(({ blocks }) =>
      blocks.flatMap((first, i) => {
        const handler = memory.data.getUint16(first, true);
        if (i % 2 === 1 || handler === HANDLER.region || handler === HANDLER.resume) return [];
        return [...memory.i32.subarray(first >> 2, blocks[i + 1]! >> 2)].filter((value) => gone.has(value));
      }),
    );
  expect(links().length).toBeGreaterThan(0);
  regions.live.clear();
  expect(links()).toEqual([]);
  expect(guest.call(3, 0)).toBe(0);
});

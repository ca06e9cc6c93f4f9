/** Areas of control memory: a guest whose RAM lay over one of them would own the process's constants. */
import { CPU_STATE_BYTES } from '../frontend-x86/cpu-state.js';
import * as L from './memory-layout.js';

test('no area begins before the one in front of it ends', () => {
  const areas: readonly (readonly [name: string, start: number, bytes: number])[] = [
    ['CPU state', 0, CPU_STATE_BYTES],
    ['slots of the engine', CPU_STATE_BYTES, L.SLOTS_END - CPU_STATE_BYTES],
    ['GDT', L.GDT, 32 * 8],
    ['slow handlers', L.SLOW_HANDLERS, 0x10000],
    ['used regions', L.REGION_USED, L.MAX_REGIONS],
    ['region entries', L.REGION_ENTRY_TABLE, L.MAX_REGION_ENTRIES * L.REGION_ENTRY_BYTES],
    ['page flags', L.PAGE_FLAGS, L.MAX_PAGES],
    ['page lines', L.PAGE_LINES, 8 * L.MAX_PAGES],
    ['code map numbers', L.PAGE_CODE_MAPS, 2 * L.MAX_PAGES],
    ['linear pages of stores', L.PAGE_STORED_FROM, 4 * L.MAX_PAGES],
    ['code maps', L.CODE_MAPS, L.CODE_MAP_COUNT * L.CODE_MAP_BYTES],
    ['records', L.RECORDS, L.RECORDS_END - L.RECORDS],
    ['records that are run once', L.SCRATCH_RECORDS, L.START_RECORD - L.SCRATCH_RECORDS],
    ['entry maps', L.ENTRY_MAPS, L.ENTRY_MAPS_END - L.ENTRY_MAPS],
    ['empty TLB', L.EMPTY_TLB, L.TLB_DATA_BYTES],
    ['TLBs', L.TLB_POOL, L.TLB_CONTEXTS * L.TLB_CONTEXT_BYTES],
    ['RAM', L.RAM, L.MAX_PAGES * 4096],
    ['end', 2 ** 32, 0],
  ];
  const overlapping = areas.slice(1).filter(([, start], i) => {
    const [, before, bytes] = areas[i]!;
    return start < before + bytes;
  });
  expect(overlapping).toEqual([]);
});

test('the counters of ways out end before the next slot', () => {
  const last = L.REGION_EXIT_CAUSES.at(-1)!;
  expect(L.exitCounter(last) + 4).toBeLessThanOrEqual(L.REGION_BASE);
  expect(L.REGION_INSTRUCTIONS % 8).toBe(0);
  expect(L.REGION_INSTRUCTIONS + 8).toBeLessThanOrEqual(L.DIRECT_INTS);
});

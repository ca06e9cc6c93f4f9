import { listenToHost, sameStore, storesOf } from './store-journal.js';
import { ALIAS, CODE, DATA, DIRECTORY, Guest, NEW, PAGE, STACK, TABLE } from './testing/code-guest.js';

test.each(['interp', 'jit', 'reference'] as const)('what code is going to store, with %s', (kind) => {
  const guest = new Guest(kind);
  const { engine } = guest;
  guest.paging();
  guest.map(ALIAS, DATA);
  // mov [edx], ebx; push ebx; mov edi, edx; mov al, 7; mov ecx, 2; rep stosb; int 0x20
  guest.put(CODE, [0x89, 0x1a, 0x53, 0x89, 0xd7, 0xb0, 7, 0xb9, 2, 0, 0, 0, 0xf3, 0xaa, 0xcd, 0x20]);
  engine.cpu.setReg(2, ALIAS + PAGE - 2);
  engine.cpu.setReg(3, NEW);
  engine.cpu.setReg(4, STACK);
  engine.cpu.eip = CODE;
  const before = engine.memory.view(0, engine.memory.limitBytes).slice();
  const stores = storesOf(engine, 100).map(({ bytes, ...rest }) => ({ ...rest, bytes: [...bytes] }));
  const at = (count: number, eip: number, linear: number, physical: number, bytes: number[]): object => ({
    ...{ count, eip, linear, physical, bytes },
  });
  expect(stores).toEqual([
    at(0, CODE, ALIAS + PAGE - 2, DATA + PAGE - 2, [0x22, 0x22, 0x22, 0x22]),
    at(1, CODE + 2, STACK - 4, STACK - 4, [0x22, 0x22, 0x22, 0x22]),
    at(5, CODE + 12, ALIAS + PAGE - 2, DATA + PAGE - 2, [7]),
    at(6, CODE + 12, ALIAS + PAGE - 1, DATA + PAGE - 1, [7]),
  ]);
  expect(storesOf(engine, 2)).toHaveLength(2);
  // The engine has not moved.
  expect(engine.cpu.eip).toBe(CODE);
  expect(engine.instructions).toBe(0);
  expect(engine.mmu.root).toBe(DIRECTORY);
  expect(engine.memory.read32(TABLE + (ALIAS >>> 10))).toBe(DATA | 3);
  expect(Buffer.compare(engine.memory.view(0, before.length), before)).toBe(0);
});

test('what the Host and devices store', () => {
  const guest = new Guest('interp');
  const stores = listenToHost(guest.engine, 3);
  guest.engine.memory.write32(DATA, NEW);
  guest.engine.memory.writable(DATA + 8, 4).fill(5);
  guest.engine.memory.written(DATA + 8, 2);
  guest.engine.memory.write8(DATA, 1);
  guest.engine.memory.write8(DATA, 2);
  expect(stores).toEqual([
    { count: 0, physical: DATA, bytes: Uint8Array.of(0x22, 0x22, 0x22, 0x22) },
    { count: 0, physical: DATA + 8, bytes: Uint8Array.of(5, 5) },
    { count: 0, physical: DATA, bytes: Uint8Array.of(1) },
  ]);
  expect(sameStore(stores[0]!, stores[0]!)).toBe(true);
  expect(sameStore(stores[0]!, stores[2]!)).toBe(false);
});

/**
 * Instructions that a region gives up because the TLB has not what they access: they are executed all the same, once,
 * and counted once.
 */
import * as S from '../frontend-x86/cpu-state.js';
import { LEAVE } from '../frontend-x86/leave.js';
import { ALIAS, CALL, CODE, DATA, Guest, NEW, PAGE, RET, STACK } from './testing/code-guest.js';

const MISSES = 'region exits: TLB miss';
const misses = (guest: Guest): number => guest.engine.counters()[MISSES] ?? 0;

const LOAD = [0x8b, 0x02]; // mov eax, [edx]
const ADD_BEHIND = [0x03, 0x42, 0x08]; // add eax, [edx+8]
const STORE_BETWEEN = [0x89, 0x5a, 0x04]; // mov [edx+4], ebx
const INCREMENT = [0xff, 0x02]; // inc dword [edx]
const EXCHANGE = [0x87, 0x1a]; // xchg [edx], ebx
const PUSH_ALL = [0x60]; // pusha
const POP_ALL = [0x61]; // popa
const FAR = CODE + PAGE;
const SECOND_DRIVER = 0xb000;
/** Two bytes of each access at `edx` are in the next page. */
const CROSSING = DATA + PAGE - 2;

/** A guest with data, whose code runs as a region. */
function heated(code: readonly number[], edx: number): Guest {
  const guest = new Guest('auto');
  guest.paging();
  guest.put(CODE, [...code, ...RET]);
  guest.heat(edx);
  expect(guest.engine.counters()['regions live']).toBeGreaterThan(0);
  return guest;
}

test.each([
  ['a load', LOAD],
  ['accesses that share a check', [...LOAD, ...STORE_BETWEEN, ...ADD_BEHIND]],
])('%s across pages', (_, code) => {
  const guest = heated(code, CROSSING);
  const { memory } = guest.engine;
  memory.write32(CROSSING, 0x01020304);
  memory.write32(CROSSING + 4, 0);
  memory.write32(CROSSING + 8, 0x10);
  const before = misses(guest);
  const shared = code.length > LOAD.length;
  expect(guest.call(10, CROSSING)).toBe(shared ? 0x01020314 : 0x01020304);
  expect(memory.read32(CROSSING + 4)).toBe(shared ? NEW : 0);
  expect(misses(guest) - before).toBeGreaterThanOrEqual(10);
});

test('a change of memory across pages happens once a time', () => {
  const guest = heated(INCREMENT, CROSSING);
  guest.engine.memory.write32(CROSSING, 5);
  guest.call(10, CROSSING);
  expect(guest.engine.memory.read32(CROSSING)).toBe(15);
});

test('an exchange across pages gives what was there', () => {
  const guest = heated(EXCHANGE, CROSSING);
  guest.engine.memory.write32(CROSSING, 5);
  guest.call(1, CROSSING, 7);
  expect(guest.engine.memory.read32(CROSSING)).toBe(7);
  expect(guest.engine.cpu.reg(3)).toBe(5);
});

test('a page that leaves the TLB is looked up once', () => {
  const guest = heated(LOAD, DATA);
  guest.call(10, DATA);
  const before = misses(guest);
  guest.engine.mmu.flushAll();
  guest.call(100, DATA);
  expect(misses(guest) - before).toBeGreaterThan(0);
  expect(misses(guest) - before).toBeLessThan(5);
});

test.each([
  ['beside the code that stores it', CODE + PAGE / 2],
  ['across pages', CROSSING],
])('data %s: the instruction that misses all the time is translated anew, and calls', (_, edx) => {
  const guest = heated([...STORE_BETWEEN, ...LOAD], DATA);
  guest.call(10_000, edx);
  guest.translations.finish();
  guest.call(10_000, edx);
  guest.translations.finish();
  const before = misses(guest);
  guest.engine.memory.write32(edx, 5);
  expect(guest.call(1000, edx, 7)).toBe(5);
  expect(guest.engine.memory.read32(edx + 4)).toBe(7);
  expect(misses(guest) - before).toBe(0);
});

test('an instruction that misses where another address space has its page is known by its place in the region', () => {
  const guest = heated([...STORE_BETWEEN, ...LOAD], DATA);
  const { cpu } = guest.engine;
  guest.map(ALIAS, CODE);
  guest.put(SECOND_DRIVER, [...CALL(SECOND_DRIVER, ALIAS), 0x49, 0x75, 0xf8, 0xcd, 0x20]);
  // What is asked for meanwhile is not delivered, so that it is the region made for CODE that misses.
  cpu.setReg(1, 10_000);
  cpu.setReg(2, CROSSING);
  cpu.eip = SECOND_DRIVER;
  guest.finish();
  const asked = guest.translations.held.map(({ request }) => request).filter(({ missing }) => missing);
  expect(asked.length).toBe(1);
  const [place] = asked[0]!.missing!;
  expect(asked[0]!.leaders).toContain(place);
  expect(place! & (PAGE - 1)).toBe(CODE & (PAGE - 1));
});

/** What a guest sees of itself. */
function stateOf({ engine }: Guest): readonly number[] {
  const registers = [0, 1, 2, 3, 4, 5, 6, 7].map((r) => engine.cpu.reg(r));
  return [...registers, engine.cpu.eip, engine.cpu.eflags, engine.instructions];
}

test.each([1, 2, 3, 5, 7, 64])('budgets of %i instructions end where the reference ends', (budget) => {
  // Whole frames across pages, and accesses that share checks with others that do.
  const code = [
    ...LOAD,
    ...PUSH_ALL,
    ...STORE_BETWEEN,
    ...INCREMENT,
    ...POP_ALL,
    ...CALL(CODE + 9, FAR),
    ...ADD_BEHIND,
  ];
  const guests = (['reference', 'auto', 'jit'] as const).map((kind) => {
    const guest = new Guest(kind);
    guest.paging();
    guest.put(CODE, [...code, ...RET]);
    guest.put(FAR, [...EXCHANGE, ...ADD_BEHIND, ...RET]);
    if (kind === 'auto') guest.heat(CROSSING);
    else guest.call(1, CROSSING);
    for (let i = 0; i < 32; i += 4) guest.engine.memory.write32(DATA + PAGE - 16 + i, 0x1000001 * i);
    guest.engine.cpu.eflags = 2;
    guest.engine.cpu.set(S.EAX, 0);
    guest.engine.instructions = 0;
    return guest;
  });
  const [reference, ...others] = guests;
  // A stack whose frames lie across pages too.
  for (const { engine } of guests) {
    engine.cpu.setReg(1, 1000);
    engine.cpu.setReg(2, CROSSING);
    engine.cpu.setReg(3, NEW);
    engine.cpu.setReg(4, STACK + 10);
    engine.cpu.eip = CODE;
    engine.memory.write32(STACK + 10, CODE);
    for (let i = 0; i < 64; i++) engine.memory.write32(STACK + 10 + 4 * i, CODE);
  }
  for (let runs = 0; runs < 600 / budget; runs++) {
    for (const { engine } of guests) {
      const end = engine.instructions + budget;
      while (engine.instructions < end) expect(engine.run(end - engine.instructions)).toBe(LEAVE.budget);
    }
    for (const other of others) expect(stateOf(other)).toEqual(stateOf(reference!));
  }
  for (const { engine } of others) {
    expect(engine.memory.view(DATA, 2 * PAGE)).toEqual(reference!.engine.memory.view(DATA, 2 * PAGE));
  }
});

/** Which hypercalls the engine performs by itself, and what it leaves to its owner. */
import * as S from '../frontend-x86/cpu-state.js';
import { MOST_DROPS } from '../backend-wasm/memory-layout.js';
import { LEAVE } from '../frontend-x86/leave.js';
import type { CpuState } from './cpu.js';
import {
  ALIAS,
  CODE,
  COPY,
  DATA,
  DIRECTORY,
  dword,
  Guest,
  KINDS,
  NEW,
  OLD,
  OTHER_DIRECTORY,
  OTHER_TABLE,
  PAGE,
  PRESENT_WRITABLE,
  RAM_BYTES,
  STACK,
  TABLE,
} from './testing/code-guest.js';

const INT = (vector: number): number[] => [0xcd, vector];
const END = 0x21;
const MOV_EAX = (value: number): number[] => [0xb8, ...dword(value)];
const LOAD_EAX_FROM_ECX = [0x8b, 0x01];
const MOV_ESI_EAX = [0x89, 0xc6];
const STORE_DWORD = (at: number, value: number): number[] => [0xc7, 0x05, ...dword(at), ...dword(value)];

// Numbers of no ABI: whose they are is told.
const FLUSH_ASYNC = 30;
const SET_PTE = 21;
const SET_PGD = 22;
const NEW_PGTABLE = 23;
const SET_STACK = 24;
const LOAD_TLS = 25;
const FLUSH_TLB = 26;
const OTHER = 27;

const RING = 0x70000;
const STATUSES = RING + 0x100;
const ENTRY_BYTES = 20;

const PRESENT = 1;
const USER_WRITABLE = 7;

const entryOf = (table: number, page: number): number => table + (page >>> 12) * 4;

/** A guest whose ALIAS shows DATA, which holds OLD; the next page holds NEW. */
function guestOf(kind: (typeof KINDS)[number]): Guest {
  const guest = new Guest(kind);
  const { cpu, memory } = guest.engine;
  guest.paging();
  memory.write32(DATA, OLD);
  memory.write32(DATA + PAGE, NEW);
  guest.map(ALIAS, DATA);
  cpu.set(S.DIRECT_TRAPS, 1);
  // The owner leaves them off until it knows the guest's gates.
  cpu.set(S.DIRECT_INT_VECTOR, 0xffffffff);
  cpu.set(S.SET_PTE_NUMBER, SET_PTE);
  cpu.set(S.FLUSH_ASYNC_NUMBER, FLUSH_ASYNC);
  cpu.set(S.SET_PGD_NUMBER, SET_PGD);
  cpu.set(S.NEW_PGTABLE_NUMBER, NEW_PGTABLE);
  cpu.set(S.SET_STACK_NUMBER, SET_STACK);
  cpu.set(S.LOAD_TLS_NUMBER, LOAD_TLS);
  cpu.set(S.FLUSH_TLB_NUMBER, FLUSH_TLB);
  cpu.set(S.HYPERCALL_ARGUMENT_3, 4 * 2); // edx
  cpu.set(S.RING_ARGUMENT_3, 12);
  cpu.set(S.HYPERCALL_ARGUMENT_1, 4 * 3); // ebx
  cpu.set(S.HYPERCALL_ARGUMENT_2, 4 * 1); // ecx
  cpu.set(S.RING_STATUS, STATUSES);
  cpu.set(S.RING_ENTRIES, RING + 0x200);
  cpu.set(S.RING_ENTRY_BYTES, ENTRY_BYTES);
  cpu.set(S.RING_NUMBER, 0);
  cpu.set(S.RING_ARGUMENT_1, 8);
  cpu.set(S.RING_ARGUMENT_2, 4);
  memory.write(STATUSES, new Uint8Array(S.RING_SIZE).fill(S.RING_FREE));
  return guest;
}

/** Calls of a number that the engine performed. */
const direct = (cpu: CpuState, number: number): number => cpu.get(S.DIRECT_CALLS + 4 * number);
const ring = (cpu: CpuState, number: number): number => cpu.get(S.RING_CALLS + 4 * number);

function putInRing(guest: Guest, at: number, number: number, a1: number, a2 = 0, a3 = 0): void {
  const { memory } = guest.engine;
  const entry = RING + 0x200 + at * ENTRY_BYTES;
  memory.write32(entry, number);
  memory.write32(entry + 8, a1);
  memory.write32(entry + 4, a2);
  memory.write32(entry + 12, a3);
  memory.write8(STATUSES + at, 0);
}

/** Runs what is at CODE with the first three arguments of hypercalls, and tells what it ended with. */
function start(guest: Guest, ebx: number, ecx: number, edx = 0): { reason: number; detail: number } {
  const { cpu } = guest.engine;
  cpu.setReg(3, ebx);
  cpu.setReg(1, ecx);
  cpu.setReg(2, edx);
  cpu.setReg(4, STACK);
  cpu.eip = CODE;
  const reason = guest.engine.run(100);
  return { reason, detail: cpu.get(S.EXIT_DETAIL) };
}

/** Reads ALIAS into esi, maps it to the next page, makes a hypercall, and reads it once more into eax. */
function remap(guest: Guest, number: number, root = DIRECTORY): { reason: number; detail: number } {
  guest.put(CODE, [
    ...LOAD_EAX_FROM_ECX,
    ...MOV_ESI_EAX,
    ...STORE_DWORD(entryOf(TABLE, ALIAS), (DATA + PAGE) | PRESENT_WRITABLE),
    ...MOV_EAX(number),
    ...INT(S.HYPERCALL_VECTOR),
    ...LOAD_EAX_FROM_ECX,
    ...INT(END),
  ]);
  return start(guest, root, ALIAS);
}

/** What `remap` read before and after. */
const seen = ({ engine }: Guest): number[] => [engine.cpu.get(S.ESI), engine.cpu.reg(0)];

/** Makes a hypercall, and ends if the engine has performed it. */
function make(guest: Guest, number: number, a1: number, a2 = 0, a3 = 0): { reason: number; detail: number } {
  guest.put(CODE, [...MOV_EAX(number), ...INT(S.HYPERCALL_VECTOR), ...INT(END)]);
  return start(guest, a1, a2, a3);
}

const ENDED = { reason: LEAVE.int, detail: END };
const LEFT = { reason: LEAVE.int, detail: S.HYPERCALL_VECTOR };

// The reference engine leaves for everything.
describe.each(KINDS.filter((kind) => kind !== 'reference'))('%s:', (kind) => {
  test('SET_PTE: the page is looked up anew, and the call is one instruction', () => {
    const guest = guestOf(kind);
    expect(remap(guest, SET_PTE)).toEqual(ENDED);
    const { cpu, instructions } = guest.engine;
    expect(seen(guest)).toEqual([OLD, NEW]);
    expect(direct(cpu, SET_PTE)).toBe(1);
    expect(instructions).toBe(6);
  });

  test('SET_PTE of another address space changes nothing here', () => {
    const guest = guestOf(kind);
    expect(remap(guest, SET_PTE, OTHER_DIRECTORY)).toEqual(ENDED);
    expect(guest.engine.cpu.reg(0)).toBe(OLD);
  });

  test('but above the kernel address it counts for all', () => {
    const guest = guestOf(kind);
    guest.engine.mmu.kernelAddress = ALIAS;
    expect(remap(guest, SET_PTE, OTHER_DIRECTORY)).toEqual(ENDED);
    expect(guest.engine.cpu.reg(0)).toBe(NEW);
  });

  test('an address space that is not the current one is flushed as well', () => {
    const guest = guestOf(kind);
    const { cpu, memory, mmu } = guest.engine;
    memory.write32(entryOf(OTHER_TABLE, ALIAS), DATA | PRESENT_WRITABLE);
    guest.put(COPY, [...LOAD_EAX_FROM_ECX, ...INT(END)]);
    const readThere = (): number => {
      mmu.setPageTable(OTHER_DIRECTORY, false);
      cpu.setReg(1, ALIAS);
      cpu.eip = COPY;
      guest.engine.run(10);
      mmu.setPageTable(DIRECTORY, false);
      return cpu.reg(0);
    };
    expect(readThere()).toBe(OLD);
    memory.write32(entryOf(OTHER_TABLE, ALIAS), (DATA + PAGE) | PRESENT_WRITABLE);
    expect(readThere()).toBe(OLD);
    remap(guest, SET_PTE, OTHER_DIRECTORY);
    expect(readThere()).toBe(NEW);
  });

  test('SET_PTEs in the ring come before the call, in order, over its end', () => {
    const guest = guestOf(kind);
    const { cpu, memory } = guest.engine;
    cpu.set(S.RING_NEXT, 63);
    putInRing(guest, 63, SET_PTE, DIRECTORY, DATA);
    putInRing(guest, 0, SET_PTE, DIRECTORY, ALIAS);
    expect(remap(guest, FLUSH_ASYNC)).toEqual(ENDED);
    expect(cpu.reg(0)).toBe(NEW);
    expect(cpu.get(S.RING_NEXT)).toBe(1);
    expect([ring(cpu, SET_PTE), direct(cpu, FLUSH_ASYNC)]).toEqual([2, 1]);
    expect([63, 0].map((at) => memory.read8(STATUSES + at))).toEqual([S.RING_FREE, S.RING_FREE]);
  });

  test('a full ring is emptied once', () => {
    const guest = guestOf(kind);
    const { cpu, memory } = guest.engine;
    for (let at = 0; at < S.RING_SIZE; at++) putInRing(guest, at, SET_PTE, DIRECTORY, at * PAGE);
    expect(remap(guest, FLUSH_ASYNC)).toEqual(ENDED);
    expect(ring(cpu, SET_PTE)).toBe(S.RING_SIZE);
    expect(cpu.get(S.RING_NEXT)).toBe(0);
    for (let at = 0; at < S.RING_SIZE; at++) expect(memory.read8(STATUSES + at)).toBe(S.RING_FREE);
  });

  test('the first other call in the ring, and all behind it, is left to the owner', () => {
    const guest = guestOf(kind);
    const { cpu, memory } = guest.engine;
    putInRing(guest, 0, SET_PTE, DIRECTORY, DATA);
    putInRing(guest, 1, OTHER, 1, 2);
    putInRing(guest, 2, SET_PTE, DIRECTORY, ALIAS);
    expect(remap(guest, SET_PTE)).toEqual(LEFT);
    expect(cpu.get(S.RING_NEXT)).toBe(1);
    expect([0, 1, 2].map((at) => memory.read8(STATUSES + at))).toEqual([S.RING_FREE, 0, 0]);
    expect([ring(cpu, SET_PTE), direct(cpu, SET_PTE)]).toEqual([1, 0]);
    // The owner goes on with the turn that has begun.
    expect(cpu.get(S.RING_TURN)).toBe(1);
    expect(cpu.get(S.EXIT_NEXT)).toBe(cpu.eip + 2);
    expect(guest.engine.instructions).toBe(4);
  });

  test.each([
    ['other calls', (): number => OTHER],
    [
      'calls while an interrupt waits',
      (guest: Guest): number => {
        guest.engine.cpu.set(S.DIRECT_TRAPS, 0);
        return SET_PTE;
      },
    ],
    [
      'calls of level 0',
      (guest: Guest): number => {
        guest.engine.cpu.set(S.CPL, 0);
        return SET_PTE;
      },
    ],
  ])('%s are left to the owner, and the ring with them', (_, prepare) => {
    const guest = guestOf(kind);
    putInRing(guest, 0, SET_PTE, DIRECTORY, DATA);
    expect(remap(guest, prepare(guest))).toEqual(LEFT);
    expect(guest.engine.memory.read8(STATUSES)).toBe(0);
    expect(guest.engine.cpu.get(S.RING_NEXT)).toBe(0);
  });

  test('a status byte among code changes that code', () => {
    const guest = guestOf(kind);
    const { cpu, memory } = guest.engine;
    // The statuses are the immediate's bytes: an entry to perform, and a free one.
    guest.put(CODE, [...MOV_EAX(0x1111ff00), 0xc3]);
    expect(guest.heat()).toBe(0x1111ff00);
    cpu.set(S.RING_STATUS, CODE + 1);
    memory.write32(RING + 0x200, SET_PTE);
    guest.put(COPY, [...MOV_EAX(FLUSH_ASYNC), ...INT(S.HYPERCALL_VECTOR), ...INT(END)]);
    cpu.eip = COPY;
    expect(guest.engine.run(10)).toBe(LEAVE.int);
    expect(ring(cpu, SET_PTE)).toBe(1);
    expect(guest.call(1)).toBe(0x1111ffff);
  });

  describe('SET_STACK', () => {
    const SELECTOR = 0x69;
    const started = (): Guest => {
      const guest = guestOf(kind);
      guest.engine.cpu.set(S.DIRECT_SS, SELECTOR);
      guest.engine.cpu.set(S.DIRECT_ESP, 0x1000);
      return guest;
    };

    test('of the segment that is known', () => {
      const guest = started();
      expect(make(guest, SET_STACK, SELECTOR, 0x7000, 2)).toEqual(ENDED);
      expect(guest.engine.cpu.get(S.DIRECT_ESP)).toBe(0x7000);
      expect(direct(guest.engine.cpu, SET_STACK)).toBe(1);
    });
    test.each([
      ['of another segment', 0x61, 1],
      ['that is too long', SELECTOR, 3],
    ])('%s is left to the owner', (_, selector, pages) => {
      const guest = started();
      expect(make(guest, SET_STACK, selector, 0x7000, pages)).toEqual(LEFT);
      expect(guest.engine.cpu.get(S.DIRECT_ESP)).toBe(0x1000);
    });
  });

  describe('LOAD_TLS', () => {
    const GDT = 0x1000;
    const FIRST = 6;
    /** Descriptors as guests write them, and as they stand in the GDT: of level 1, and accessed. */
    const GIVEN = [0x0000ffff, 0x00cf9200, 0x1234ffff, 0x00cff200, 0, 0];
    const FIXED = [0x0000ffff, 0x00cfb300, 0x1234ffff, 0x00cff300, 0, 0x2100];
    const started = (): Guest => {
      const guest = guestOf(kind);
      const { cpu, memory } = guest.engine;
      cpu.set(S.GDT_ADDRESS, GDT);
      FIXED.forEach((dword, i) => cpu.view.setUint32(GDT + 8 * FIRST + 4 * i, dword, true));
      GIVEN.forEach((dword, i) => memory.write32(DATA + 4 * i, dword));
      return guest;
    };

    test('of what is there already', () => {
      expect(make(started(), LOAD_TLS, DATA)).toEqual(ENDED);
    });
    test.each([0, 1, 2, 3, 4, 5])('of something else, in dword %i, is left to the owner', (i) => {
      const guest = started();
      guest.engine.memory.write32(DATA + 4 * i, GIVEN[i]! ^ 0x10000);
      expect(make(guest, LOAD_TLS, DATA)).toEqual(LEFT);
    });
    test('beyond the memory that the guest may use is left to the owner', () => {
      const guest = started();
      const { memory, mmu } = guest.engine;
      const end = mmu.pfnLimit * PAGE;
      memory.write(end - 24, memory.view(DATA, 24).slice());
      expect(make(guest, LOAD_TLS, end - 24)).toEqual(ENDED);
      for (const address of [end - 23, end - 1, end, 0xffffffff])
        expect(make(guest, LOAD_TLS, address)).toEqual(LEFT);
    });
  });

  describe('NEW_PGTABLE', () => {
    test('of an address space that is known', () => {
      const guest = guestOf(kind);
      const { cpu, memory, mmu } = guest.engine;
      memory.write32(entryOf(OTHER_TABLE, ALIAS), (DATA + PAGE) | PRESENT_WRITABLE);
      mmu.setPageTable(OTHER_DIRECTORY, false);
      mmu.setPageTable(DIRECTORY, false);
      expect(remap(guest, NEW_PGTABLE, OTHER_DIRECTORY)).toEqual(ENDED);
      expect([cpu.get(S.ESI), cpu.reg(0)]).toEqual([OLD, NEW]);
      expect(mmu.root).toBe(OTHER_DIRECTORY);
      expect(mmu.translate(ALIAS, false, false)).toBe(DATA + PAGE);
    });
    test('of one that is not, or before there is any, is left to the owner', () => {
      const guest = guestOf(kind);
      expect(make(guest, NEW_PGTABLE, OTHER_DIRECTORY)).toEqual(LEFT);
      expect(guest.engine.mmu.root).toBe(DIRECTORY);
      guest.engine.mmu.setLinear();
      expect(make(guest, NEW_PGTABLE, DIRECTORY)).toEqual(LEFT);
      expect(guest.engine.mmu.root).toBe(-1);
    });
  });

  describe('FLUSH_TLB', () => {
    test('of the user part: it is looked up anew', () => {
      const guest = guestOf(kind);
      expect(remap(guest, FLUSH_TLB, 0)).toEqual(ENDED);
      expect(seen(guest)).toEqual([OLD, NEW]);
      expect(direct(guest.engine.cpu, FLUSH_TLB)).toBe(1);
    });
    test('leaves the kernel part', () => {
      const guest = guestOf(kind);
      guest.engine.mmu.kernelAddress = PAGE;
      expect(remap(guest, FLUSH_TLB, 0)).toEqual(ENDED);
      expect(seen(guest)).toEqual([OLD, OLD]);
    });
    test('of all there is is left to the owner', () => {
      expect(make(guestOf(kind), FLUSH_TLB, 1)).toEqual(LEFT);
    });
    test('again and again is left to the owner after a while: the event loop waits for the end of a run', () => {
      const guest = guestOf(kind);
      // mov eax, FLUSH_TLB; int 0x1f; dec ecx; jnz back to the int
      guest.put(CODE, [...MOV_EAX(FLUSH_TLB), ...INT(S.HYPERCALL_VECTOR), 0x49, 0x75, 0xfb, ...INT(END)]);
      const { cpu } = guest.engine;
      cpu.setReg(3, 0);
      cpu.setReg(1, 10_000);
      cpu.eip = CODE;
      expect(guest.engine.run(100_000)).toBe(LEAVE.int);
      expect(cpu.get(S.EXIT_DETAIL)).toBe(S.HYPERCALL_VECTOR);
      expect(direct(cpu, FLUSH_TLB)).toBe(MOST_DROPS);
      // Nothing has happened, and the next run goes on.
      expect(guest.engine.run(100)).toBe(LEAVE.budget);
      expect(direct(cpu, FLUSH_TLB)).toBeGreaterThan(MOST_DROPS);
    });
  });

  describe('SET_PGD', () => {
    test('of what no TLB has anything of', () => {
      expect(make(guestOf(kind), SET_PGD, DIRECTORY, 100)).toEqual(ENDED);
      expect(make(guestOf(kind), SET_PGD, OTHER_DIRECTORY, CODE >>> 22)).toEqual(ENDED);
    });
    test('of what one has of the user part: it is looked up anew', () => {
      const guest = guestOf(kind);
      putInRing(guest, 0, SET_PGD, DIRECTORY, ALIAS >>> 22);
      expect(remap(guest, FLUSH_ASYNC)).toEqual(ENDED);
      expect(seen(guest)).toEqual([OLD, NEW]);
    });
    test('of what one has of the kernel part is left to the owner', () => {
      const guest = guestOf(kind);
      // That is a part of all address spaces.
      guest.engine.mmu.kernelAddress = CODE & -0x400000;
      expect(make(guest, SET_PGD, OTHER_DIRECTORY, CODE >>> 22)).toEqual(LEFT);
    });
    test('that is performed for one of two TLBs only is left to the owner, who does it again', () => {
      const guest = guestOf(kind);
      const { cpu, mmu, memory } = guest.engine;
      memory.write32(DIRECTORY, TABLE | USER_WRITABLE);
      for (let page = 0; page < 256; page++) memory.write32(TABLE + 4 * page, (page * PAGE) | USER_WRITABLE);
      memory.write32(entryOf(TABLE, ALIAS), DATA | USER_WRITABLE);
      // So that both have its entry, and one drop is left in the run.
      guest.put(CODE, [...LOAD_EAX_FROM_ECX, ...INT(END)]);
      cpu.set(S.CPL, 3);
      guest.engine.segmentsChanged();
      start(guest, 0, ALIAS);
      cpu.set(S.CPL, 1);
      guest.engine.segmentsChanged();
      memory.write32(entryOf(TABLE, ALIAS), (DATA + PAGE) | USER_WRITABLE);
      // mov eax, FLUSH_TLB; int 0x1f; dec ecx; jnz back to the int; mov eax, [edx]; mov eax, SET_PGD; int 0x1f
      guest.put(CODE, [
        ...MOV_EAX(FLUSH_TLB),
        ...[...INT(S.HYPERCALL_VECTOR), 0x49, 0x75, 0xfb],
        ...[0xbb, ...dword(DIRECTORY), 0x8b, 0x02],
        ...[...MOV_EAX(SET_PGD), ...INT(S.HYPERCALL_VECTOR)],
        ...INT(END),
      ]);
      cpu.setReg(3, 0);
      cpu.setReg(1, MOST_DROPS);
      cpu.setReg(2, ALIAS);
      cpu.eip = CODE;
      expect(guest.engine.run(100_000)).toBe(LEAVE.int);
      expect([cpu.get(S.EXIT_DETAIL), cpu.reg(0)]).toEqual([S.HYPERCALL_VECTOR, SET_PGD]);
      mmu.flushTopLevel(DIRECTORY, 0);
      guest.put(CODE, [...LOAD_EAX_FROM_ECX, ...INT(END)]);
      start(guest, 0, ALIAS);
      expect(cpu.reg(0)).toBe(NEW);
    });
    test('of no entry is left to the owner', () => {
      for (const index of [1024, 0xffffffff])
        expect(make(guestOf(kind), SET_PGD, DIRECTORY, index)).toEqual(LEFT);
    });
    test('of tables of three levels, whose entries are worth 1 GiB, is left to the owner', () => {
      const guest = guestOf(kind);
      const { memory, mmu } = guest.engine;
      const [root, directory, tables] = [0xa0000, 0xa1000, 0xa2000];
      memory.write32(root, directory | PRESENT);
      for (let page = 0; page < RAM_BYTES / PAGE; page++) {
        if (page % 512 === 0) memory.write32(directory + page / 64, (tables + 8 * page) | PRESENT_WRITABLE);
        memory.write32(tables + 8 * page, (page * PAGE) | PRESENT_WRITABLE);
      }
      mmu.setPageTable(root, true);
      expect(make(guest, SET_PGD, root, 1)).toEqual(LEFT);
    });
  });

  test('a context switch in the ring', () => {
    const guest = guestOf(kind);
    const { cpu, mmu } = guest.engine;
    cpu.set(S.DIRECT_SS, 0x69);
    cpu.set(S.GDT_ADDRESS, 0x1000);
    for (let i = 0; i < 3; i++) cpu.view.setUint32(0x1000 + 8 * (6 + i) + 4, 0x2100, true);
    guest.engine.memory.write(DATA, new Uint8Array(24));
    mmu.setPageTable(OTHER_DIRECTORY, false);
    mmu.setPageTable(DIRECTORY, false);
    putInRing(guest, 0, NEW_PGTABLE, OTHER_DIRECTORY);
    putInRing(guest, 1, SET_STACK, 0x69, 0x7000, 2);
    putInRing(guest, 2, LOAD_TLS, DATA);
    expect(make(guest, FLUSH_ASYNC, 0)).toEqual(ENDED);
    expect(mmu.root).toBe(OTHER_DIRECTORY);
    expect(cpu.get(S.DIRECT_ESP)).toBe(0x7000);
    expect([NEW_PGTABLE, SET_STACK, LOAD_TLS].map((number) => ring(cpu, number))).toEqual([1, 1, 1]);
  });
});

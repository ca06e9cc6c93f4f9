/** Which hypercalls the engine performs by itself, and what it leaves to its owner. */
import * as S from '../frontend-x86/cpu-state.js';
import { LEAVE } from '../frontend-x86/leave.js';
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
const SET_PTE = 41;
const LOAD_TLS = 7;

const RING = 0x70000;
const STATUSES = RING + 0x100;
const ENTRY_BYTES = 20;

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

function putInRing(guest: Guest, at: number, number: number, root: number, address: number): void {
  const { memory } = guest.engine;
  const entry = RING + 0x200 + at * ENTRY_BYTES;
  memory.write32(entry, number);
  memory.write32(entry + 8, root);
  memory.write32(entry + 4, address);
  memory.write8(STATUSES + at, 0);
}

/** Reads ALIAS into esi, maps it to the next page, makes a hypercall, and reads it once more into eax. */
function remap(guest: Guest, number: number, root = DIRECTORY): { reason: number; detail: number } {
  const { cpu } = guest.engine;
  guest.put(CODE, [
    ...LOAD_EAX_FROM_ECX,
    ...MOV_ESI_EAX,
    ...STORE_DWORD(entryOf(TABLE, ALIAS), (DATA + PAGE) | PRESENT_WRITABLE),
    ...MOV_EAX(number),
    ...INT(S.HYPERCALL_VECTOR),
    ...LOAD_EAX_FROM_ECX,
    ...INT(END),
  ]);
  cpu.setReg(1, ALIAS);
  cpu.setReg(3, root);
  cpu.setReg(4, STACK);
  cpu.eip = CODE;
  const reason = guest.engine.run(100);
  return { reason, detail: cpu.get(S.EXIT_DETAIL) };
}

const ENDED = { reason: LEAVE.int, detail: END };
const LEFT = { reason: LEAVE.int, detail: S.HYPERCALL_VECTOR };

// The reference engine leaves for everything.
describe.each(KINDS.filter((kind) => kind !== 'reference'))('%s:', (kind) => {
  test('SET_PTE: the page is looked up anew, and the call is one instruction', () => {
    const guest = guestOf(kind);
    expect(remap(guest, SET_PTE)).toEqual(ENDED);
    const { cpu, instructions } = guest.engine;
    expect([cpu.get(S.ESI), cpu.reg(0)]).toEqual([OLD, NEW]);
    expect(cpu.get(S.DIRECT_SET_PTES)).toBe(1);
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
    expect([cpu.get(S.RING_SET_PTES), cpu.get(S.DIRECT_FLUSHES)]).toEqual([2, 1]);
    expect([63, 0].map((at) => memory.read8(STATUSES + at))).toEqual([S.RING_FREE, S.RING_FREE]);
  });

  test('a full ring is emptied once', () => {
    const guest = guestOf(kind);
    const { cpu, memory } = guest.engine;
    for (let at = 0; at < S.RING_SIZE; at++) putInRing(guest, at, SET_PTE, DIRECTORY, at * PAGE);
    expect(remap(guest, FLUSH_ASYNC)).toEqual(ENDED);
    expect(cpu.get(S.RING_SET_PTES)).toBe(S.RING_SIZE);
    expect(cpu.get(S.RING_NEXT)).toBe(0);
    for (let at = 0; at < S.RING_SIZE; at++) expect(memory.read8(STATUSES + at)).toBe(S.RING_FREE);
  });

  test('the first other call in the ring, and all behind it, is left to the owner', () => {
    const guest = guestOf(kind);
    const { cpu, memory } = guest.engine;
    putInRing(guest, 0, SET_PTE, DIRECTORY, DATA);
    putInRing(guest, 1, LOAD_TLS, 1, 2);
    putInRing(guest, 2, SET_PTE, DIRECTORY, ALIAS);
    expect(remap(guest, SET_PTE)).toEqual(LEFT);
    expect(cpu.get(S.RING_NEXT)).toBe(1);
    expect([0, 1, 2].map((at) => memory.read8(STATUSES + at))).toEqual([S.RING_FREE, 0, 0]);
    expect([cpu.get(S.RING_SET_PTES), cpu.get(S.DIRECT_SET_PTES)]).toEqual([1, 0]);
    // The owner goes on with the turn that has begun.
    expect(cpu.get(S.RING_TURN)).toBe(1);
    expect(cpu.get(S.EXIT_NEXT)).toBe(cpu.eip + 2);
    expect(guest.engine.instructions).toBe(4);
  });

  test.each([
    ['other calls', (): number => LOAD_TLS],
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
    expect(cpu.get(S.RING_SET_PTES)).toBe(1);
    expect(guest.call(1)).toBe(0x1111ffff);
  });
});

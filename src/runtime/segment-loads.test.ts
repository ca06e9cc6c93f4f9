/** Loads of DS end no block: what follows in it has been decoded for a flat segment, and may get another. */
import { expect, test } from '@jest/globals';
import * as S from '../frontend-x86/cpu-state.js';
import * as L from '../backend-wasm/memory-layout.js';
import { LEAVE } from '../frontend-x86/leave.js';
import { CODE, DATA, dword, Guest, KINDS, OFTEN, RET } from './testing/code-guest.js';

const BASE = 0x100;
const FLAT = 0x19;
const BASED = 0x21;
/** Values at DATA, and at DATA as a segment with a base has it. */
const HERE = 0x1111;
const THERE = 0x2222;

const MOV_DS_SI = [0x8e, 0xde];
const MOV_EAX_MEM = [0x8b, 0x02]; // mov eax, [edx]
const MOV_ESI = (n: number): number[] => [0xbe, ...dword(n)];

/** Writes a writable 32-bit data segment of level 1, 4 GiB from a base on. */
function describe(guest: Guest, selector: number, base: number): void {
  const at = L.GDT + (selector & ~7);
  guest.engine.cpu.view.setUint32(at, (base << 16) | 0xffff, true);
  guest.engine.cpu.view.setUint32(at + 4, 0x00cfb300 | (base >>> 16), true);
}

/** A guest that loads DS from `si` and reads at DATA, in one block; it has done that often with a flat segment. */
function reader(kind: (typeof KINDS)[number]): Guest {
  const guest = new Guest(kind);
  guest.paging();
  guest.engine.memory.write32(DATA, HERE);
  guest.engine.memory.write32(DATA + BASE, THERE);
  guest.engine.cpu.set(S.GDT_ADDRESS, L.GDT);
  guest.engine.cpu.set(S.GDT_LIMIT, 255);
  describe(guest, FLAT, 0);
  describe(guest, BASED, BASE);
  guest.put(CODE, [...MOV_DS_SI, ...MOV_EAX_MEM, ...RET]);
  guest.engine.cpu.setReg(6, FLAT);
  expect(guest.heat()).toBe(HERE);
  return guest;
}

test.each(KINDS)('%s: another segment counts from the next instruction on', (kind) => {
  const guest = reader(kind);
  guest.engine.cpu.setReg(6, BASED);
  expect(guest.call(1)).toBe(THERE);
  guest.engine.cpu.setReg(6, FLAT);
  expect(guest.call(OFTEN[kind])).toBe(HERE);
});

test.each(KINDS)('%s: another descriptor behind the same selector does', (kind) => {
  const guest = reader(kind);
  describe(guest, FLAT, BASE);
  expect(guest.call(1)).toBe(THERE);
});

test.each(KINDS)('%s: so does a null segment, which faults', (kind) => {
  const guest = reader(kind);
  const { engine } = guest;
  engine.cpu.setReg(6, 0);
  engine.cpu.eip = CODE;
  expect(engine.run(10)).toBe(LEAVE.fault);
  expect([engine.cpu.get(S.EXIT_DETAIL), engine.cpu.eip]).toEqual([13, CODE + MOV_DS_SI.length]);
});

test.each(KINDS)('%s: what somebody else has put into the register is looked at', (kind) => {
  const guest = reader(kind);
  const { cpu } = guest.engine;
  cpu.set(S.SEGMENT_BASE + 4 * S.DS, BASE);
  guest.engine.segmentsChanged();
  // The same selector and descriptor as at the last load.
  expect(guest.call(1)).toBe(HERE);
  guest.put(CODE, [...MOV_ESI(BASED), ...MOV_DS_SI, ...MOV_EAX_MEM, ...RET]);
  expect(guest.call(OFTEN[kind])).toBe(THERE);
});

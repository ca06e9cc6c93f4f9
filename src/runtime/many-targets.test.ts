/** More code than there is room for: an engine goes on, and keeps to its bounds. */
import { CODE_MAP_BYTES, CODE_MAPS, RECORDS, REGION_ENTRY_BYTES } from '../backend-wasm/memory-layout.js';
import { LEAVE } from '../frontend-x86/leave.js';
import { createEngine, type EngineKind } from './create-engine.js';
import type { Engine } from './engine.js';
import type { InterpreterEngine } from './interpreter-engine.js';
import { REGION_LIMITS, type Region } from './region-cache.js';
import type { TierOptions } from './tiers.js';
import {
  CALL,
  CODE,
  DRIVER,
  dword,
  flatSegments,
  Guest,
  JMP,
  MOV_EAX,
  NEW,
  OLD,
  PAGE,
  RET,
  STACK,
} from './testing/code-guest.js';

const TARGETS = 0x100000;
const TARGET_BYTES = 16;
const MEBIBYTE = 1 << 20;

/** `turns` times calls each of `count` functions, `apart` bytes from each other, which add up their numbers in eax. */
function callAll(
  kind: EngineKind,
  count: number,
  turns: number,
  tiers: TierOptions,
  apart = TARGET_BYTES,
): Engine {
  const ramBytes = TARGETS + Math.ceil((count * apart) / MEBIBYTE) * MEBIBYTE;
  const engine = createEngine({ ramBytes, devicePages: 0, kind, ...tiers });
  const { cpu, memory } = engine;
  flatSegments(engine);
  for (let i = 0; i < count; i++) {
    // add eax, edx; ret. Different places, the same bytes.
    memory.write(TARGETS + i * apart, Uint8Array.of(0x01, 0xd0, 0xc3));
  }
  // turn: mov esi, TARGETS; xor edx, edx; each: call esi; add esi, apart; inc edx; cmp edx, count; jb each; dec ebx; jnz turn
  const code = [
    ...[0xbe, ...dword(TARGETS), 0x31, 0xd2],
    ...[0xff, 0xd6, 0x81, 0xc6, ...dword(apart), 0x42, 0x81, 0xfa, ...dword(count), 0x72, 0xef],
    ...[0x4b, 0x75, 0xe5, 0xcd, 0x20],
  ];
  memory.write(DRIVER, Uint8Array.from(code));
  cpu.setReg(0, 0);
  cpu.setReg(3, turns);
  cpu.setReg(4, STACK);
  cpu.eip = DRIVER;
  let reason: number = LEAVE.budget;
  while (reason === LEAVE.budget) {
    reason = engine.run(1_000_000);
    const { regions } = tiers.limits ?? REGION_LIMITS;
    expect(engine.counters()['regions live'] ?? 0).toBeLessThanOrEqual(regions);
  }
  expect(reason).toBe(LEAVE.int);
  expect(cpu.reg(0)).toBe(Number(((BigInt(turns) * BigInt(count) * BigInt(count - 1)) / 2n) & 0xffffffffn));
  expect(engine.instructions).toBe(turns * (2 + count * 7 + 2));
  return engine;
}

test('a million hot targets, faster than they can be translated', () => {
  const engine = callAll('auto', 1_000_000, 2, { heat: 2 });
  const counters = engine.counters();
  expect(counters['translations asked for']).toBeGreaterThan(0);
});

test.each(['interp', 'auto'] as const)('code on more pages than there are code maps, with %s', (kind) => {
  const pages = (RECORDS - CODE_MAPS) / CODE_MAP_BYTES;
  const engine = callAll(kind, pages + 10, 3, { heat: 2 }, PAGE);
  expect(engine.counters()['code flushes']).toBeGreaterThanOrEqual(3);
});

test('more regions than may live', () => {
  const regions = 50;
  const engine = callAll('jit', 3 * regions, 2, { limits: { ...REGION_LIMITS, regions } });
  const counters = engine.counters();
  expect(counters['translations asked for']).toBeGreaterThan(regions);
  expect(counters['regions live']).toBe(regions);
});

test.each([
  ['entries', { entries: 40 }],
  ['data', { dataBytes: 2000 }],
])('more regions than there are %s for', (_, limit) => {
  const functions = 100;
  const engine = callAll('jit', functions, 2, { limits: { ...REGION_LIMITS, ...limit } });
  const counters = engine.counters();
  expect(counters['regions installed']).toBeGreaterThan(functions);
  expect(counters['regions live']).toBeLessThan(functions / 2);
  const regions = [...(engine as InterpreterEngine).regions.regions()];
  const ends = regions.map(({ rows, map }) => [rows, map].map(([from, to]) => to - from));
  const total = (at: number): number => ends.reduce((sum, bytes) => sum + bytes[at]!, 0);
  if ('entries' in limit) expect(total(0)).toBeLessThanOrEqual(limit.entries * REGION_ENTRY_BYTES);
  else expect(total(1)).toBeLessThanOrEqual(limit.dataBytes);
});

test('a region that is entered again and again stays when others have to go', () => {
  const regions = 8;
  const functions = 40;
  const guest = new Guest('jit', { limits: { ...REGION_LIMITS, regions } });
  const { engine } = guest;
  const often = CODE + PAGE;
  const other = (n: number): number => CODE + (2 + n) * PAGE;
  const { regions: cache } = engine as InterpreterEngine;
  const at = (place: number): Region | undefined =>
    [...cache.regions()].find(({ origin }) => origin.linear + origin.start === place);
  guest.put(often, [...MOV_EAX(OLD), ...RET]);
  let first: Region | undefined;
  for (let n = 0; n < functions; n++) {
    // call other; call often; ret
    guest.put(other(n), [...MOV_EAX(n), ...RET]);
    guest.put(CODE, [...CALL(CODE, other(n)), ...CALL(CODE + 5, often), ...RET]);
    expect(guest.heat()).toBe(OLD);
    first ??= at(often);
  }
  const counters = engine.counters();
  expect(counters['regions live']).toBe(regions);
  expect(counters['regions dropped']).toBeGreaterThan(functions);
  expect(at(often)).toBe(first);
  expect(at(other(1))).toBe(undefined);
});

test('the entry numbers and the data of a region that was dropped are there for others', () => {
  const guest = new Guest('jit');
  const { regions } = guest.engine as InterpreterEngine;
  guest.put(CODE, [...MOV_EAX(OLD), ...RET]);
  guest.heat();
  const [used] = regions.regions();
  const ranges = used!.rows;
  expect(ranges[1]).toBeGreaterThan(ranges[0]);
  used!.drop();
  guest.put(CODE, [...MOV_EAX(NEW), ...RET]);
  expect(guest.heat()).toBe(NEW);
  expect([...regions.regions()].map(({ rows }) => rows)).toContainEqual(ranges);
});

test('a hot instruction on two pages cannot be translated, and is counted', () => {
  const guest = new Guest('jit');
  const straddler = CODE + PAGE - 2;
  guest.put(CODE, JMP(CODE, straddler));
  guest.put(straddler, [...MOV_EAX(OLD), ...RET]);
  expect(guest.heat()).toBe(OLD);
  expect(guest.engine.counters()['not translated: instruction straddles pages']).toBe(1);
});

test('more code than may live', () => {
  const codeBytes = 50_000;
  const engine = callAll('jit', 200, 2, { limits: { ...REGION_LIMITS, codeBytes } });
  const counters = engine.counters();
  expect(counters['region bytes']).toBeGreaterThan(2 * codeBytes);
  expect(counters['region bytes live']).toBeLessThanOrEqual(codeBytes);
});

test.each([
  ['code', { codeBytes: 1 }],
  ['entries', { entries: 0 }],
  ['data', { dataBytes: 1 }],
])('a region that is larger than all %s may be is none', (_, limit) => {
  const guest = new Guest('jit', { limits: { ...REGION_LIMITS, ...limit } });
  guest.put(CODE, [...MOV_EAX(OLD), ...RET]);
  expect(guest.heat()).toBe(OLD);
  expect(guest.engine.counters()).toMatchObject({ 'regions installed': 0, 'regions entered': 0 });
  guest.put(CODE, [...MOV_EAX(NEW), ...RET]);
  expect(guest.heat()).toBe(NEW);
});

/** More code than there is room for: an engine goes on, and keeps to its bounds. */
import { LEAVE } from '../frontend-x86/leave.js';
import { createEngine, type EngineKind } from './create-engine.js';
import type { Engine } from './engine.js';
import { REGION_LIMITS } from './region-cache.js';
import type { TierOptions } from './tiers.js';
import {
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

/** `turns` times calls each of `count` functions, which add up their numbers in eax. */
function callAll(kind: EngineKind, count: number, turns: number, tiers: TierOptions): Engine {
  const ramBytes = TARGETS + Math.ceil((count * TARGET_BYTES) / MEBIBYTE) * MEBIBYTE;
  const engine = createEngine({ ramBytes, devicePages: 0, kind, ...tiers });
  const { cpu, memory } = engine;
  flatSegments(engine);
  for (let i = 0; i < count; i++) {
    // add eax, edx; ret. Different places, the same bytes.
    memory.write(TARGETS + i * TARGET_BYTES, Uint8Array.of(0x01, 0xd0, 0xc3));
  }
  // turn: mov esi, TARGETS; xor edx, edx; each: call esi; add esi, 16; inc edx; cmp edx, count; jb each; dec ebx; jnz turn
  const code = [
    ...[0xbe, ...dword(TARGETS), 0x31, 0xd2],
    ...[0xff, 0xd6, 0x83, 0xc6, TARGET_BYTES, 0x42, 0x81, 0xfa, ...dword(count), 0x72, 0xf2],
    ...[0x4b, 0x75, 0xe8, 0xcd, 0x20],
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
    expect(engine.counters()['regions live']).toBeLessThanOrEqual(regions);
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

test('more regions than may live', () => {
  const regions = 50;
  const engine = callAll('jit', 3 * regions, 2, { limits: { ...REGION_LIMITS, regions } });
  const counters = engine.counters();
  expect(counters['translations asked for']).toBeGreaterThan(regions);
  expect(counters['regions live']).toBe(regions);
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

test('a region that is larger than all code may be is none', () => {
  const guest = new Guest('jit', { limits: { ...REGION_LIMITS, codeBytes: 1 } });
  guest.put(CODE, [...MOV_EAX(OLD), ...RET]);
  expect(guest.heat()).toBe(OLD);
  expect(guest.engine.counters()).toMatchObject({ 'regions installed': 0, 'regions entered': 0 });
  guest.put(CODE, [...MOV_EAX(NEW), ...RET]);
  expect(guest.heat()).toBe(NEW);
});

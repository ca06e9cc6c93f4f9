/** What programs do that the processor is not asked about, since processors do it in more ways than one. */
import { INITIAL_X87, type Case } from './case.js';
import { CODE, DATA } from './layout.js';
import { judged } from './program-judge.js';
import { isDefined, scrutinise } from './scrutiny.js';

const INT3 = 0xcc;
const INVALID_UNMASKED = 0x37e;
const UNMAPPED = 0x7ff3;
const MOST_STEPS = 50;

function varies(code: readonly number[], control = INITIAL_X87.control): boolean {
  const input: Case = {
    eip: CODE,
    code: Uint8Array.of(...code, INT3),
    segments: 0,
    regs: [0, 0, 0, 0, DATA + 0x100, 0, 0, 0],
    eflags: 0,
    patches: [],
    x87: { ...INITIAL_X87, control },
  };
  const finding = scrutinise(judged('reference').runner, input, MOST_STEPS);
  if (!isDefined(finding)) throw new Error(`not defined: ${finding.kind}`);
  return finding.variesByProcessor;
}

const fistp = (address: number): number[] => [0xdb, 0x1d, address & 0xff, address >> 8, 0, 0];

test('the upper half of a pushed selector', () => {
  expect(varies([0x1e])).toBe(true); // push ds
  expect(varies([0x0f, 0xa8])).toBe(true); // push gs
  expect(varies([0x66, 0x1e])).toBe(false); // pushw ds
  expect(varies([0x50])).toBe(false); // push eax
});

test('null selectors that are not 0', () => {
  const load = (selector: number): number[] => [0xba, selector, 0, 0, 0, 0x8e, 0xea]; // mov edx, …; mov gs, edx
  expect(varies(load(3))).toBe(true);
  expect(varies(load(0))).toBe(false);
  expect(varies([0x6a, 2, 0x0f, 0xa9])).toBe(true); // push 2; pop gs
});

test('a fault in the middle of a repeated comparison', () => {
  const scas = (address: number): number[] => [
    ...[0xbf, address & 0xff, address >> 8, 0, 0, 0xb9, 8, 0, 0, 0], // mov edi, address; mov ecx, 8
    ...[0xf2, 0xaf], // repne scasd
  ];
  expect(varies([0xb8, 1, 2, 3, 4, ...scas(UNMAPPED)])).toBe(true);
  expect(varies([0xb8, 1, 2, 3, 4, ...scas(DATA)])).toBe(false);
});

test('a fault of an x87 store of ten bytes', () => {
  const fstp = (address: number): number[] => [0xdb, 0x3d, address & 0xff, address >> 8, 0, 0];
  expect(varies(fstp(UNMAPPED))).toBe(true);
  expect(varies(fstp(DATA))).toBe(false);
});

test('a fault of an x87 store that an unmasked exception may keep from storing', () => {
  expect(varies(fistp(UNMAPPED), INVALID_UNMASKED)).toBe(true);
  expect(varies(fistp(UNMAPPED))).toBe(false);
  expect(varies(fistp(DATA), INVALID_UNMASKED)).toBe(false);
});

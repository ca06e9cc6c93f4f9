/** A guest without a Host that calls code of the test so often that it is translated, for tests of changing code. */
import * as S from '../../frontend-x86/cpu-state.js';
import { LEAVE } from '../../frontend-x86/leave.js';
import { createEngine, type EngineKind } from '../create-engine.js';
import '../offer-reference-engine.js';
import type { Engine } from '../engine.js';
import type { TierOptions } from '../tiers.js';
import { HeldTranslator } from './held-translator.js';
import { PAGE } from '../../frontend-x86/limits.js';

export const KINDS: readonly EngineKind[] = ['interp', 'jit', 'auto', 'reference'];
/** Instructions that a block executes before `auto` translates it here. */
export const HEAT = 100;
/** Calls after which an engine has asked for what it wants to have translated. */
export const OFTEN: Readonly<Record<EngineKind, number>> = { interp: 50, jit: 50, auto: 1000, reference: 50 };
export const RAM_BYTES = 0x100000;
export { PAGE };
export const DRIVER = 0x8000;
export const CODE = 0x10000;
export const DATA = 0x40000;
export const STACK = 0x50000;
export const DIRECTORY = 0x60000;
export const TABLE = 0x61000;
export const OTHER_DIRECTORY = 0x62000;
export const OTHER_TABLE = 0x63000;
export const ALIAS = 0x80000;
export const COPY = 0x90000;
export const PRESENT_WRITABLE = 3;

export const OLD = 0x11111111;
export const NEW = 0x22222222;

// Instructions.
export const dword = (n: number): number[] => [
  n & 0xff,
  (n >>> 8) & 0xff,
  (n >>> 16) & 0xff,
  (n >>> 24) & 0xff,
];
export const MOV_EAX = (n: number): number[] => [0xb8, ...dword(n)];
export const ADD_EAX = (n: number): number[] => [0x05, ...dword(n)];
export const RET = [0xc3];
export const NOP = [0x90];
export const STORE = [0x89, 0x1a]; // mov [edx], ebx
export const CALL = (from: number, to: number): number[] => [0xe8, ...dword(to - from - 5)];
export const JMP = (from: number, to: number): number[] => [0xe9, ...dword(to - from - 5)];
export const TEST_EBX = [0x85, 0xdb];
export const JZ = (by: number): number[] => [0x74, by];

/** Puts an engine's CPU into ring 1 with flat segments, as a Host would. */
export function flatSegments(engine: Engine): void {
  const { cpu } = engine;
  for (let s = 0; s < 6; s++) {
    cpu.set(S.SEGMENT_LIMIT + 4 * s, 0xffffffff);
    cpu.set(S.SEGMENT_ATTR + 4 * s, s === S.CS ? 0xc0bb : 0xc0b3);
  }
  cpu.set(S.CPL, 1);
  cpu.set(S.INTERRUPT_SHADOW, 0xffffffff);
  cpu.set(S.FPU_CONTROL, 0x37f);
  cpu.eflags = 2;
  engine.segmentsChanged();
}

export class Guest {
  readonly engine: Engine;
  /** Translations for `auto` come when the test wants them. */
  readonly translations = new HeldTranslator();

  constructor(
    private readonly kind: EngineKind,
    tiers: TierOptions = {},
    memory: { ramBytes: number; devicePages: number } = { ramBytes: RAM_BYTES, devicePages: 0 },
  ) {
    this.engine = createEngine({ ...memory, kind, ...this.tiersOf(tiers) });
    flatSegments(this.engine);
    // loop: call CODE; dec ecx; jnz loop; int 0x20
    this.put(DRIVER, [...CALL(DRIVER, CODE), 0x49, 0x75, 0xf8, 0xcd, 0x20]);
  }

  private tiersOf(given: TierOptions): TierOptions {
    return this.kind === 'auto' ? { heat: HEAT, translator: this.translations, ...given } : given;
  }

  put(address: number, bytes: readonly number[]): void {
    this.engine.memory.write(address, Uint8Array.from(bytes));
  }

  /** Virtual = physical for the first MiB, in both page tables. */
  paging(): void {
    const { memory, mmu } = this.engine;
    for (const [directory, table] of [
      [DIRECTORY, TABLE],
      [OTHER_DIRECTORY, OTHER_TABLE],
    ] as const) {
      memory.write32(directory, table | PRESENT_WRITABLE);
      for (let page = 0; page < 256; page++)
        memory.write32(table + 4 * page, (page * PAGE) | PRESENT_WRITABLE);
    }
    mmu.setPageTable(DIRECTORY, false);
  }

  map(virtual: number, physical: number, directory = DIRECTORY, table = TABLE): void {
    this.engine.memory.write32(table + (virtual >>> 12) * 4, physical | PRESENT_WRITABLE);
    this.engine.mmu.flushPage(directory, virtual);
  }

  /** Calls CODE until it is translated, installed and used. */
  heat(edx = DATA, ebx = NEW): number {
    this.call(OFTEN[this.kind], edx, ebx);
    this.translations.finish();
    return this.call(OFTEN[this.kind], edx, ebx);
  }

  /** Calls CODE so often. Returns eax, unsigned. */
  call(times: number, edx = DATA, ebx = NEW): number {
    const { engine } = this;
    engine.cpu.setReg(1, times);
    engine.cpu.setReg(2, edx);
    engine.cpu.setReg(3, ebx);
    engine.cpu.setReg(4, STACK);
    engine.cpu.eip = DRIVER;
    this.finish();
    return engine.cpu.reg(0);
  }

  finish(): void {
    // A run may end early, as when much code has to be looked up.
    let reason: number = LEAVE.budget;
    for (let runs = 0; reason === LEAVE.budget && runs < 1000; runs++) reason = this.engine.run(1_000_000);
    expect(reason).toBe(LEAVE.int);
    expect(this.engine.cpu.get(S.EXIT_DETAIL)).toBe(0x20);
  }
}

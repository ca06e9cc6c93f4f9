/** Accesses that reach into a page they may not touch: nothing has happened, and both engines say the same. */
import { GDT } from '../backend-wasm/memory-layout.js';
import * as S from '../frontend-x86/cpu-state.js';
import { LEAVE } from '../frontend-x86/leave.js';
import { createEngine, type EngineKind } from './create-engine.js';
import './offer-reference-engine.js';
import type { Engine } from './engine.js';

const CODE = 0x1000;
/** The two pages in question, and where a register points near their border. */
const FIRST = 0x6000;
const BORDER = 0x7000;
const OTHER = 0x4000;
const ROOT = 0x10000;
const TABLE = 0x11000;
const READ_ONLY = 5;
const RAM_BYTES = TABLE + 0x1000;
const CONTENTS = new Uint8Array(RAM_BYTES).map((_, i) => (i * 7) >> 3);
/** Distances from the border. */
const NEAR = Array.from({ length: 73 }, (_, i) => i - 36).filter((n) => n % 4 === 0 || Math.abs(n) < 13);
const SELECTOR = 0x61;

const engines = (['interp', 'reference'] as EngineKind[]).map((kind) =>
  createEngine({ ramBytes: RAM_BYTES, devicePages: 0, kind }),
);

/** Instructions; ebx, esp and edi point near the border, esi and ebp elsewhere. */
const CASES: readonly (readonly [string, readonly number[]])[] = [
  ['mov [ebx], eax', [0x89, 0x03]],
  ['mov [ebx], ax', [0x66, 0x89, 0x03]],
  ['mov eax, [ebx]', [0x8b, 0x03]],
  ['add [ebx], ecx', [0x01, 0x0b]],
  ['add cx, [ebx]', [0x66, 0x03, 0x0b]],
  ['inc dword [ebx]', [0xff, 0x03]],
  ['rol dword [ebx], 3', [0xc1, 0x03, 3]],
  ['rcl word [ebx], cl', [0x66, 0xd3, 0x13]],
  ['shld [ebx], edx, cl', [0x0f, 0xa5, 0x13]],
  ['bts [ebx], eax', [0x0f, 0xab, 0x03]],
  ['xchg [ebx], ecx', [0x87, 0x0b]],
  ['xadd [ebx], ecx', [0x0f, 0xc1, 0x0b]],
  ['lock cmpxchg [ebx], ecx', [0xf0, 0x0f, 0xb1, 0x0b]],
  ['lock cmpxchg8b [ebx]', [0xf0, 0x0f, 0xc7, 0x0b]],
  ['setz [ebx]', [0x0f, 0x94, 0x03]],
  ['push eax', [0x50]],
  ['push ax', [0x66, 0x50]],
  ['push [ebx]', [0xff, 0x33]],
  ['pop eax', [0x58]],
  ['pop [ebx]', [0x8f, 0x03]],
  ['pop [esp]', [0x8f, 0x04, 0x24]],
  ['pop ds', [0x1f]],
  ['pusha', [0x60]],
  ['pusha 16', [0x66, 0x60]],
  ['popa', [0x61]],
  ['pushf', [0x9c]],
  ['popf', [0x9d]],
  ['enter 16, 0', [0xc8, 16, 0, 0]],
  ['enter 16, 3', [0xc8, 16, 0, 3]],
  ['enter 4096, 1', [0xc8, 0, 16, 1]],
  ['call', [0xe8, 0, 0, 0, 0]],
  ['call [ebx]', [0xff, 0x13]],
  ['call far', [0x9a, 0x00, 0x10, 0, 0, SELECTOR, 0]],
  ['call far [ebx]', [0xff, 0x1b]],
  ['ret', [0xc3]],
  ['retf', [0xcb]],
  ['iret', [0xcf]],
  ['sgdt [ebx]', [0x0f, 0x01, 0x03]],
  ['sidt [ebx]', [0x0f, 0x01, 0x0b]],
  ['fld tbyte [ebx]', [0xdb, 0x2b]],
  ['fst qword [ebx]', [0xdd, 0x13]],
  ['fstp tbyte [ebx]', [0xdb, 0x3b]],
  ['fistp qword [ebx]', [0xdf, 0x3b]],
  ['fbstp [ebx]', [0xdf, 0x33]],
  ['fnstenv [ebx]', [0xd9, 0x33]],
  ['fnsave [ebx]', [0xdd, 0x33]],
  ['frstor [ebx]', [0xdd, 0x23]],
  ['bound eax, [ebx]', [0x62, 0x03]],
  ['les ecx, [ebx]', [0xc4, 0x0b]],
  ['stosd', [0xab]],
  ['movsd', [0xa5]],
  ['scasd', [0xaf]],
  ['movsw', [0x66, 0xa5]],
];
const REPEATED: readonly (readonly [string, readonly number[]])[] = [
  ['rep stosd', [0xf3, 0xab]],
  ['rep movsw', [0xf3, 0x66, 0xa5]],
  ['rep movsb', [0xf3, 0xa4]],
  ['std; rep stosd', [0xf3, 0xab]],
];

function prepare(
  engine: Engine,
  code: readonly number[],
  near: number,
  pages: readonly [number, number],
): void {
  const { cpu, memory, mmu } = engine;
  memory.write(0, CONTENTS);
  memory.write(ROOT, new Uint8Array(0x2000));
  memory.write32(ROOT, TABLE | 7);
  for (let page = 1; page < 16; page++) memory.write32(TABLE + 4 * page, (page << 12) | 7);
  memory.write32(TABLE + 4 * (FIRST >> 12), pages[0] && FIRST | pages[0]);
  memory.write32(TABLE + 4 * (BORDER >> 12), pages[1] && BORDER | pages[1]);
  memory.write(CODE, Uint8Array.from(code));
  for (let slot = 0; slot < S.CPU_STATE_BYTES; slot += 4) cpu.set(slot, 0);
  for (let r = 0; r < 8; r++) cpu.setReg(r, 0x01020304 * (r + 1));
  for (const r of [3, 4, 7]) cpu.setReg(r, near);
  cpu.setReg(5, OTHER);
  cpu.setReg(6, OTHER);
  cpu.setReg(1, 3);
  cpu.eflags = 0x203;
  cpu.eip = CODE;
  cpu.set(S.CPL, 1);
  cpu.set(S.FPU_CONTROL, 0x37f);
  cpu.set(S.FPU_TAGS, 0x80);
  cpu.set(S.FPU_TOP, 7);
  cpu.set(S.FPU_MANTISSA + 60, 0x80000000);
  cpu.set(S.FPU_EXPONENT + 28, 0x3fff + 3);
  cpu.set(S.GDT_ADDRESS, GDT);
  cpu.set(S.GDT_LIMIT, 255);
  cpu.view.setUint32(GDT + (SELECTOR & ~7), 0xffff, true);
  cpu.view.setUint32(GDT + (SELECTOR & ~7) + 4, 0xcfbb00, true);
  for (const s of [S.ES, S.CS, S.SS, S.DS]) {
    cpu.set(S.SELECTOR + 4 * s, SELECTOR);
    cpu.set(S.SEGMENT_LIMIT + 4 * s, 0xffffffff);
    cpu.set(S.SEGMENT_ATTR + 4 * s, s === S.CS ? 0xcfbb : 0xcfb3);
  }
  mmu.setPageTable(ROOT, false);
  mmu.flushAll();
  engine.segmentsChanged();
}

/** What a guest can see: registers, flags, state slots, and memory below the page tables. */
function visible(engine: Engine, tables: boolean): Buffer {
  const { cpu, memory } = engine;
  const slots = Buffer.alloc(S.CPU_STATE_BYTES);
  for (let slot = 0; slot < S.CPU_STATE_BYTES; slot += 4) {
    const hidden = slot === S.FLAG_RESULT || slot === S.FLAG_AUX || (slot >= 200 && slot < 216);
    if (!hidden && slot !== S.FAULT_ADDRESS && (slot < S.FPU_SCRATCH || slot >= S.XMM))
      slots.writeUInt32LE(cpu.get(slot), slot);
  }
  slots.writeUInt32LE(cpu.eflags, S.FLAG_RESULT);
  return Buffer.concat([slots, memory.view(0, tables ? memory.ramBytes : ROOT)]);
}

const MAPPINGS = [
  [0, 7],
  [7, 0],
  [READ_ONLY, 7],
  [7, READ_ONLY],
] as const;

test.each(CASES)('%s', (_name, code) => {
  let faults = 0;
  for (const pages of MAPPINGS) {
    for (const near of NEAR.map((n) => BORDER + n)) {
      const where = `${pages} at ${(near - BORDER).toString()}`;
      const outcomes = engines.map((engine) => {
        prepare(engine, code, near, pages);
        const before = visible(engine, false);
        const count = engine.instructions;
        const reason = engine.run(1);
        const { cpu } = engine;
        if (reason === LEAVE.fault) {
          faults++;
          if (Buffer.compare(visible(engine, false), before) !== 0 || engine.instructions !== count)
            throw new Error(`not precise: ${where}`);
        }
        const details = [reason, cpu.get(S.EXIT_DETAIL), cpu.get(S.EXIT_ERROR), cpu.get(S.FAULT_ADDRESS)];
        return {
          text: reason === LEAVE.fault ? details.join() : String(reason),
          state: visible(engine, true),
        };
      });
      if (outcomes[0]!.text !== outcomes[1]!.text)
        throw new Error(`${outcomes[0]!.text} / ${outcomes[1]!.text}: ${where}`);
      if (Buffer.compare(outcomes[0]!.state, outcomes[1]!.state) !== 0)
        throw new Error(`states differ: ${where}`);
    }
  }
  expect(faults).toBeGreaterThan(0);
});

test.each(REPEATED)('%s stops between two iterations', (name, code) => {
  const down = name.startsWith('std');
  for (const pages of MAPPINGS) {
    for (const near of NEAR.map((n) => BORDER + n)) {
      const outcomes = engines.map((engine) => {
        prepare(engine, code, near, pages);
        engine.cpu.set(S.DIRECTION, down ? 0xffffffff : 1);
        engine.cpu.setReg(1, 20);
        const from = engine.instructions;
        const reason = engine.run(20);
        const done = 20 - engine.cpu.reg(1);
        expect(engine.instructions - from).toBe(done);
        const size = name.endsWith('d') ? 4 : name.endsWith('w') ? 2 : 1;
        expect(engine.cpu.reg(7)).toBe(near + (down ? -1 : 1) * size * done);
        return [reason, visible(engine, true)] as const;
      });
      expect(outcomes[0]![0]).toBe(outcomes[1]![0]);
      expect(Buffer.compare(outcomes[0]![1], outcomes[1]![1])).toBe(0);
    }
  }
});

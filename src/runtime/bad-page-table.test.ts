import { GDT } from '../backend-wasm/memory-layout.js';
import * as S from '../frontend-x86/cpu-state.js';
import { LEAVE } from '../frontend-x86/leave.js';
import { createEngine } from './create-engine.js';
import './offer-reference-engine.js';
import { describeBadPageTable } from './engine.js';

// mov eax, [addr]
const loadFrom = (address: number): number[] => [0xa1, ...new Uint8Array(Uint32Array.of(address).buffer)];

/** Runs to the bad entry; returns what the engine says about it. */
function death(kind: 'interp' | 'reference', code: number[], eip: number, leaf?: number): string {
  const engine = createEngine({ ramBytes: 1 << 20, devicePages: 0, kind });
  const { cpu, memory, mmu } = engine;
  cpu.eflags = 0x202;
  cpu.set(S.CPL, 1);
  cpu.set(S.GDT_ADDRESS, GDT);
  for (const s of [S.ES, S.CS, S.SS, S.DS]) {
    cpu.set(S.SEGMENT_LIMIT + 4 * s, 0xffffffff);
    cpu.set(S.SEGMENT_ATTR + 4 * s, s === S.CS ? 0xcfbb : 0xcfb3);
  }
  engine.segmentsChanged();
  memory.write(0x1000, Uint8Array.from(code));
  cpu.eip = eip;
  if (leaf !== undefined) {
    memory.write32(0x10000, 0x11007);
    memory.write32(0x11004, 0x1007);
    memory.write32(0x11008, leaf);
    mmu.setPageTable(0x10000, false);
  }
  expect(engine.run(10)).toBe(LEAVE.badPageTable);
  return describeBadPageTable(cpu.get(S.EXIT_DETAIL), cpu.get(S.EXIT_ERROR), mmu.root < 0);
}

test.each(['interp', 'reference'] as const)('%s names address and entry, in loads and in fetches', (kind) => {
  const beyond = 'address 0x12345678 is beyond guest memory';
  expect(death(kind, loadFrom(0x12345678), 0x1000)).toBe(beyond);
  expect(death(kind, [], 0x12345678)).toBe(beyond);
  const bad = 'bad page table entry 0x7000087 for address 0x2004';
  expect(death(kind, loadFrom(0x2004), 0x1000, 0x7000087)).toBe(bad);
  expect(death(kind, [], 0x2004, 0x7000087)).toBe(bad);
});

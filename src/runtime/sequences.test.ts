import * as S from '../frontend-x86/cpu-state.js';
import { decode } from '../frontend-x86/decode.js';
import { formName } from '../frontend-x86/forms.js';
import { LEAVE } from '../frontend-x86/leave.js';
import { type FieldValues, sampleEncoding } from '../frontend-x86/sample.js';
import { createEngine, type EngineKind } from './create-engine.js';
import './offer-reference-engine.js';
import type { Engine } from './engine.js';
import { loadInterpreter } from './load-interpreter.js';
import { stateDifferences } from './lockstep.js';
import { SequenceTable } from './sequences.js';
import { flatSegments } from './testing/code-guest.js';
import { PAGE } from '../frontend-x86/limits.js';

describe('covering a block', () => {
  const table = new SequenceTable([
    { forms: [1, 2], handler: 12 },
    { forms: [2, 3, 4], handler: 234 },
    { forms: [3, 4], handler: 34 },
  ]);
  test.each([
    ['the pair that comes first is not taken if that costs a handler', [1, 2, 3, 4], [0, 234, 34, 0]],
    ['a sequence that is left in its middle goes on with another', [2, 3, 4], [234, 34, 0]],
    ['the start of a sequence is none', [2, 3, 5], [0, 0, 0]],
    ['nothing', [], []],
  ])('%s', (_, forms, handlers) => {
    table.cover(forms.map((form) => ({ form })));
    expect(forms.map((_form, i) => table.handlerAt(i))).toEqual(handlers);
  });
});

const CODE = 0x1800;
const ROOT = 0x10000;
const TABLE = 0x11000;
const PRESENT = 5;
const WRITABLE = 7;
/** Pages behind each other: one that may be written, one that may be read, one that is not there, one to write. */
const PAGES: readonly (readonly [page: number, rights: number])[] = [
  [0x4000, WRITABLE],
  [0x5000, PRESENT],
  [0x6000, 0],
  [0x7000, WRITABLE],
];
const RAM_BYTES = TABLE + PAGE;
const CONTENTS = new Uint8Array(PAGES.length * PAGE).map((_, i) => (i * 7) >> 3);
const TRIALS = 60;
const NOP = 0x90;

/** Numbers that look random and are the same every time (xorshift). */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const engines = (['interp', 'reference'] as EngineKind[]).map((kind) => {
  const engine = createEngine({ ramBytes: RAM_BYTES, devicePages: 0, kind });
  const { memory, mmu } = engine;
  memory.write32(ROOT, TABLE | WRITABLE);
  for (let page = 1; page < 16; page++) memory.write32(TABLE + 4 * page, (page << 12) | WRITABLE);
  for (const [page, rights] of PAGES) memory.write32(TABLE + (page >> 10), rights && page | rights);
  flatSegments(engine);
  mmu.setPageTable(ROOT, false);
  engine.segmentsChanged();
  return engine;
});

/** An instruction of the form with operands by chance. */
function instruction(form: number, below: (n: number) => number): Uint8Array {
  for (;;) {
    const values: FieldValues = {
      rm: 4 * below(8),
      reg: 4 * below(8),
      base: 4 * below(8),
      index: 4 * below(8),
      scale: below(4),
      disp: below(32) - 16,
      imm: below(2) ? below(256) : below(0x7fffffff),
      target: 2 + below(32),
    };
    const { bytes, flat } = sampleEncoding(form, values);
    const back = decode(bytes, 0, bytes.length, flat);
    if (back !== 'more' && back.form === form) return bytes;
  }
}

/** A place to point at: mostly near the borders of the pages, sometimes into the code. */
function place(code: number, below: (n: number) => number): number {
  if (below(6) === 0) return CODE + below(code + 8);
  if (below(6) === 0) return below(64);
  return 0x4000 + PAGE * below(5) + below(24) - 12;
}

function set(engine: Engine, code: Uint8Array, registers: readonly number[], eflags: number): void {
  const { cpu, memory } = engine;
  memory.write(PAGES[0]![0], CONTENTS);
  memory.write(CODE - 64, new Uint8Array(256).fill(NOP));
  memory.write(CODE, code);
  registers.forEach((value, r) => {
    cpu.setReg(r, value);
  });
  cpu.eflags = eflags;
  cpu.eip = CODE;
}

const { sequences } = loadInterpreter();

test.each(sequences.map(({ forms }) => [forms.map(formName).join('; '), forms] as const))(
  'as the reference engine: %s',
  (_, forms) => {
    const below = numbers(forms.reduce((sum, form) => Math.imul(sum, 31) + form + 1, 0x2545f491) | 1);
    for (let trial = 0; trial < TRIALS; trial++) {
      const code = Buffer.concat(forms.map((form) => instruction(form, below)));
      const registers = Array.from({ length: 8 }, () => place(code.length, below));
      const eflags = 0x202 | (below(2) ? 0x8d5 & below(0x1000) : 0);
      const budget = below(4) ? forms.length + below(3) : 1 + below(forms.length);
      const ends = engines.map((engine) => {
        set(engine, code, registers, eflags);
        const from = engine.instructions;
        const reason = engine.run(budget);
        const { cpu } = engine;
        const error = [S.EXIT_DETAIL, S.EXIT_ERROR, S.FAULT_ADDRESS].map((slot) => cpu.get(slot));
        return {
          reason,
          instructions: engine.instructions - from,
          ...(reason === LEAVE.fault ? { error } : {}),
        };
      });
      const where = `${code.toString('hex')} ${registers.map((r) => r.toString(16)).join()} ${budget}`;
      const [subject, reference] = engines as [Engine, Engine];
      expect([where, ends[0]]).toEqual([where, ends[1]]);
      expect([where, stateDifferences(subject.cpu, reference.cpu)]).toEqual([where, []]);
      const memory = engines.map((engine) => engine.memory.view(0, RAM_BYTES));
      if (Buffer.compare(memory[0]!, memory[1]!) !== 0) throw new Error(`memory differs: ${where}`);
    }
  },
);

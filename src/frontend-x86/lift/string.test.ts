import fc from 'fast-check';
import * as S from '../cpu-state.js';
import { GuestFault } from '../../ir/environment.js';
import type { Instruction } from '../instruction.js';
import { instruction, Machine } from './fixture.js';

type Size = 1 | 2 | 4;

/** Runs an instruction until it goes on to the next one or faults; returns how often it was executed. */
function repeat(m: Machine, i: Instruction): { times: number; fault?: GuestFault } {
  for (let times = 1; ; times++) {
    const out = m.run(i);
    if (out instanceof GuestFault) return { times: times - 1, fault: out };
    if (out.kind !== 'goto') throw new Error(out.kind);
    if (out.eip === 0x102) return { times };
    expect(out.eip).toBe(0x100);
  }
}
function random(m: Machine): void {
  let seed = 12345;
  for (let n = 0; n < 0x4000; n++) {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    m.guest.setUint8(n, seed >>> 16);
  }
}

test('rep movs and rep stos in bulk do what single iterations do, overlapping or not, in both directions', () => {
  fc.assert(
    fc.property(
      fc.constantFrom('movs', 'stos'),
      fc.constantFrom<Size>(1, 2, 4),
      fc.integer({ min: 0x1000, max: 0x3000 }),
      fc.oneof(fc.integer({ min: -20, max: 20 }), fc.integer({ min: -0x600, max: 0x600 })),
      fc.integer({ min: 0, max: 300 }),
      fc.boolean(),
      fc.integer({ min: 0, max: 400 }),
      (op, size, from, distance, count, down, budget) => {
        const i = instruction(op, [], { operandSize: size, rep: 'rep' });
        const machines = [false, true].map((bulk) => {
          const m = new Machine();
          random(m);
          m.bulk = bulk;
          m.budget = budget;
          m.set(S.ESI, from);
          m.set(S.EDI, from + distance);
          m.set(S.ECX, count);
          m.set(S.EAX, 0x11223344);
          m.set(S.DIRECTION, down ? -1 : 1);
          return m;
        });
        const [one, many] = machines as [Machine, Machine];
        const a = repeat(one, i);
        const b = repeat(many, i);
        expect(a.times).toBe(Math.max(1, count));
        expect(many.charged).toBeLessThanOrEqual(budget);
        expect(b.times + many.charged).toBe(a.times);
        for (const slot of [S.ECX, S.ESI, S.EDI]) expect(many.get(slot)).toBe(one.get(slot));
        const same = Buffer.compare(Buffer.from(one.buffer, 0x4000), Buffer.from(many.buffer, 0x4000));
        expect(same).toBe(0);
      },
    ),
    { numRuns: 300 },
  );
});

test('a page fault inside rep movs leaves the state between two iterations', () => {
  for (const bulk of [false, true]) {
    const m = new Machine();
    m.bulk = bulk;
    m.readOnlyFrom = 0x2000;
    m.set(S.ESI, 0x100);
    m.set(S.EDI, 0x1ff0);
    m.set(S.ECX, 100);
    const { fault } = repeat(m, instruction('movs', [], { rep: 'rep' }));
    expect(fault).toEqual(new GuestFault(14, 2));
    expect([m.get(S.ECX), m.get(S.ESI), m.get(S.EDI)]).toEqual([96, 0x110, 0x2000]);
  }
});

test('repe cmps and repne scas stop at the condition; flags of the last comparison', () => {
  const m = new Machine();
  Buffer.from(m.buffer, 0x4000).write('hello\0help\0');
  m.set(S.ESI, 0);
  m.set(S.EDI, 6);
  m.set(S.ECX, 10);
  expect(repeat(m, instruction('cmps', [], { operandSize: 1, rep: 'rep' })).times).toBe(4);
  expect([m.get(S.ECX), m.get(S.ESI), m.status & S.F_ZF, m.status & S.F_CF]).toEqual([6, 4, 0, S.F_CF]);
  m.set(S.EDI, 0);
  m.set(S.ECX, -1);
  m.set(S.EAX, 0);
  expect(repeat(m, instruction('scas', [], { operandSize: 1, rep: 'repne' })).times).toBe(6);
  expect([~m.get(S.ECX), m.get(S.EDI), m.status & S.F_ZF]).toEqual([6, 6, S.F_ZF]);
  // A counter of 0 changes no flag.
  m.set(S.ECX, 0);
  const before = m.status;
  expect(repeat(m, instruction('scas', [], { operandSize: 1, rep: 'rep' })).times).toBe(1);
  expect(m.status).toBe(before);
});

test('lods, single operations and DF', () => {
  const m = new Machine();
  m.guest.setUint32(0x10, 0x04030201, true);
  m.set(S.EAX, -1);
  m.set(S.ESI, 0x10);
  m.run(instruction('lods', [], { operandSize: 1 }), instruction('lods', [], { operandSize: 2 }));
  expect([m.get(S.EAX), m.get(S.ESI)]).toEqual([0xffff0302, 0x13]);
  m.run(instruction('std'), instruction('lods', [], { operandSize: 1 }));
  expect([m.get(S.EAX), m.get(S.ESI)]).toEqual([0xffff0304, 0x12]);
  m.set(S.ECX, 3);
  repeat(m, instruction('lods', [], { operandSize: 1, rep: 'rep' }));
  expect([m.get(S.EAX) & 0xff, m.get(S.ESI), m.get(S.ECX)]).toEqual([1, 0x0f, 0]);
});

test('16-bit addressing uses cx, si and di', () => {
  const m = new Machine();
  m.guest.setUint8(0x10, 9);
  m.set(S.ESI, 0xabcd0010);
  m.set(S.EDI, 0xabcdffff);
  m.set(S.ECX, 0xffff0001);
  const i = instruction('lods', [], { operandSize: 1, rep: 'rep', addressSize: 2, flat: false });
  expect(repeat(m, i).times).toBe(1);
  expect([m.get(S.EAX), m.get(S.ESI), m.get(S.ECX)]).toEqual([9, 0xabcd0011, 0xffff0000]);
  m.set(S.EDI, 0xabcd0000);
  m.run(instruction('std'), instruction('stos', [], { operandSize: 1, addressSize: 2, flat: false }));
  expect(m.get(S.EDI)).toBe(0xabcdffff);
});

test('a source segment that is not flat is added', () => {
  const m = new Machine();
  m.set(S.SEGMENT_BASE + 4 * S.FS, 0x40);
  m.set(S.SEGMENT_LIMIT + 4 * S.FS, -1);
  m.set(S.SEGMENT_ATTR + 4 * S.FS, 0xc0f3);
  m.guest.setUint32(0x50, 0x1234, true);
  m.set(S.ESI, 0x10);
  m.set(S.EDI, 0x80);
  m.run(instruction('movs', [], { flat: false, segment: S.FS }));
  expect(m.guest.getUint32(0x80, true)).toBe(0x1234);
});

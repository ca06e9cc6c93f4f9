/** Whatever a guest hands over, the Host goes on or the guest dies: nothing else is thrown. */
import fc from 'fast-check';
import { LINUX_3_10 } from './abi/linux-3.10.js';
import { GuestDeath } from './death.js';
import { bareFixture, DATA, fixture, type Fixture } from './testing/scripted-engine.js';

const word = fc.oneof(
  fc.integer({ min: 0, max: 40 }),
  fc.integer({ min: 0, max: 0x1ff }).map((n) => n * 0x1000),
  fc.constantFrom(0x69, 0xffffffff, 0x80000000, 0x7fffffff, (1 << 22) + 0xffff, (1 << 22) + 0x10000),
  fc.integer({ min: 0, max: 0xffffffff }),
);
const number = fc.oneof(fc.integer({ min: 0, max: 20 }), word);
const call = fc.tuple(number, word, word, word, word);
const event = fc.oneof(
  { weight: 6, arbitrary: call.map((words) => ({ kind: 'call' as const, words })) },
  { weight: 2, arbitrary: call.map((words) => ({ kind: 'ring' as const, words })) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 255 }).map((n) => ({ kind: 'int' as const, n })) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 31 }).map((n) => ({ kind: 'fault' as const, n })) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 31 }).map((n) => ({ kind: 'irq' as const, n })) },
  { weight: 1, arbitrary: fc.tuple(word, word).map(([at, value]) => ({ kind: 'data' as const, at, value })) },
);

function play(f: Fixture, events: readonly (typeof event extends fc.Arbitrary<infer T> ? T : never)[]): void {
  const { data } = LINUX_3_10;
  let slot = 0;
  try {
    for (const e of events) {
      if (e.kind === 'call') f.engine.hypercall(...e.words);
      if (e.kind === 'ring') {
        e.words.forEach((w, i) => f.setField(data.hcalls + 20 * slot + 4 * i, w));
        f.engine.memory.write8(DATA + data.hcallStatus + slot, 0);
        slot = (slot + 1) % 64;
      }
      if (e.kind === 'int') f.engine.int(e.n);
      if (e.kind === 'fault') f.engine.fault(e.n, e.n === 13 ? 0 : 2, 0x12345678);
      if (e.kind === 'irq') f.host.raiseIrq(e.n);
      if (e.kind === 'data') f.setField((e.at % data.size) & ~3, e.value);
      f.host.run(300);
    }
  } catch (error) {
    if (!(error instanceof GuestDeath)) throw error;
    expect(error.message).toMatch(/^guest died at eip 0x[0-9a-f]+: [^\n]+$/);
  }
}

test('events of all kinds with arguments of all kinds', () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 30 }), (events) => play(fixture(), events)),
    { numRuns: 300, seed: 1 },
  );
});

test('an lguest_data of any contents', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(word, word), { maxLength: 8 }),
      fc.array(event, { maxLength: 5 }),
      (words, events) => {
        const f = bareFixture();
        for (const [at, value] of words) f.setField((at % 1392) & ~3, value);
        play(f, [{ kind: 'call', words: [1, DATA, 0, 0, 0] }, ...events]);
      },
    ),
    { numRuns: 150, seed: 2 },
  );
});

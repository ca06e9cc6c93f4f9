/**
 * Code that changes between the moment its translation is asked for and the one it is there: the translations of
 * `auto` are held back, and arrive when the test says so.
 */
import { LEAVE } from '../frontend-x86/leave.js';
import {
  CALL,
  CODE,
  COPY,
  DATA,
  DRIVER,
  Guest,
  MOV_EAX,
  NEW,
  OFTEN,
  OLD,
  PAGE,
  RET,
  STACK,
  STORE,
} from './testing/code-guest.js';

const FAR = CODE + 3 * PAGE;
const TOO_LATE = 'not translated: page was written meanwhile';
const HERE = [...STORE, ...MOV_EAX(OLD), ...RET];
const TO_FAR = [...STORE, ...CALL(CODE + 2, FAR), ...RET];

const counter = (guest: Guest, name: string): number => guest.engine.counters()[name] ?? 0;

/** Hot, asked for, and not delivered. `paging`: with page tables. */
function waiting(code: readonly number[], { paging = false } = {}): Guest {
  const guest = new Guest('auto');
  if (paging) guest.paging();
  guest.put(CODE, code);
  guest.put(FAR, [...MOV_EAX(OLD), ...RET]);
  expect(guest.call(OFTEN.auto)).toBe(OLD);
  expect(guest.translations.held.length).toBeGreaterThan(0);
  expect(counter(guest, 'regions live')).toBe(0);
  return guest;
}

/** What changes the dword at an address. */
const CHANGES: readonly [name: string, change: (guest: Guest, address: number) => void][] = [
  ['a store of the code itself', (guest, address) => void guest.call(1, address)],
  ['a Host write', (guest, address) => guest.engine.memory.write32(address, NEW)],
  [
    'DMA',
    ({ engine: { memory } }, address) => {
      new DataView(memory.writable(address, 4).buffer).setUint32(
        memory.writable(address, 4).byteOffset,
        NEW,
        true,
      );
      memory.written(address, 4);
    },
  ],
];
const PLACES: readonly [name: string, code: readonly number[], address: number][] = [
  ['its own page', HERE, CODE + 3],
  ['another page of the region', TO_FAR, FAR + 1],
];
const TIMES: readonly [name: string, worker: (translator: Guest['translations']) => void][] = [
  ['while it is being translated', () => undefined],
  ['between translation and installation', (translations) => translations.complete()],
];

describe.each(TIMES)('%s', (_time, prepare) => {
  describe.each(PLACES)('%s is changed', (_place, code, address) => {
    test.each(CHANGES)('by %s', (_name, change) => {
      const guest = waiting(code);
      prepare(guest.translations);
      change(guest, address);
      const asked = guest.translations.held.length;
      guest.translations.finish();
      expect(counter(guest, TOO_LATE)).toBeGreaterThan(0);
      expect(counter(guest, TOO_LATE)).toBeLessThanOrEqual(asked);
      expect(guest.call(1)).toBe(NEW);
      expect(guest.heat()).toBe(NEW);
      expect(counter(guest, 'regions entered')).toBeGreaterThan(0);
    });
  });

  test('the page of the callee is mapped elsewhere, and back', () => {
    const guest = waiting(TO_FAR, { paging: true });
    guest.put(COPY, [...MOV_EAX(NEW), ...RET]);
    prepare(guest.translations);
    guest.map(FAR, COPY);
    guest.translations.finish();
    expect(guest.call(1)).toBe(NEW);
    expect(guest.heat()).toBe(NEW);
    guest.map(FAR, FAR);
    expect(guest.call(1)).toBe(OLD);
    expect(guest.heat()).toBe(OLD);
  });

  test('the page of the code is mapped elsewhere, and back', () => {
    const guest = waiting(HERE, { paging: true });
    guest.put(COPY, [...STORE, ...MOV_EAX(NEW), ...RET]);
    prepare(guest.translations);
    guest.map(CODE, COPY);
    guest.translations.finish();
    expect(guest.call(1)).toBe(NEW);
    guest.map(CODE, CODE);
    expect(guest.call(1)).toBe(OLD);
    expect(guest.heat()).toBe(OLD);
  });

  test('data beside the code changes: the translation is good', () => {
    const guest = waiting(HERE);
    prepare(guest.translations);
    guest.call(10, CODE + 0x800);
    guest.engine.memory.write32(CODE + 0x900, 1);
    guest.translations.finish();
    expect(counter(guest, TOO_LATE)).toBe(0);
    expect(guest.call(10)).toBe(OLD);
    expect(counter(guest, 'regions entered')).toBeGreaterThan(0);
  });

  test('all code is forgotten', () => {
    const guest = waiting(HERE);
    prepare(guest.translations);
    const { code } = guest.engine as Guest['engine'] & { code: { flush(): void } };
    code.flush();
    guest.translations.finish();
    expect(counter(guest, 'regions live')).toBe(0);
    expect(guest.heat()).toBe(OLD);
  });
});

test('it is installed while a run is cut inside its block', () => {
  const guest = waiting(HERE);
  const { engine } = guest;
  engine.cpu.setReg(1, 1);
  engine.cpu.setReg(2, DATA);
  engine.cpu.setReg(4, STACK);
  engine.cpu.eip = DRIVER;
  const before = engine.instructions;
  // The call and the store.
  expect(engine.run(2)).toBe(LEAVE.budget);
  guest.translations.finish();
  expect(counter(guest, 'regions live')).toBeGreaterThan(0);
  guest.finish();
  expect(engine.cpu.reg(0)).toBe(OLD);
  // call, store, mov, ret, dec, jnz.
  expect(engine.instructions - before).toBe(6);
});

test('a callee that changes all the time does not have its caller translated again and again', () => {
  for (const kind of ['jit', 'auto'] as const) {
    const guest = new Guest(kind);
    guest.put(CODE, TO_FAR);
    guest.put(FAR, [...MOV_EAX(OLD), ...RET]);
    for (let i = 0; i < 200; i++) {
      guest.engine.memory.write32(FAR + 1, i);
      expect(guest.call(kind === 'auto' ? 300 : 3)).toBe(i);
      guest.translations.finish();
      expect(guest.call(1)).toBe(i);
    }
    expect(counter(guest, 'translations asked for')).toBeLessThan(60);
  }
});

test('a caller is translated together with its callee after the callee changed, which then changes once more', () => {
  for (const kind of ['jit', 'auto'] as const) {
    const guest = new Guest(kind);
    guest.put(CODE, TO_FAR);
    guest.put(FAR, [...MOV_EAX(OLD), ...RET]);
    expect(guest.heat()).toBe(OLD);
    for (let i = 0; i < 8; i++) {
      // By a store of the guest, whose store entry may still be there.
      guest.call(1, FAR + 1, i);
      expect(guest.call(1)).toBe(i);
      if (i & 1) expect(guest.heat()).toBe(i);
    }
  }
});

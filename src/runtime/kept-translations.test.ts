/** Translations of one engine in the next: the same code has them from its first steps on, other code has not. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { mayKeepName } from './kept-translations.js';
import { CALL, CODE, dword, Guest, JMP, MOV_EAX, NEW, NOP, OLD, PAGE, RET } from './testing/code-guest.js';

/** Calls after which the engine may ask for translations, and has asked for what it wants. */
const OFTEN = 20_000;
/** mov ebx, 1000; dec ebx; jnz back to that; then the rest */
const looping = (rest: readonly number[]): number[] => [
  0xbb,
  ...dword(1000),
  0x4b,
  0x75,
  0xfd,
  ...rest,
  ...RET,
];
const KNOWN = 'kept translations read';
const USED = 'kept translations used';

let folder: string;
let store: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lguest-kept-'));
  store = join(folder, 'store');
});
afterEach(() => rmSync(folder, { recursive: true }));

const counter = (guest: Guest, name: string): number => guest.engine.counters()[name] ?? 0;

function guestWith(code: readonly number[], punctual = false): Guest {
  const guest = new Guest('auto', { heat: undefined, bootInstructions: 0, store, punctual } as never);
  guest.put(CODE, code);
  return guest;
}

/** Runs the guest until the engine opens the store, and waits until it was read. */
function open(guest: Guest): void {
  guest.call(OFTEN / 5);
  guest.translations.complete();
  guest.call(1);
  expect(guest.engine.counters()[KNOWN]).toBeDefined();
}

/** Then runs it until it has asked for what is hot. */
function ask(guest: Guest): number {
  if (guest.engine.counters()[KNOWN] === undefined) open(guest);
  return guest.call(OFTEN);
}

/** A run of a guest with this code that leaves its translations. */
function leave(code: readonly number[]): readonly string[] {
  const guest = guestWith(code);
  ask(guest);
  guest.translations.finish();
  guest.call(1);
  expect(counter(guest, 'regions live')).toBeGreaterThan(0);
  return guest.engine.keep!();
}

const old = looping(MOV_EAX(OLD));

test('the same code has what was made of it', () => {
  expect(leave(old)).toEqual([expect.stringMatching(/^\d+ translations are kept in .*store$/)]);
  const guest = guestWith(old);
  expect(ask(guest)).toBe(OLD);
  expect(counter(guest, KNOWN)).toBeGreaterThan(0);
  expect(guest.translations.held.map(({ request }) => request.stored)).toContainEqual(expect.any(Number));
  guest.translations.finish();
  expect(guest.call(OFTEN)).toBe(OLD);
  expect(counter(guest, USED)).toBeGreaterThan(0);
  expect(counter(guest, 'regions entered')).toBeGreaterThan(0);
  // Nothing is new.
  const before = readFileSync(store);
  expect(guest.engine.keep!()).toEqual([]);
  expect(readFileSync(store)).toEqual(before);
});

test('other code has not', () => {
  leave(old);
  const guest = guestWith(looping(MOV_EAX(NEW)));
  expect(ask(guest)).toBe(NEW);
  expect(counter(guest, KNOWN)).toBeGreaterThan(0);
  for (const { request } of guest.translations.held) expect(request.stored).toBeUndefined();
  guest.translations.finish();
  expect(guest.call(OFTEN)).toBe(NEW);
  expect(counter(guest, USED)).toBe(0);
});

test('nothing is asked for before it is known what there is', () => {
  leave(old);
  const guest = guestWith(old);
  const { translations } = guest;
  const openStore = translations.openStore.bind(translations);
  let deliver = (): void => undefined;
  translations.openStore = (path, dataTlb, done) =>
    openStore(path, dataTlb, (...opened) => void (deliver = () => done(...opened)));
  guest.call(OFTEN);
  translations.complete();
  guest.call(OFTEN);
  expect(translations.held).toEqual([]);
  deliver();
  guest.call(OFTEN);
  expect(translations.held[0]?.request.stored).toEqual(expect.any(Number));
});

test('code that changes while its translation is on its way, and after', () => {
  leave(old);
  const guest = guestWith(old);
  ask(guest);
  expect(guest.translations.held).not.toEqual([]);
  guest.put(CODE, looping(MOV_EAX(NEW)));
  guest.translations.finish();
  expect(guest.call(10)).toBe(NEW);
  expect(counter(guest, 'not translated: page was written meanwhile')).toBeGreaterThan(0);

  const other = guestWith(old);
  ask(other);
  other.translations.finish();
  expect(other.call(10)).toBe(OLD);
  expect(counter(other, 'regions live')).toBeGreaterThan(0);
  other.put(CODE, looping(MOV_EAX(NEW)));
  expect(other.call(10)).toBe(NEW);
});

describe('a block that is known is looked at long before others', () => {
  const FAR = CODE + PAGE;
  /** test edx, edx; jz to FAR; or else something that runs long enough for the engine to ask for what it knows. */
  const elsewhere = looping(NOP);
  const either = [0x85, 0xd2, 0x74, elsewhere.length, ...elsewhere];
  const callFar = (guest: Guest): number => guest.call(1, 0);

  /** Calls of FAR after which something of it is asked for. `before`: of these some before the engine knows the store. */
  function callsUntilAsked(code: readonly number[], before: number): number {
    const guest = guestWith([...either, ...JMP(CODE + either.length, FAR)]);
    guest.put(FAR, code);
    for (let i = 0; i < before; i++) callFar(guest);
    open(guest);
    guest.call(OFTEN);
    guest.translations.finish();
    let calls = 0;
    while (guest.translations.held.length === 0 && counter(guest, USED) === 0) {
      callFar(guest);
      calls++;
    }
    return calls;
  }

  beforeEach(() => void leave(old));

  test('if it is decoded when the store is known', () => {
    expect(callsUntilAsked(old, 0)).toBe(1);
  });

  test('if it was decoded before', () => {
    expect(callsUntilAsked(old, 1)).toBe(1);
  });

  test('and a block with other code is not', () => {
    expect(callsUntilAsked(looping(MOV_EAX(NEW)), 1)).toBeGreaterThan(4);
  });
});

describe('a region of two pages', () => {
  const FAR = CODE + PAGE;
  const NOPS = new Array<number>(10).fill(0x90);
  /** mov ebx, 1000; call FAR; dec ebx; jnz back to the call; ret. FAR is hot before what calls it. */
  const caller = [0xbb, ...dword(1000), ...CALL(CODE + 5, FAR), 0x4b, 0x75, 0xf8, ...RET];

  function guestOfTwo(far: readonly number[]): Guest {
    const guest = guestWith(caller);
    guest.put(FAR, [...NOPS, ...far, ...RET]);
    return guest;
  }

  beforeEach(() => {
    const guest = guestOfTwo(MOV_EAX(OLD));
    for (let i = 0; i < 5; i++) {
      ask(guest);
      guest.translations.finish();
    }
    expect(guest.engine.keep!()).toHaveLength(1);
  });

  test('is found by a block of its second page', () => {
    const guest = guestOfTwo(MOV_EAX(OLD));
    expect(ask(guest)).toBe(OLD);
    const known = guest.translations.held.filter(({ request }) => request.stored !== undefined);
    expect(known.map(({ request }) => request.pages.size > 1)).toContain(true);
    guest.translations.finish();
    expect(guest.call(OFTEN)).toBe(OLD);
    expect(counter(guest, 'regions entered')).toBeGreaterThan(0);
  });

  test('is not used with other code in one of them', () => {
    const guest = guestOfTwo(MOV_EAX(NEW));
    expect(ask(guest)).toBe(NEW);
    guest.translations.finish();
    expect(guest.call(OFTEN)).toBe(NEW);
    expect(counter(guest, USED)).toBe(0);
  });

  test('is asked for once, whichever of its blocks is hot', () => {
    const guest = guestOfTwo(MOV_EAX(OLD));
    ask(guest);
    ask(guest);
    const numbers = guest.translations.held.flatMap(({ request }) => request.stored ?? []);
    expect(new Set(numbers).size).toBe(numbers.length);
  });

  test('is left alone when its other page changes all the time', () => {
    const guest = guestOfTwo(MOV_EAX(OLD));
    ask(guest);
    guest.translations.finish();
    for (let i = 0; i < 20; i++) {
      guest.put(FAR, [...NOPS, ...MOV_EAX(i % 2 ? OLD : NEW), ...RET]);
      expect(guest.call((2 * OFTEN) / 20)).toBe(i % 2 ? OLD : NEW);
      // It has to have changed so often that it is not hot by itself either.
      const asked = i < 16 ? [] : guest.translations.held;
      const pages = asked.flatMap(({ request }) => [...request.pages.values()]);
      for (const bytes of pages) expect([...bytes.subarray(0, NOPS.length)]).not.toEqual(NOPS);
      guest.translations.finish();
    }
  });
});

test('a name with a symbol has to be the same, an address need not', () => {
  expect(mayKeepName('guest:00001000', 'guest:00002000')).toBe(true);
  expect(mayKeepName('guest:a@00001000', 'guest:a@00001000')).toBe(true);
  expect(mayKeepName('guest:a@00001000', 'guest:00001000')).toBe(false);
  expect(mayKeepName('guest:00001000', 'guest:a@00001000')).toBe(false);
});

test('what was kept stays, also of what this run did not have', () => {
  const [first] = leave(old);
  const [second] = leave(looping(MOV_EAX(NEW)));
  expect(parseInt(second!)).toBeGreaterThan(parseInt(first!));
  const guest = guestWith(old);
  ask(guest);
  expect(guest.translations.held.some(({ request }) => request.stored !== undefined)).toBe(true);
});

test('a damaged file is told of, and written anew', () => {
  writeFileSync(store, 'nonsense', { mode: 0o600 });
  expect(leave(old)).toEqual([
    expect.stringMatching(/were not used: it is damaged/),
    expect.stringMatching(/are kept in/),
  ]);
  // Then there is nothing new, and nothing wrong.
  expect(leave(old)).toEqual([]);
});

test('where it cannot be written that is told', () => {
  writeFileSync(store, '');
  store = join(store, 'below');
  expect(leave(old)).toContainEqual(expect.stringMatching(/cannot be kept in .*below: E/));
});

test('where runs have to be the same again nothing is kept or used', () => {
  leave(old);
  const guest = guestWith(old, true);
  guest.call(OFTEN);
  expect(guest.engine.counters()[KNOWN]).toBeUndefined();
  guest.translations.finish();
  expect(guest.engine.keep!()).toEqual([]);
});

/** Code that changed often is not worth a translation, until it has been left alone for long. */
import { ADD_EAX, CODE, Guest, MOV_EAX, NEW, PAGE, RET } from './testing/code-guest.js';
import type { InterpreterEngine } from './interpreter-engine.js';
import { QUIET } from './restless-pages.js';
import type { TranslationRequest } from './translator.js';

/** Calls that make a million instructions: the driver has three, the code two. */
const MILLION = 200_000;
const LAST = [...MOV_EAX(NEW), ...RET];
/** Whether a request is made from the page of the code. */
const isOfCode = ({ pages }: TranslationRequest): boolean =>
  [...pages.values()].some((bytes) => LAST.every((byte, i) => bytes[i] === byte));

/** A guest whose code was changed, and run once, so often, and how many translations with its code were asked for so far. */
function changed(times: number): { guest: Guest; asked: () => number } {
  const guest = new Guest('auto', { heat: undefined, bootInstructions: 0 });
  for (let n = 0; n < times; n++) {
    guest.put(CODE, [...ADD_EAX(n), ...RET]);
    guest.call(1);
  }
  guest.put(CODE, LAST);
  const asked = (): number => guest.translations.held.filter(({ request }) => isOfCode(request)).length;
  return { guest, asked };
}

/** Runs so many guest instructions. */
function run(guest: Guest, instructions: number): void {
  const end = guest.engine.instructions + instructions;
  while (guest.engine.instructions < end) expect(guest.call(MILLION)).toBe(NEW);
}

test('code that never changed is asked for', () => {
  const { guest, asked } = changed(0);
  run(guest, 60_000_000);
  expect(asked()).toBeGreaterThan(0);
});

test('code that changed often is asked for when it has not changed for long, and not before', () => {
  const { guest, asked } = changed(30);
  run(guest, 0.9 * QUIET);
  expect(asked()).toBe(0);
  run(guest, 2 * QUIET);
  expect(asked()).toBeGreaterThan(0);
});

test('code that goes on changing is never asked for', () => {
  const { guest, asked } = changed(30);
  for (let n = 0; n < 8; n++) {
    run(guest, QUIET / 2);
    guest.put(CODE, LAST);
    guest.call(1);
  }
  expect(asked()).toBe(0);
});

test('code that is forgiven and changes again has to be left alone for longer', () => {
  const { guest, asked } = changed(30);
  run(guest, 3 * QUIET);
  guest.translations.finish();
  expect(asked()).toBe(0);
  for (let n = 0; n < 30; n++) {
    guest.put(CODE, LAST);
    guest.call(1);
  }
  run(guest, 2.5 * QUIET);
  expect(asked()).toBe(0);
  run(guest, 2 * QUIET);
  expect(asked()).toBeGreaterThan(0);
});

test('so has a page that changes but once', () => {
  const { guest } = changed(5);
  const { code } = guest.engine as InterpreterEngine;
  const isRestless = (): boolean =>
    code.heat.isRestless(code.pagesNow().find(({ pfn }) => pfn === CODE / PAGE)!);
  expect(isRestless()).toBe(true);
  run(guest, 2.5 * QUIET);
  expect(isRestless()).toBe(false);
  guest.put(CODE, LAST);
  run(guest, 1.5 * QUIET);
  expect(isRestless()).toBe(true);
  run(guest, 3 * QUIET);
  expect(isRestless()).toBe(false);
});

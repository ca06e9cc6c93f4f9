/** Code that comes back is not translated again. */
import { dataTlbFor } from '../backend-wasm/data-tlb.js';
import { CODE, Guest, MOV_EAX, NEW, OLD, PAGE, RET } from './testing/code-guest.js';
import { contentKey } from './translation-reuse.js';
import type { TranslationRequest } from './translator.js';

const counter = (guest: Guest, name: string): number => guest.engine.counters()[name] ?? 0;
const old = [...MOV_EAX(OLD), ...RET];
const other = [...MOV_EAX(NEW), ...RET];

test('a page that is written, and written back', () => {
  const guest = new Guest('jit');
  guest.put(CODE, old);
  expect(guest.heat()).toBe(OLD);
  guest.put(CODE, other);
  expect(guest.heat()).toBe(NEW);
  const before = counter(guest, 'translations made before');
  guest.put(CODE, old);
  expect(guest.heat()).toBe(OLD);
  guest.put(CODE, other);
  expect(guest.heat()).toBe(NEW);
  expect(counter(guest, 'translations made before') - before).toBeGreaterThanOrEqual(2);
});

test('whatever a translation depends on makes another key', () => {
  const request: TranslationRequest = {
    leaders: [0, 5],
    entries: [0],
    name: 'guest:1000',
    dataTlb: dataTlbFor(1),
    pages: new Map([
      [0, new Uint8Array(PAGE)],
      [1, new Uint8Array(PAGE)],
    ]),
  };
  const changed = new Uint8Array(PAGE);
  changed[PAGE - 1] = 1;
  const keys = [
    request,
    { ...request, leaders: [0, 6] },
    { ...request, entries: [0, 5] },
    { ...request, missing: [5] },
    { ...request, name: 'guest:2000' },
    { ...request, dataTlb: dataTlbFor(2 ** 31) },
    {
      ...request,
      pages: new Map([
        [0, new Uint8Array(PAGE)],
        [1, changed],
      ]),
    },
    {
      ...request,
      pages: new Map([
        [0, new Uint8Array(PAGE)],
        [2, new Uint8Array(PAGE)],
      ]),
    },
  ].map(contentKey);
  expect(new Set(keys).size).toBe(keys.length);
  expect(contentKey({ ...request, pages: new Map(request.pages) })).toBe(keys[0]);
});

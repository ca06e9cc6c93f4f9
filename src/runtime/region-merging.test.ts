/** Regions that often hand over to each other become one, which goes as a whole when one of their pages changes. */
import { InterpreterEngine } from './interpreter-engine.js';
import { lastAskedFor } from './region-merging.js';
import { CODE, Guest, MOV_EAX, NEW, OLD, PAGE, RET } from './testing/code-guest.js';

const FAR = CODE + 3 * PAGE;
const CALL_EAX = [0xff, 0xd0];
/** Calls that make sure that enough transitions are sampled. */
const MANY = 20_000;

const counter = (guest: Guest, name: string): number => guest.engine.counters()[name] ?? 0;

/** CODE calls FAR through a register: discovery cannot follow that. Two regions. */
function apart(): Guest {
  const guest = new Guest('auto');
  guest.put(CODE, [...MOV_EAX(FAR), ...CALL_EAX, ...RET]);
  guest.put(FAR, [...MOV_EAX(OLD), ...RET]);
  expect(guest.heat()).toBe(OLD);
  expect(counter(guest, 'regions live')).toBeGreaterThan(1);
  return guest;
}

/** Calls so often that what should be merged is. */
function callOften(guest: Guest): void {
  for (let i = 0; i < 4; i++) {
    expect(guest.call(MANY)).toBe(OLD);
    guest.translations.finish();
  }
  expect(guest.call(1)).toBe(OLD);
}

function merged(): Guest {
  const guest = apart();
  const live = counter(guest, 'regions live');
  callOften(guest);
  expect(counter(guest, 'regions merged')).toBeGreaterThan(0);
  expect(counter(guest, 'regions live')).toBeLessThan(live);
  return guest;
}

test('a merged region is not left for the other part', () => {
  const guest = merged();
  const before = counter(guest, 'transitions from region to region');
  guest.call(MANY);
  // Once per call and once per return, before.
  expect(counter(guest, 'transitions from region to region') - before).toBeLessThan(MANY / 10);
});

test('it is as new as the merging', () => {
  const guest = apart();
  const { engine } = guest;
  if (!(engine instanceof InterpreterEngine)) throw new TypeError('an engine without regions');
  guest.engine.instructions += 1e9;
  callOften(guest);
  const ages = [...engine.regions.regions()].map(({ origin }) => engine.instructions - lastAskedFor(origin));
  expect(counter(guest, 'regions merged')).toBeGreaterThan(0);
  expect(Math.min(...ages)).toBeLessThan(1e8);
});

test.each([
  ['the first', CODE, [...MOV_EAX(NEW), ...RET]],
  ['the other', FAR, [...MOV_EAX(NEW), ...RET]],
])('it goes when %s page changes', (_, address, code) => {
  const guest = merged();
  guest.put(address, code);
  expect(guest.call(1)).toBe(NEW);
  expect(guest.call(MANY)).toBe(NEW);
});

test('regions are not merged while there is other work for the translator', () => {
  const guest = apart();
  guest.translations.idle = false;
  callOften(guest);
  expect(counter(guest, 'regions merged')).toBe(0);
  guest.translations.idle = true;
  callOften(guest);
  expect(counter(guest, 'regions merged')).toBeGreaterThan(0);
});

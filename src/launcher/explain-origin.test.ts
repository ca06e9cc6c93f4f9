/** How a region came to be what it is, and why there is none: as explanations tell it. */
import { expect, test } from '@jest/globals';
import { fileURLToPath } from 'node:url';
import { InterpreterEngine } from '../runtime/interpreter-engine.js';
import { CODE, DATA, Guest, MOV_EAX, NEW, OLD, PAGE, RET } from '../runtime/testing/code-guest.js';
import { beginOfTranslation } from '../runtime/tiers.js';
import { explain } from './explain.js';
import { Machine } from './machine.js';

const FAR = CODE + 3 * PAGE;
const CALL_EAX = [0xff, 0xd0];
/** Calls that make sure that enough transitions and misses are sampled. */
const MANY = 20_000;
/** The last bytes of a dword there are in the next page. */
const CROSSING = DATA + PAGE - 2;

function explained({ engine }: Guest, address: number): Promise<string> {
  if (!(engine instanceof InterpreterEngine)) throw new Error('it translates nothing');
  return explain(engine, address, true);
}

function callOften(guest: Guest, edx = DATA): void {
  for (let i = 0; i < 4; i++) {
    guest.call(MANY, edx);
    guest.translations.finish();
  }
}

/** What is said of the block at an address. */
function reasonOf(text: string, at: string): string | undefined {
  return new RegExp(`block \\d+: ${at}(?:, an entry)?; from: (.*)`).exec(text)?.[1];
}

test('regions that were merged', async () => {
  const guest = new Guest('auto');
  // CODE calls FAR through a register.
  guest.put(CODE, [...MOV_EAX(FAR), ...CALL_EAX, ...RET]);
  guest.put(FAR, [...MOV_EAX(OLD), ...RET]);
  guest.heat();
  expect(await explained(guest, FAR)).not.toContain('Merged');
  callOften(guest);
  const text = await explained(guest, FAR);
  const [, other] = /\nMerged after \d+ instructions with the region of the block at ([0-9a-f]{8})\.\n/.exec(
    text,
  )!;
  expect(reasonOf(text, other!)).toContain('it had a region of its own');
  expect(text).not.toContain('same page');
});

test('a region that was made anew for an instruction that misses the TLB', async () => {
  const guest = new Guest('auto');
  guest.paging();
  guest.put(CODE, [0x8b, 0x02, ...RET]); // mov eax, [edx]
  guest.heat(DATA, NEW);
  expect(await explained(guest, CODE)).not.toContain('anew');
  callOften(guest, CROSSING);
  expect(await explained(guest, CODE)).toMatch(
    /\nMade anew after \d+ instructions: what often misses the TLB calls for it now, at 00010000\.\n/,
  );
});

test('a guest that has not run for long enough', async () => {
  const kernel = fileURLToPath(new URL('../../test/roms/default/default.elf', import.meta.url));
  const said = async (punctual: boolean): Promise<string> => {
    let engine: unknown;
    const machine = new Machine({
      ...{ kernel, memoryMiB: 16, args: '', engine: 'auto', clock: 'virtual', punctual },
      onPowerOn: (powered) => (engine = powered),
    });
    machine.runFor(10_000);
    machine.close();
    if (!(engine instanceof InterpreterEngine)) throw new Error('no engine');
    return explain(engine, machine.eip, true);
  };
  expect(await said(false)).toContain(
    `not run for long enough: before ${beginOfTranslation().firstRequest} instructions nothing is translated`,
  );
  expect(await said(true)).not.toContain('long enough');
});

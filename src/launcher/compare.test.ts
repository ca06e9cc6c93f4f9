/** Errors are planted in the translator, and have to be found; without them nothing is. */
import { jest } from '@jest/globals';
import { fileURLToPath } from 'node:url';
import type { Block, Op } from '../ir/ir.js';
import type { CodeCache } from '../runtime/code-cache.js';
import type { Engine } from '../runtime/engine.js';
import type { CompareOptions } from './compare.js';

/** The errors; the interpreter is built already and keeps working. */
const planted: { pass?: (block: Block) => Block; lowering?: (name: string) => string } = {};

const passes = await import('../ir/passes/optimize.js');
const { optimize } = passes;
jest.unstable_mockModule('../ir/passes/optimize.js', () => ({
  ...passes,
  optimize: (block: Block) => (planted.pass ? planted.pass(optimize(block)) : optimize(block)),
}));
// eslint-disable-next-line lguest/import-zones -- an error is planted there
const { Emitter } = await import('../backend-wasm/binaryen.js');
const pure = Emitter.prototype.pure;
Emitter.prototype.pure = function (name, args) {
  return pure.call(this, planted.lowering ? planted.lowering(name) : name, args);
};
const { translate } = await import('../runtime/translator.js');
const { BackgroundTranslator } = await import('../runtime/background.js');

// The worker would be without the errors: translations are made here, when they are waited for.
const requests: (() => void)[] = [];
BackgroundTranslator.prototype.request = function (request, done) {
  requests.push(() => {
    const translation = translate(request);
    const module = translation && new WebAssembly.Module(translation.wasm as BufferSource);
    done({ id: 0, translation, module, spent: 0 });
  });
};
BackgroundTranslator.prototype.finish = function () {
  for (const answer of requests.splice(0)) answer();
};
const { compare, Pair, runPair } = await import('./compare.js');
const { locate } = await import('./compare-locate.js');
const { describe: describeDifference } = await import('./compare-report.js');

const rom = (name: string): string =>
  fileURLToPath(new URL(`../../test/roms/${name}/${name}.elf`, import.meta.url));

function options(name: string, args = ''): CompareOptions {
  return { machine: { memoryMiB: 16, kernel: rom(name), args }, subject: 'jit', every: 1_000_000 };
}

afterEach(() => {
  delete planted.pass;
  delete planted.lowering;
});

test('no error, no difference; the console is heard once', () => {
  const output: Uint8Array[] = [];
  const result = compare({ ...options('hello'), onConsole: (bytes) => output.push(bytes) });
  expect(result.sighting).toBeUndefined();
  expect(result.exit?.reason).toBe('poweroff');
  expect(
    Buffer.concat(output)
      .toString('latin1')
      .match(/paging is on/g),
  ).toHaveLength(1);
});

/** Finds the error and its place, and checks that the way back leads to it. */
function findPlanted(given: CompareOptions): string {
  const { sighting } = compare(given);
  expect(sighting).toBeDefined();
  const location = locate(given, sighting!);
  expect(location).toBeDefined();
  expect(location!.count - location!.start).toBeLessThanOrEqual(64);
  const text = describeDifference(given, sighting!, location!, (from) => `back to ${from}`);
  expect(text).toContain('IR after the passes:');
  const from = Number(/back to (\d+)/.exec(text)![1]);
  const again = compare({ ...given, from });
  expect(again.sighting!.same).toBeLessThanOrEqual(location!.count);
  expect(again.sighting!.same).toBeGreaterThanOrEqual(from);
  return text;
}

test('an error in a lowering', () => {
  planted.lowering = (name) => (name === 'i32.shl' ? 'i32.shr_u' : name);
  const text = findPlanted(options('hello'));
  expect(text).toMatch(/> .*(shl|lea|\*[248])/);
});

test('an error in a flag', () => {
  const FLAG_AUX = 44;
  planted.pass = (block) => withoutPuts(block, FLAG_AUX);
  expect(findPlanted(options('hello'))).toMatch(/eflags/);
});

test('an error in a pass: a put of ebx is lost', () => {
  const EBX = 12;
  planted.pass = (block) => withoutPuts(block, EBX);
  expect(findPlanted(options('hello'))).toMatch(/ebx/);
});

test('an error in a store: instead of its value the low byte of its address is stored', () => {
  planted.pass = (block) => ({
    ...block,
    ops: block.ops.map((op): Op => (op.name === 'st8' ? { ...op, args: [op.args[0]!, op.args[0]!] } : op)),
  });
  const text = findPlanted(options('hello'));
  expect(text).toMatch(
    /Stores of the code in question.*\n(.*\n)*\* +\d+ +0x[0-9a-f]+ +\[0x[0-9a-f]+\] = 0x[0-9a-f]{2}; then /,
  );
});

test('places have their names', () => {
  planted.lowering = (name) => (name === 'i32.shl' ? 'i32.shr_u' : name);
  const given = options('hello');
  // The kernel is loaded at 1 MiB, and sees itself from 0xc0000000 on too.
  const pages = Array.from({ length: 512 }, (_, i) => i << 12);
  const map = [0, 0xc0000000].flatMap((base) =>
    pages.map((page) => `${(base + page).toString(16).padStart(8, '0')} T page_${page}\n`),
  );
  const text = findPlanted({ ...given, machine: { ...given.machine, symbols: Buffer.from(map.join('')) } });
  expect(text).toMatch(/code at eip 0x[0-9a-f]+ \(page_[^)]*\) that runs/);
  expect(text).toMatch(/\n[> ] +\d+ +0x[0-9a-f]+ .* {2}<page_/);
});

test('what happens before the comparison is not kept', () => {
  const pair = new Pair({ ...options('hello'), every: 10_000 });
  runPair(pair, 1e9, 10_000);
  for (const { ended, journal, console } of [pair.reference, pair.subject])
    expect({ ended, exits: journal.length, console }).toEqual({ ended: true, exits: 0, console: [] });
  pair.close();
});

test('an error in invalidation', () => {
  const given: CompareOptions = {
    ...options('self-modify'),
    onSubject: (engine: Engine) => {
      (engine as Engine & { code: CodeCache }).code.written = () => undefined;
    },
  };
  findPlanted(given);
});

/** The block with its puts of a slot turned into ones of a slot that nobody reads. */
function withoutPuts(block: Block, slot: number): Block {
  const SCRATCH = 392;
  const ops = block.ops.map((op): Op =>
    op.name === 'put32' && op.imm === slot ? { ...op, imm: SCRATCH } : op,
  );
  return { ...block, ops };
}

import { fileURLToPath } from 'node:url';
import type { InterpreterEngine } from '../runtime/interpreter-engine.js';
import { UserError } from './errors.js';
import { explain, parsePlaces } from './explain.js';
import { Machine } from './machine.js';
import { parseCommandLine, type LaunchOptions } from './options.js';
import { EXPLAIN, Explanation } from './explain-command.js';
import { SymbolTable } from './symbols.js';

const rom = (name: string): string =>
  fileURLToPath(new URL(`../../test/roms/${name}/${name}.elf`, import.meta.url));

const SYMBOLS = SymbolTable.of([
  { address: 0xc0101000, name: 'work' },
  { address: 0xc0102000, name: 'add' },
]);

describe('places', () => {
  test('addresses, symbols, offsets', () => {
    expect(parsePlaces('c0101234,0xC0101238,10,work,work+0x10,work+16', SYMBOLS)).toEqual([
      0xc0101234, 0xc0101238, 0x10, 0xc0101000, 0xc0101010, 0xc0101010,
    ]);
  });
  test('what is a symbol is not a number', () => {
    expect(parsePlaces('add', SYMBOLS)).toEqual([0xc0102000]);
    expect(parsePlaces('add', SymbolTable.of([]))).toEqual([0xadd]);
  });
  test.each(['', 'c01012345', 'nothing', 'work-4', 'work,', '0x'])('%p is neither', (text) => {
    expect(() => parsePlaces(text, SYMBOLS)).toThrow(UserError);
  });
});

/** Runs a guest to its end with watched regions, and asks. */
function run(kernel: string, args = ''): InterpreterEngine {
  let engine: InterpreterEngine | undefined;
  const machine = new Machine({
    ...{ kernel: rom(kernel), memoryMiB: 16, args, engine: 'jit', clock: 'virtual', watchRegions: true },
    onPowerOn: (powered) => (engine = powered as InterpreterEngine),
  });
  expect(machine.runFor(1e9)).toBe('exit');
  machine.close();
  return engine!;
}

function sum(text: string, from: RegExp, to: RegExp): number {
  const lines = text.split('\n');
  const start = lines.findIndex((line) => from.test(line)) + 1;
  const count = lines.slice(start).findIndex((line) => !/^ +\d+ {2}/.test(line));
  const rows = lines.slice(start, start + count);
  expect(rows.every((row) => to.test(row))).toBe(true);
  return rows.reduce((total, row) => total + parseInt(row, 10), 0);
}

describe('explanations', () => {
  let engine: InterpreterEngine;
  beforeAll(() => {
    engine = run('default', 'run=bench_crc_1;poweroff');
  });

  test('a region: why, how often, guest code, IR, Wasm', async () => {
    const [region] = engine.regions.regions();
    const { origin } = region!;
    const text = await explain(engine, (origin.linear + origin.start) >>> 0);
    expect(text).toContain(`Region ${origin.name}: `);
    expect(text).toMatch(
      /Formed after \d+ instructions, when the block at [0-9a-f]{8} was hot: the interpreter had spent \d+ of them on it\./,
    );
    const [, entered] = /Entered (\d+|once)/.exec(text)!;
    const [, left] = /Left (\d+|once)/.exec(text)!;
    expect(entered).toBe(left);
    const times = entered === 'once' ? 1 : Number(entered);
    expect(times).toBeGreaterThan(0);
    expect(sum(text, /^Entered/, / at [0-9a-f]{8}/)).toBe(times);
    expect(sum(text, /^Left/, /, (to|at|in) /)).toBe(times);
    expect(text).toMatch(/\n> block \d+: [0-9a-f]{8}, an entry; from: it became hot/);
    expect(text).toContain('IR after the passes\nblock {');
    expect(text).toContain('(func $region');
    const brief = await explain(engine, (origin.linear + origin.start) >>> 0, true);
    expect(brief).not.toMatch(/IR|Wasm:/);
    expect(text.startsWith(brief.slice(0, brief.indexOf('Blocks')))).toBe(true);
  });

  test('every region has as many ways out as in', () => {
    let entered = 0;
    for (const { traffic } of engine.regions.regions()) {
      const sumOf = (counts: readonly number[]): number => counts.reduce((a, b) => a + (b || 0), 0);
      const inside = sumOf(traffic!.entries);
      expect(sumOf(traffic!.left.map((exit) => exit.count))).toBe(inside);
      entered += inside;
    }
    expect(entered).toBeLessThanOrEqual(engine.counters()['regions entered']!);
    expect(entered).toBeGreaterThan(0);
  });

  test('what was never executed', async () => {
    expect(await explain(engine, 0xc0f00000)).toMatch(
      /^c0f00000, guest-physical 00f00000\nIt is in no region\.\nNothing of its page was ever executed\.\n$/,
    );
    expect(await explain(engine, 0x7ffff000)).toBe(
      '7ffff000\nIt is in no region, and not mapped in the address space of now.\n',
    );
  });
});

test('decoded code that is not hot', async () => {
  let engine: InterpreterEngine | undefined;
  const machine = new Machine({
    ...{ kernel: rom('self-modify'), memoryMiB: 16, engine: 'auto', clock: 'virtual', watchRegions: true },
    onPowerOn: (powered) => (engine = powered as InterpreterEngine),
  });
  expect(machine.runFor(1e9)).toBe('exit');
  machine.close();
  // The hypercall that switched it off.
  const text = await explain(engine!, machine.eip - 2);
  expect(text).toMatch(
    /It is in the decoded block at .* which the interpreter has spent \d+ instructions on\.\nIt becomes hot, .* 180000 of 20 million /,
  );
});

test('hot code that cannot be translated stays with the interpreter, and is counted', () => {
  const counters = run('odd-code').counters();
  expect(counters['not translated: instruction straddles pages']).toBeGreaterThan(0);
});

describe('the command', () => {
  const parse = (line: string): LaunchOptions =>
    parseCommandLine(line.split(' ').filter(Boolean), '1', EXPLAIN) as LaunchOptions;
  test('the address stands before, behind or between the options', () => {
    for (const line of [
      'c01,work --to=1e6 --brief 64 k quiet',
      '--to 1e6 --brief c01,work 64 k quiet',
      '--brief c01,work --to=1e6 64 k quiet',
    ])
      expect(parse(line)).toMatchObject({
        ...{ leading: 'c01,work', memoryMiB: 64, kernel: 'k', args: ['quiet'] },
        extra: { to: 1e6, brief: true },
      });
  });
  test('what follows the kernel is the kernel’s', () => {
    expect(parse('--brief c01 64 k --to=5')).toMatchObject({ args: ['--to=5'], extra: { brief: true } });
    expect(parse('--block=a --brief c01 --block=b')).toMatchObject({
      disks: [{ path: 'a' }, { path: 'b' }],
    });
    expect(parseCommandLine(['c01', '--help'], '1', EXPLAIN)).toHaveProperty('information');
  });
  test('what it cannot explain', () => {
    expect(() => new Explanation(parse(''))).toThrow('Explain which eip?');
    expect(() => new Explanation(parse('c01 --engine=interp'))).toThrow('translates nothing');
  });
});

import fc from 'fast-check';
import { UserError } from './errors.js';
import { elfSymbols, readSymbols, SymbolTable } from './symbols.js';

const MAP = `c0100000 T _text
c0100010 t first_function
c0100040 W weak_function
c0100050 D some_data
c0200000 A absolute
c0100080 T bad name
00000000 T zero
`;

describe('System.map', () => {
  const table = readSymbols(Buffer.from(MAP), 'System.map');
  test('names code, with the distance from the symbol', () => {
    expect(table.nameOf(0xc0100010)).toBe('first_function');
    expect(table.nameOf(0xc010003f)).toBe('first_function+0x2f');
    expect(table.nameOf(0xc0100050)).toBe('weak_function+0x10');
  });
  test('far from every symbol there is no name', () => {
    expect(table.nameOf(0xc0000000)).toBeUndefined();
    expect(table.nameOf(0xc0200000)).toBeUndefined();
    expect(SymbolTable.of([]).nameOf(5)).toBeUndefined();
  });
  test('finds addresses', () => {
    expect(table.addressOf('weak_function')).toBe(0xc0100040);
    expect(table.addressOf('some_data')).toBeUndefined();
  });
});

/** An ELF32 file with two symbols: `work`, a function in executable section 3, and `table`, an object. */
function elf(): Uint8Array {
  const file = new Uint8Array(400);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  view.setUint32(32, 52, true);
  view.setUint16(46, 40, true);
  view.setUint16(48, 4, true);
  const section = (i: number, words: Record<number, number>): void => {
    for (const [at, value] of Object.entries(words)) view.setUint32(52 + 40 * i + Number(at), value, true);
  };
  const [symbols, strings] = [220, 300];
  section(1, { 4: 2, 16: symbols, 20: 48, 24: 2 });
  section(2, { 4: 3, 16: strings, 20: 12 });
  section(3, { 4: 1, 8: 6 });
  file.set(Buffer.from('\0work\0table\0'), strings);
  const symbol = (i: number, name: number, address: number, type: number): void => {
    view.setUint32(symbols + 16 * i, name, true);
    view.setUint32(symbols + 16 * i + 4, address, true);
    file[symbols + 16 * i + 12] = 0x10 | type;
    view.setUint16(symbols + 16 * i + 14, 3, true);
  };
  symbol(1, 1, 0xc0101000, 2);
  symbol(2, 6, 0xc0102000, 1);
  return file;
}

describe('ELF', () => {
  test('functions in executable sections', () => {
    expect([...elfSymbols(elf()).symbols()]).toEqual([{ address: 0xc0101000, name: 'work' }]);
    expect(readSymbols(elf(), 'vmlinux').nameOf(0xc0101004)).toBe('work+0x4');
  });
  test('a damaged table is read as far as it makes sense', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(399), fc.nat(255)), { maxLength: 12 }),
        fc.nat(400),
        (bytes, length) => {
          const file = elf();
          for (const [at, value] of bytes) file[at] = value;
          for (const { name } of elfSymbols(file.subarray(0, length)).symbols())
            expect(name).toMatch(/^[!-~]+$/);
        },
      ),
    );
  });
});

test.each([
  ['text', Buffer.from('hello\n'), 'neither an ELF file nor a System.map'],
  ['nothing', Buffer.alloc(0), 'neither an ELF file nor a System.map'],
  ['a stripped kernel', Buffer.from(elf().subarray(0, 60)), 'is it stripped'],
])('%s has no symbols', (_what, file, why) => {
  expect(() => readSymbols(file, 'file')).toThrow(UserError);
  expect(() => readSymbols(file, 'file')).toThrow(why);
});

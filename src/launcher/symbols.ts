/**
 * Names of places in a guest kernel, from its ELF symbol table (System V ABI, "Symbol Table") or from the text that
 * `nm` writes and Linux calls System.map: `c0101234 T name` on each line.
 */
import { isElf } from './load-elf.js';
import { UserError, hex } from './errors.js';

const SECTION_HEADER_BYTES = 40;
const SYMBOL_BYTES = 16;
const SHT_SYMTAB = 2;
const SHF_EXECINSTR = 4;
const SHN_LORESERVE = 0xff00;
// Types of symbols that can name code.
const STT_NOTYPE = 0;
const STT_FUNC = 2;
const STT_GNU_IFUNC = 10;
/** By type. */
const CODE_TYPES = new Uint8Array(16);
for (const type of [STT_NOTYPE, STT_FUNC, STT_GNU_IFUNC]) CODE_TYPES[type] = 1;
/** Of System.map: code, and weak symbols, which may be code. */
const MAP_LINE = /^([0-9a-fA-F]{8}) ([tTwW]) ([\x21-\x7e]+)$/;
/** A place farther behind a symbol than this does not belong to it. */
const FARTHEST = 0x10000;

export interface CodeSymbol {
  /** Linear address. */
  readonly address: number;
  readonly name: string;
}

/** How many symbols a table may have: their numbers share a double with their addresses. */
const MOST_SYMBOLS = 2 ** 20;

/**
 * Symbols of code, to be asked for names and addresses. A kernel has tens of thousands, of which a run asks for a few
 * dozen: while it waits for them there are only numbers to be sorted, and no strings to be made.
 */
export class SymbolTable {
  private byName: ReadonlyMap<string, number> | undefined;

  /**
   * @param sorted address × MOST_SYMBOLS + number of each symbol, ascending
   * @param nameOfNumber undefined if it has a name that cannot be shown
   */
  private constructor(
    private readonly sorted: Float64Array,
    private readonly nameOfNumber: (n: number) => string | undefined,
  ) {}

  static of(symbols: readonly CodeSymbol[]): SymbolTable {
    return SymbolTable.from(
      symbols.map(({ address }) => address),
      (n) => symbols[n]!.name,
    );
  }

  /** Symbols by number: their addresses, and a function that makes their names. */
  static from(addresses: readonly number[], nameOf: (n: number) => string | undefined): SymbolTable {
    const sorted = new Float64Array(Math.min(addresses.length, MOST_SYMBOLS));
    for (let i = 0; i < sorted.length; i++) sorted[i] = addresses[i]! * MOST_SYMBOLS + i;
    return new SymbolTable(sorted.sort(), nameOf);
  }

  get size(): number {
    return this.sorted.length;
  }

  private at(i: number): { address: number; name: string | undefined } {
    const key = this.sorted[i]!;
    return { address: Math.floor(key / MOST_SYMBOLS), name: this.nameOfNumber(key % MOST_SYMBOLS) };
  }

  /** All that have a name, by address. */
  *symbols(): Generator<CodeSymbol> {
    for (let i = 0; i < this.size; i++) {
      const { address, name } = this.at(i);
      if (name !== undefined) yield { address, name };
    }
  }

  /** `name`, or `name+0x10`, for a linear address; undefined if no symbol is near below it. */
  nameOf(address: number): string | undefined {
    let low = 0;
    let high = this.size;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.sorted[middle]! < (address + 1) * MOST_SYMBOLS) low = middle + 1;
      else high = middle;
    }
    for (let i = low - 1; i >= 0; i--) {
      const symbol = this.at(i);
      const offset = address - symbol.address;
      if (offset >= FARTHEST) return undefined;
      if (symbol.name !== undefined) return offset === 0 ? symbol.name : `${symbol.name}+${hex(offset)}`;
    }
    return undefined;
  }

  /** The address of a symbol; undefined if there is none of that name. */
  addressOf(name: string): number | undefined {
    this.byName ??= new Map([...this.symbols()].map((s) => [s.name, s.address]));
    return this.byName.get(name);
  }
}

/** A string of an ELF string table; undefined if it is not wholly in there. */
function stringAt(file: Uint8Array, from: number, end: number): string | undefined {
  const stop = file.indexOf(0, from);
  if (stop < 0 || stop >= end) return undefined;
  return Buffer.from(file.buffer, file.byteOffset + from, stop - from).toString('latin1');
}

/** A name if it can stand in a message and in a stack trace. */
function printable(name: string | undefined): string | undefined {
  return name !== undefined && /^[\x21-\x7e]+$/.test(name) ? name : undefined;
}

/**
 * The code symbols of an ELF32 file; none if it has no symbol table, or one that cannot be read. Nothing in the file
 * is believed: it may be the guest's.
 */
export function elfSymbols(file: Uint8Array): SymbolTable {
  const none = SymbolTable.of([]);
  if (!isElf(file) || file.length < 52) return none;
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const table = view.getUint32(32, true);
  const headerBytes = view.getUint16(46, true);
  const count = view.getUint16(48, true);
  if (headerBytes < SECTION_HEADER_BYTES || table + headerBytes * count > file.length) return none;
  const section = (i: number): Record<'type' | 'flags' | 'offset' | 'size' | 'link', number> => {
    const at = table + headerBytes * i;
    const word = (offset: number): number => view.getUint32(at + offset, true);
    return { type: word(4), flags: word(8), offset: word(16), size: word(20), link: word(24) };
  };
  const inFile = ({ offset, size }: { offset: number; size: number }): boolean =>
    offset + size <= file.length;
  const isCode = new Uint8Array(count);
  for (let i = 1; i < Math.min(count, SHN_LORESERVE); i++)
    isCode[i] = section(i).flags & SHF_EXECINSTR ? 1 : 0;
  const addresses: number[] = [];
  /** Where the names are: offset in the file, and the end of their string table. */
  const names: number[] = [];
  const ends: number[] = [];
  for (let i = 0; i < count; i++) {
    const symbols = section(i);
    if (symbols.type !== SHT_SYMTAB || symbols.link >= count || !inFile(symbols)) continue;
    const strings = section(symbols.link);
    if (!inFile(strings)) continue;
    const end = strings.offset + strings.size;
    for (let at = symbols.offset; at + SYMBOL_BYTES <= symbols.offset + symbols.size; at += SYMBOL_BYTES) {
      if (!CODE_TYPES[file[at + 12]! & 0xf] || !isCode[view.getUint16(at + 14, true)]) continue;
      addresses.push(view.getUint32(at + 4, true));
      names.push(strings.offset + view.getUint32(at, true));
      ends.push(end);
    }
  }
  return SymbolTable.from(addresses, (n) => printable(stringAt(file, names[n]!, ends[n]!)));
}

function mapSymbols(text: string): CodeSymbol[] {
  const out: CodeSymbol[] = [];
  for (const line of text.split('\n')) {
    const [, address, , name] = MAP_LINE.exec(line.trimEnd()) ?? [];
    if (name !== undefined) out.push({ address: parseInt(address!, 16), name });
  }
  return out;
}

/** Symbols of a file that the user named: an ELF file or a System.map. Throws `UserError` if it has none. */
export function readSymbols(file: Uint8Array, name: string): SymbolTable {
  const symbols = isElf(file)
    ? elfSymbols(file)
    : SymbolTable.of(mapSymbols(Buffer.from(file).toString('latin1')));
  if (symbols.size > 0) return symbols;
  const why = isElf(file)
    ? 'it has no symbol table for 32-bit code (is it stripped?)'
    : 'it is neither an ELF file nor a System.map';
  throw new UserError(`Symbols ${name} cannot be used: ${why}.`);
}

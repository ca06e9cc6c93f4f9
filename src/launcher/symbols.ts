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
const CODE_TYPES: readonly number[] = [STT_NOTYPE, STT_FUNC, STT_GNU_IFUNC];
/** Of System.map: code, and weak symbols, which may be code. */
const MAP_LINE = /^([0-9a-fA-F]{8}) ([tTwW]) ([\x21-\x7e]+)$/;
/** A place farther behind a symbol than this does not belong to it. */
const FARTHEST = 0x10000;

export interface CodeSymbol {
  /** Linear address. */
  readonly address: number;
  readonly name: string;
}

/** Symbols of code, to be asked for names and addresses. */
export class SymbolTable {
  private readonly sorted: readonly CodeSymbol[];
  private byName: ReadonlyMap<string, number> | undefined;

  constructor(symbols: readonly CodeSymbol[]) {
    this.sorted = [...symbols].sort((a, b) => a.address - b.address);
  }

  get size(): number {
    return this.sorted.length;
  }

  /** `name`, or `name+0x10`, for a linear address; undefined if no symbol is near below it. */
  nameOf(address: number): string | undefined {
    let low = 0;
    let high = this.sorted.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.sorted[middle]!.address <= address) low = middle + 1;
      else high = middle;
    }
    const symbol = this.sorted[low - 1];
    if (symbol === undefined) return undefined;
    const offset = address - symbol.address;
    if (offset >= FARTHEST) return undefined;
    return offset === 0 ? symbol.name : `${symbol.name}+${hex(offset)}`;
  }

  /** The address of a symbol; undefined if there is none of that name. */
  addressOf(name: string): number | undefined {
    this.byName ??= new Map(this.sorted.map((s) => [s.name, s.address]));
    return this.byName.get(name);
  }
}

/** A string of an ELF string table; undefined if it is not wholly in there. */
function stringAt(file: Uint8Array, from: number, end: number): string | undefined {
  const stop = file.indexOf(0, from);
  if (stop < 0 || stop >= end) return undefined;
  return Buffer.from(file.buffer, file.byteOffset + from, stop - from).toString('latin1');
}

/** A name that can stand in a message and in a stack trace. */
function isPrintable(name: string | undefined): name is string {
  return name !== undefined && /^[\x21-\x7e]+$/.test(name);
}

/**
 * The code symbols of an ELF32 file; none if it has no symbol table, or one that cannot be read. Nothing in the file
 * is believed: it may be the guest's.
 */
export function elfSymbols(file: Uint8Array): CodeSymbol[] {
  if (!isElf(file) || file.length < 52) return [];
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const table = view.getUint32(32, true);
  const headerBytes = view.getUint16(46, true);
  const count = view.getUint16(48, true);
  if (headerBytes < SECTION_HEADER_BYTES || table + headerBytes * count > file.length) return [];
  const section = (i: number): Record<'type' | 'flags' | 'offset' | 'size' | 'link', number> => {
    const at = table + headerBytes * i;
    const word = (offset: number): number => view.getUint32(at + offset, true);
    return { type: word(4), flags: word(8), offset: word(16), size: word(20), link: word(24) };
  };
  const inFile = ({ offset, size }: { offset: number; size: number }): boolean =>
    offset + size <= file.length;
  const out: CodeSymbol[] = [];
  for (let i = 0; i < count; i++) {
    const symbols = section(i);
    if (symbols.type !== SHT_SYMTAB || symbols.link >= count || !inFile(symbols)) continue;
    const strings = section(symbols.link);
    if (!inFile(strings)) continue;
    for (let k = 0; k + SYMBOL_BYTES <= symbols.size; k += SYMBOL_BYTES) {
      const at = symbols.offset + k;
      const index = view.getUint16(at + 14, true);
      if (!CODE_TYPES.includes(file[at + 12]! & 0xf)) continue;
      if (index === 0 || index >= SHN_LORESERVE || index >= count) continue;
      if (!(section(index).flags & SHF_EXECINSTR)) continue;
      const name = stringAt(file, strings.offset + view.getUint32(at, true), strings.offset + strings.size);
      if (isPrintable(name)) out.push({ address: view.getUint32(at + 4, true), name });
    }
  }
  return out;
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
  const symbols = isElf(file) ? elfSymbols(file) : mapSymbols(Buffer.from(file).toString('latin1'));
  if (symbols.length > 0) return new SymbolTable(symbols);
  const why = isElf(file)
    ? 'it has no symbol table for 32-bit code (is it stripped?)'
    : 'it is neither an ELF file nor a System.map';
  throw new UserError(`Symbols ${name} cannot be used: ${why}.`);
}

/**
 * ELF32 kernels (System V ABI, Intel386 supplement): each PT_LOAD goes to its physical address, the guest starts at
 * e_entry. Nothing in the file is believed before it was checked against the file's length and the guest's memory.
 */
import { UserError, hex } from './errors.js';

/** Bytes to be copied to guest-physical `address`; the memory up to `address + memoryBytes` is zero behind them. */
export interface Segment {
  address: number;
  bytes: Uint8Array;
  memoryBytes: number;
}

/** A kernel ready to be placed. */
export interface KernelImage {
  format: 'ELF' | 'bzImage';
  /** How it was unpacked, for `--verbose`. */
  note: string;
  /** Bytes of gzip data that it begins with unpacking. */
  gzipBytes: number;
  segments: Segment[];
  /** Guest-physical address of the first instruction. */
  entry: number;
  /** First address behind everything the kernel occupies when it starts. */
  end: number;
}

/** Kernels may not touch the boot parameters (page 0) and the command line (page 1). */
export const LOWEST_LOAD_ADDRESS = 0x2000;

const ELF_HEADER_BYTES = 52;
const PROGRAM_HEADER_BYTES = 32;
const CLASS_64 = 2;
const LITTLE_ENDIAN = 1;
const ET_EXEC = 2;
const EM_386 = 3;
const EM_486 = 6;
const EM_NAMES: Record<number, string> = {
  2: 'SPARC',
  8: 'MIPS',
  20: 'PowerPC',
  40: 'ARM',
  62: 'x86-64',
  183: 'ARM64',
  243: 'RISC-V',
};
const PT_LOAD = 1;

/** True if the file says it is ELF of any kind. */
export function isElf(file: Uint8Array): boolean {
  return file.length >= 4 && file[0] === 0x7f && file[1] === 0x45 && file[2] === 0x4c && file[3] === 0x46;
}

/**
 * Reads an ELF32 executable. `name` is the file's name for messages, `ramBytes` the guest's RAM.
 * Throws `UserError` for whatever is wrong with the file.
 */
export function loadElf(file: Uint8Array, name: string, ramBytes: number): KernelImage {
  const refuse = (why: string): never => {
    throw new UserError(`Kernel ${name} cannot be loaded: ${why}.`);
  };
  if (!isElf(file)) refuse('it is not an ELF file');
  if (file.length > 4 && file[4] === CLASS_64)
    refuse('it is a 64-bit kernel, and lguest guests are 32-bit x86');
  if (file.length < ELF_HEADER_BYTES) refuse(`the file ends inside its ELF header (${file.length} bytes)`);
  if (file[4] !== 1) refuse(`its ELF class ${file[4]} is unknown`);
  if (file[5] !== LITTLE_ENDIAN) refuse('it is not little-endian');
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const type = view.getUint16(16, true);
  const machine = view.getUint16(18, true);
  if (machine !== EM_386 && machine !== EM_486)
    refuse(`it is for ${EM_NAMES[machine] ?? `machine ${machine}`}, not for 32-bit x86`);
  if (type !== ET_EXEC) refuse('it is not an executable (a kernel is linked with fixed addresses)');

  const entry = view.getUint32(24, true);
  const tableOffset = view.getUint32(28, true);
  const entryBytes = view.getUint16(42, true);
  const count = view.getUint16(44, true);
  if (count === 0) refuse('it has no program headers');
  if (entryBytes < PROGRAM_HEADER_BYTES)
    refuse(`its program headers are too short (${entryBytes} bytes each)`);
  if (tableOffset + entryBytes * count > file.length)
    refuse('its program headers lie beyond the end of the file');

  const segments: Segment[] = [];
  const virtual: { address: number; memoryBytes: number; physical: number }[] = [];
  for (let i = 0; i < count; i++) {
    const at = tableOffset + entryBytes * i;
    if (view.getUint32(at, true) !== PT_LOAD) continue;
    const offset = view.getUint32(at + 4, true);
    const virtualAddress = view.getUint32(at + 8, true);
    const address = view.getUint32(at + 12, true);
    const fileBytes = view.getUint32(at + 16, true);
    const memoryBytes = view.getUint32(at + 20, true);
    if (memoryBytes === 0 && fileBytes === 0) continue;
    if (offset + fileBytes > file.length)
      refuse(`its segment ${i} (${fileBytes} bytes at offset ${offset}) lies beyond the end of the file`);
    if (fileBytes > memoryBytes) refuse(`its segment ${i} has more bytes in the file than in memory`);
    if (address < LOWEST_LOAD_ADDRESS)
      refuse(
        `its segment ${i} at ${hex(address)} covers the boot parameters below ${hex(LOWEST_LOAD_ADDRESS)}`,
      );
    if (address + memoryBytes > ramBytes)
      refuse(
        `it needs memory up to ${hex(address + memoryBytes)} (${mebibytes(address + memoryBytes)} MiB), ` +
          `and the guest has ${mebibytes(ramBytes)} MiB`,
      );
    segments.push({ address, bytes: file.subarray(offset, offset + fileBytes), memoryBytes });
    virtual.push({ address: virtualAddress, memoryBytes, physical: address });
  }
  if (segments.length === 0) refuse('nothing in it is to be loaded (no PT_LOAD)');

  const start = physicalEntry(entry, virtual);
  if (start === undefined) {
    throw new UserError(`Kernel ${name} cannot be loaded: its entry ${hex(entry)} is outside what it loads.`);
  }
  return { format: 'ELF', note: '', gzipBytes: 0, segments, entry: start, end: endOf(segments) };
}

/** Linux gives e_entry as a physical address; others link it as a virtual one. */
function physicalEntry(
  entry: number,
  segments: { address: number; memoryBytes: number; physical: number }[],
): number | undefined {
  for (const s of segments) if (entry >= s.physical && entry < s.physical + s.memoryBytes) return entry;
  for (const s of segments)
    if (entry >= s.address && entry < s.address + s.memoryBytes) return entry - s.address + s.physical;
  return undefined;
}

/** First address behind all segments. */
export function endOf(segments: readonly Segment[]): number {
  return segments.reduce((end, s) => Math.max(end, s.address + s.memoryBytes), 0);
}

/** Bytes as MiB, rounded up. */
export function mebibytes(bytes: number): number {
  return Math.ceil(bytes / 0x100000);
}

/** What a machine is made from: its options, and the files that they name. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Engine } from '../runtime/engine.js';
import type { EngineKind } from '../runtime/engine-kind.js';
import { DEFAULT_VIRTUAL_EPOCH_MS } from '../lguest/clock.js';
import { packageRoot } from '../runtime/load-interpreter.js';
import { FileDisk, MemoryDisk, type Disk } from './disk.js';
import { UserError, describeFileError } from './errors.js';
import type { Unpack } from './load-bzimage.js';
import { loadKernel } from './load-kernel.js';
import { ramBytesOf } from './parse.js';
import type { Load } from './power-on.js';
import { elfSymbols, readSymbols, type SymbolTable } from './symbols.js';

export type DiskOption =
  | { path: string; readOnly?: boolean }
  /** The array given is the disk's contents, and is changed. */
  | { data: Uint8Array; readOnly?: boolean }
  | Disk;

export interface MachineOptions {
  /** Guest RAM in MiB; 64, or 16 for the default guest. */
  memoryMiB?: number;
  /** An ELF vmlinux or a bzImage: its path or its bytes. Without it the default guest runs. */
  kernel?: string | Uint8Array;
  /** Kernel command line: one string, or words to be joined. */
  args?: string | readonly string[];
  initrd?: string | Uint8Array;
  disks?: readonly DiskOption[];
  /** Adds an entropy device. */
  rng?: boolean;
  /** `virtual`: guest time is a function of the instruction count. Default `realtime`. */
  clock?: 'realtime' | 'virtual';
  /** Seed of the entropy device, 0 .. 2^32 - 1; 0 with the virtual clock, else the host's random numbers. */
  seed?: number;
  /** Date of power-on; now, or 2013-07-01 with the virtual clock. */
  epoch?: Date;
  /** Who unpacks a gzip bzImage; default `host`. */
  unpack?: Unpack;
  /** What executes the guest's instructions; default `auto`. */
  engine?: EngineKind;
  /**
   * Names of places in the kernel, for messages and profilers: an ELF file or a System.map, its path or its bytes.
   * Without it those of an ELF kernel.
   */
  symbols?: string | Uint8Array;
  /**
   * With `auto`, translations are installed at instruction counts that depend on the guest alone; the guest waits for
   * those that are late. For comparisons. Default false.
   */
  punctual?: boolean;
  /**
   * A directory of translations that earlier runs of the same kernel have left, and where this one leaves its own, with
   * `auto`, and not `punctual`. Made if it is not there. Default none.
   */
  cacheDirectory?: string | undefined;
  /** Whether the engine may deliver system calls and page faults by itself; see `HostOptions`. Default true. */
  directTraps?: boolean;
  /** Counts how each translated region is entered and left, which costs time: for `explain`. Default false. */
  watchRegions?: boolean;
  /** Guest instructions (restarts included) after which `run` switches the machine off. */
  stopAt?: number;
  /** What the guest prints. If a promise is returned the guest waits for it. */
  onConsole?: (bytes: Uint8Array) => void | Promise<void>;
  /**
   * Gives the guest its input a line at a time, when it sleeps, as a person would type it: for scripts, so that what
   * follows a `reboot` does not get lost in the old guest's buffers. Always so with the virtual clock.
   */
  inputByLines?: boolean;
  /** Called when the console has room for more input after `write` returned false. */
  onInputRoom?: () => void;
  /** Called when the guest restarts. */
  onRestart?: () => void;
  /** Called with each engine before its first instruction: at power-on and at every restart. For traces and comparisons. */
  onPowerOn?: (engine: Engine) => void;
  /** One line at a time of what is loaded where. */
  log?: (line: string) => void;
}

const DEFAULT_MEBIBYTES = 64;
const DEFAULT_GUEST_MEBIBYTES = 16;
/** A kernel or initrd larger than this is not read. */
const LARGEST_FILE = 0x7fff_ffff;

/** Date of power-on, in milliseconds as JavaScript counts them. */
export function epochOf({ epoch, clock }: MachineOptions): number {
  return epoch?.getTime() ?? (clock === 'virtual' ? DEFAULT_VIRTUAL_EPOCH_MS : Date.now());
}

/** What to load, and the kernel's file. Throws `UserError`. */
export function readLoad(options: MachineOptions): { load: Load; kernelFile: Uint8Array } {
  const isDefault = options.kernel === undefined;
  const ramBytes = ramBytesOf(options.memoryMiB ?? (isDefault ? DEFAULT_GUEST_MEBIBYTES : DEFAULT_MEBIBYTES));
  const kernel = options.kernel ?? join(packageRoot(), 'test', 'roms', 'default', 'default.elf');
  const name = typeof kernel === 'string' ? kernel : 'given as bytes';
  const bytes = typeof kernel === 'string' ? readUserFile('Kernel', kernel) : kernel;
  const { initrd, args = '' } = options;
  const initrdName = typeof initrd === 'string' ? initrd : 'given as bytes';
  const initrdBytes = typeof initrd === 'string' ? readUserFile('Initrd', initrd) : initrd;
  const load = {
    ramBytes,
    kernel: loadKernel(bytes, name, ramBytes, options.unpack ?? 'host'),
    commandLine: typeof args === 'string' ? args : args.join(' '),
    ...(initrdBytes && { initrd: { bytes: initrdBytes, name: initrdName } }),
  };
  return { load, kernelFile: bytes };
}

/**
 * What reads the symbols. Those that are given are checked at once, those of a kernel wait until they are
 * wanted. Throws `UserError`.
 */
export function symbolSource(
  given: string | Uint8Array | undefined,
  kernelFile: Uint8Array,
): () => SymbolTable {
  if (given === undefined) return () => elfSymbols(kernelFile);
  const isPath = typeof given === 'string';
  const table = readSymbols(
    isPath ? readUserFile('Symbols', given) : given,
    isPath ? given : 'given as bytes',
  );
  return () => table;
}

/** Reads a file that the user named. Throws `UserError`. */
function readUserFile(what: string, path: string): Uint8Array {
  try {
    const { size } = statSync(path);
    if (size > LARGEST_FILE) throw new UserError(`${what} ${path} cannot be used: it has ${size} bytes.`);
    return readFileSync(path);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${what} ${path} cannot be read: ${describeFileError(error)}.`);
  }
}

/** The disk that an option stands for, opened. Throws `UserError`. */
export function openDisk(disk: DiskOption): Disk {
  if ('path' in disk && !(disk instanceof FileDisk)) return new FileDisk(disk.path, disk.readOnly);
  if ('data' in disk && disk.data instanceof Uint8Array && !(disk instanceof MemoryDisk))
    return new MemoryDisk(disk.data, disk.readOnly);
  return disk as Disk;
}

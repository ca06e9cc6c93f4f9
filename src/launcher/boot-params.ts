/**
 * What the guest finds in its first two pages: struct boot_params at physical 0 and the command line at 0x1000
 * (Linux Documentation/x86/zero-page.txt and boot.txt; the values are those lguest's Launcher gives).
 */
import { UserError } from './errors.js';
import { PAGE } from '../frontend-x86/limits.js';

export const COMMAND_LINE_ADDRESS = 0x1000;
/** COMMAND_LINE_SIZE of the x86 kernels, with the final NUL. */
export const COMMAND_LINE_BYTES = 2048;

/** Offsets in struct boot_params; name, width in bytes. */
const FIELDS = {
  e820_entries: [0x1e8, 1],
  version: [0x206, 2],
  type_of_loader: [0x210, 1],
  loadflags: [0x211, 1],
  ramdisk_image: [0x218, 4],
  ramdisk_size: [0x21c, 4],
  cmd_line_ptr: [0x228, 4],
  kernel_alignment: [0x230, 4],
  hardware_subarch: [0x23c, 4],
  e820_address_low: [0x2d0, 4],
  e820_address_high: [0x2d4, 4],
  e820_size_low: [0x2d8, 4],
  e820_size_high: [0x2dc, 4],
  e820_type: [0x2e0, 4],
} as const satisfies Record<string, readonly [number, 1 | 2 | 4]>;

const SUBARCH_LGUEST = 1;
const KEEP_SEGMENTS = 0x40;
const E820_RAM = 1;
const LOADER_UNDEFINED = 0xff;

export interface BootParameters {
  ramBytes: number;
  commandLine: string;
  /** Guest-physical address and length (whole pages) of the initrd. */
  initrd?: { address: number; bytes: number };
}

/** The contents of guest-physical [0, 0x2000). Throws `UserError` if the command line is too long or has a NUL. */
export function bootParameters({ ramBytes, commandLine, initrd }: BootParameters): Uint8Array {
  const pages = new Uint8Array(2 * PAGE);
  const view = new DataView(pages.buffer);
  const set = (field: keyof typeof FIELDS, value: number): void => {
    const [offset, width] = FIELDS[field];
    if (width === 1) view.setUint8(offset, value);
    else if (width === 2) view.setUint16(offset, value, true);
    else view.setUint32(offset, value, true);
  };
  const line = Buffer.from(commandLine, 'utf8');
  if (line.length >= COMMAND_LINE_BYTES)
    throw new UserError(
      `The kernel arguments are too long: ${line.length} bytes, and a kernel takes ${COMMAND_LINE_BYTES - 1}.`,
    );
  if (line.includes(0)) throw new UserError('The kernel arguments contain a NUL character.');
  set('e820_entries', 1);
  set('e820_size_low', ramBytes);
  set('e820_type', E820_RAM);
  set('cmd_line_ptr', COMMAND_LINE_ADDRESS);
  set('version', 0x207);
  set('hardware_subarch', SUBARCH_LGUEST);
  set('loadflags', KEEP_SEGMENTS);
  set('kernel_alignment', 0x1000000);
  if (initrd) {
    set('ramdisk_image', initrd.address);
    set('ramdisk_size', initrd.bytes);
    set('type_of_loader', LOADER_UNDEFINED);
  }
  pages.set(line, COMMAND_LINE_ADDRESS);
  return pages;
}

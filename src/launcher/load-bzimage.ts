/**
 * bzImage kernels (Linux Documentation/x86/boot.txt). The fast path unpacks a gzip payload on the host and loads the
 * vmlinux inside; on request, or for other compressions, the guest's own decompressor does it.
 */
import { constants, gunzipSync } from 'node:zlib';
import { type Compression, compressionAt, findGzip } from './compression.js';
import { UserError, hex } from './errors.js';
import { endOf, isElf, loadElf, mebibytes, type KernelImage } from './load-elf.js';

export type Unpack = 'host' | 'guest';

/** Offsets in the setup header, which starts in the file's first sector. */
const SETUP_SECTS = 0x1f1;
const SYSSIZE = 0x1f4;
const BOOT_FLAG = 0x1fe;
const MAGIC = 0x202;
const VERSION = 0x206;
const LOADFLAGS = 0x211;
const CODE32_START = 0x214;
const PAYLOAD_OFFSET = 0x248;
const PAYLOAD_LENGTH = 0x24c;
const PREF_ADDRESS = 0x258;
const INIT_SIZE = 0x260;
/** The longest header read here. */
const HEADER_BYTES = 0x268;

const LOADED_HIGH = 1;
/** Where the protected-mode part of a bzImage goes. */
const PROTECTED_MODE_ADDRESS = 0x100000;
/** hdr.hardware_subarch, by which the kernel recognises lguest, came with boot protocol 2.07. */
const LOWEST_PROTOCOL = 0x207;
/** The largest vmlinux we unpack: more than any 32-bit kernel can have mapped. */
const MOST_UNPACKED_BYTES = 0x2000_0000;

/** True if the file has a Linux setup header. */
export function isBzImage(file: Uint8Array): boolean {
  return (
    file.length >= 0x208 &&
    file[BOOT_FLAG] === 0x55 &&
    file[BOOT_FLAG + 1] === 0xaa &&
    Buffer.from(file.buffer, file.byteOffset + MAGIC, 4).toString('latin1') === 'HdrS'
  );
}

/**
 * Reads a bzImage. With `unpack` "host" a gzip payload is unpacked here. Throws `UserError` for whatever is wrong with
 * the file.
 */
export function loadBzImage(file: Uint8Array, name: string, ramBytes: number, unpack: Unpack): KernelImage {
  const refuse = (why: string): never => {
    throw new UserError(`Kernel ${name} cannot be loaded: ${why}.`);
  };
  if (!isBzImage(file)) refuse('it is not a bzImage');
  const header = new Uint8Array(HEADER_BYTES);
  header.set(file.subarray(0, HEADER_BYTES));
  const view = new DataView(header.buffer);
  const version = view.getUint16(VERSION, true);
  if (version < LOWEST_PROTOCOL)
    refuse(
      `its boot protocol ${version >> 8}.${String(version & 0xff).padStart(2, '0')} is older than 2.07, ` +
        'so it cannot have lguest support (CONFIG_LGUEST_GUEST)',
    );
  if (!(header[LOADFLAGS]! & LOADED_HIGH)) refuse('it is a zImage, and only bzImages can be started');
  const setupBytes = ((header[SETUP_SECTS] || 4) + 1) * 512;
  if (setupBytes >= file.length) refuse('the file ends before its protected-mode code');
  const protectedMode = file.subarray(setupBytes);
  const systemBytes = view.getUint32(SYSSIZE, true) * 16;
  // The build rounds syssize up, and may leave the last paragraph out of the file.
  if (systemBytes > protectedMode.length + 15)
    refuse(`it was cut short (${protectedMode.length} of ${systemBytes} bytes of code are there)`);

  const payload = findPayload(view, version, protectedMode);
  if (payload === 'lying') refuse('its header puts the compressed kernel beyond the end of the file');
  const found = payload as Exclude<typeof payload, 'lying'>;
  const vmlinux = found?.compression === 'gzip' ? unpackGzip(found.bytes, name) : undefined;
  // Also when the guest is to unpack: what is inside tells whether the guest can run at all.
  if (vmlinux) checkLguestSupport(vmlinux, name);
  if (vmlinux && unpack === 'host') {
    const image = loadElf(vmlinux, name, ramBytes);
    return {
      ...image,
      format: 'bzImage',
      note: `unpacked on the host from ${found!.bytes.length} to ${vmlinux.length} bytes`,
    };
  }

  const start = view.getUint32(CODE32_START, true);
  const end = PROTECTED_MODE_ADDRESS + protectedMode.length;
  if (end > ramBytes)
    refuse(
      `it needs memory up to ${hex(end)} (${mebibytes(end)} MiB), and the guest has ${mebibytes(ramBytes)} MiB`,
    );
  if (start < PROTECTED_MODE_ADDRESS || start >= end)
    refuse(`its header says that it starts at ${hex(start)}, outside its code`);
  const segments = [
    { address: PROTECTED_MODE_ADDRESS, bytes: protectedMode, memoryBytes: protectedMode.length },
  ];
  return {
    format: 'bzImage',
    note: `${found?.compression ?? 'unknown'} payload, to be unpacked by the guest`,
    gzipBytes: found?.compression === 'gzip' ? found.bytes.length : 0,
    segments,
    entry: start,
    end: Math.max(endOf(segments), unpackedEnd(view, version, name, ramBytes)),
  };
}

/** Where the decompressor's work ends (init_size bytes from pref_address, protocol 2.10); 0 if the header does not say. */
function unpackedEnd(view: DataView, version: number, name: string, ramBytes: number): number {
  if (version < 0x20a) return 0;
  if (view.getUint32(PREF_ADDRESS + 4, true) !== 0)
    throw new UserError(`Kernel ${name} cannot be loaded: it wants to be placed above 4 GiB.`);
  const end = view.getUint32(PREF_ADDRESS, true) + view.getUint32(INIT_SIZE, true);
  if (end > ramBytes)
    throw new UserError(
      `Kernel ${name} cannot be loaded: to unpack itself it needs ${mebibytes(end)} MiB, ` +
        `and the guest has ${mebibytes(ramBytes)} MiB.`,
    );
  return end;
}

interface Payload {
  compression: Compression;
  bytes: Uint8Array;
}

/** The compressed kernel: where the header says (protocol 2.08), else by its gzip magic. */
function findPayload(view: DataView, version: number, code: Uint8Array): Payload | 'lying' | undefined {
  if (version >= 0x208) {
    const offset = view.getUint32(PAYLOAD_OFFSET, true);
    const length = view.getUint32(PAYLOAD_LENGTH, true);
    if (offset !== 0 || length !== 0) {
      if (offset + length > code.length || length === 0) return 'lying';
      const compression = compressionAt(code, offset);
      return compression ? { compression, bytes: code.subarray(offset, offset + length) } : undefined;
    }
  }
  const offset = findGzip(code);
  return offset < 0 ? undefined : { compression: 'gzip', bytes: code.subarray(offset) };
}

function unpackGzip(payload: Uint8Array, name: string): Uint8Array {
  let vmlinux: Uint8Array;
  try {
    vmlinux = gunzipSync(payload, { maxOutputLength: MOST_UNPACKED_BYTES, finishFlush: constants.Z_FINISH });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw new UserError(
      code === 'ERR_BUFFER_TOO_LARGE'
        ? `Kernel ${name} cannot be loaded: its payload unpacks to more than ${mebibytes(MOST_UNPACKED_BYTES)} MiB.`
        : `Kernel ${name} cannot be loaded: its compressed payload is damaged (${(error as Error).message}).`,
    );
  }
  if (!isElf(vmlinux))
    throw new UserError(`Kernel ${name} cannot be loaded: its payload is not an ELF kernel.`);
  return vmlinux;
}

/**
 * A Linux kernel built with CONFIG_LGUEST_GUEST names its clock, its irq chip and its pv_info "lguest". Other guests
 * than Linux are taken as they are.
 */
export function checkLguestSupport(image: Uint8Array, name: string): void {
  const bytes = Buffer.from(image.buffer, image.byteOffset, image.byteLength);
  if (!bytes.includes('Linux version ') || bytes.includes('\0lguest\0')) return;
  if (isElf(image) && image[4] === 2) return; // loadElf has the better sentence for 64-bit kernels
  throw new UserError(`Kernel ${name} has no lguest support: it was built without CONFIG_LGUEST_GUEST.`);
}

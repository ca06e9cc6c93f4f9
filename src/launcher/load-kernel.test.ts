import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { UserError } from './errors.js';
import { loadKernel } from './load-kernel.js';
import { elf } from './testing/small-elf.js';

const RAM = 64 << 20;
const BANNER = 'Linux version 3.10.0 (someone@somewhere)\0';
const LGUEST = '\0lguest\0';

/** A bzImage with one setup sector besides the boot sector. */
function bzImage(
  payload: Uint8Array,
  { version = 0x20c, payloadOffset = 16, changes = (_: DataView): void => {} } = {},
): Uint8Array {
  const code = new Uint8Array(16 + payload.length);
  code.set(payload, 16);
  const file = new Uint8Array(1024 + code.length);
  const view = new DataView(file.buffer);
  file[0x1f1] = 1;
  view.setUint32(0x1f4, Math.ceil(code.length / 16), true);
  view.setUint16(0x1fe, 0xaa55, true);
  file.set(Buffer.from('HdrS'), 0x202);
  view.setUint16(0x206, version, true);
  file[0x211] = 1;
  view.setUint32(0x214, 0x100000, true);
  if (version >= 0x208) {
    view.setUint32(0x248, payloadOffset, true);
    view.setUint32(0x24c, payload.length, true);
  }
  view.setUint32(0x258, 0x1000000, true);
  view.setUint32(0x260, 0x800000, true);
  file.set(code, 1024);
  changes(view);
  return file;
}

const linux = (lguest = true): Uint8Array => elf(Buffer.from(`code ${BANNER}more${lguest ? LGUEST : ''}end`));
const zip = (data: Uint8Array): Uint8Array => gzipSync(data);
const load = (file: Uint8Array, unpack: 'host' | 'guest' = 'host', ram = RAM) =>
  loadKernel(file, 'k', ram, unpack);

describe('kernels that load', () => {
  test('an ELF file goes to its physical addresses', () => {
    const image = load(linux());
    expect(image.format).toBe('ELF');
    expect(image.segments).toHaveLength(1);
    expect(image.segments[0]).toMatchObject({ address: 0x100000 });
    expect(image.entry).toBe(0x100010);
    expect(image.end).toBe(0x100000 + image.segments[0]!.memoryBytes);
  });

  test('a virtual entry address becomes physical', () => {
    expect(load(elf(new Uint8Array(99), (v) => v.setUint32(24, 0xc0100020, true))).entry).toBe(0x100020);
  });

  test('a guest that is not Linux needs no support to be announced', () => {
    expect(load(elf(Buffer.from('own guest'))).format).toBe('ELF');
  });

  test('a gzip payload is unpacked on the host; bytes behind the ELF file are ignored', () => {
    const image = load(bzImage(zip(Buffer.concat([linux(), Buffer.alloc(4000)]))));
    expect(image).toMatchObject({ format: 'bzImage', entry: 0x100010 });
    expect(image.note).toMatch(/unpacked on the host/);
  });

  test('boot protocol 2.07 has no payload fields: the gzip magic is searched', () => {
    expect(load(bzImage(zip(linux()), { version: 0x207 })).entry).toBe(0x100010);
  });

  test('in-guest unpacking puts the protected-mode part at 1 MiB', () => {
    const file = bzImage(zip(linux()));
    const image = load(file, 'guest');
    expect(image.entry).toBe(0x100000);
    expect(image.segments[0]!.bytes).toEqual(file.subarray(1024));
    expect(image.end).toBe(0x1800000);
  });

  test('what the guest is to unpack by itself is told apart from what it need not', () => {
    const payload = zip(linux());
    expect(load(bzImage(payload), 'guest').gzipBytes).toBe(payload.length);
    expect(load(bzImage(payload)).gzipBytes).toBe(0);
  });

  test('payloads we cannot unpack are left to the guest', () => {
    const xz = Uint8Array.of(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 1, 2, 3);
    expect(load(bzImage(xz))).toMatchObject({ entry: 0x100000 });
  });
});

describe('kernels that do not load', () => {
  const big = (field: number, value: number) =>
    elf(new Uint8Array(64), (v) => v.setUint32(field, value, true));
  const cases: [string, Uint8Array, RegExp][] = [
    ['empty', new Uint8Array(0), /is empty/],
    ['text', Buffer.from('#!/bin/sh\n'), /neither an ELF file nor a bzImage/],
    ['gzip', zip(linux()), /gzip file/],
    ['short ELF', linux().subarray(0, 40), /ends inside its ELF header/],
    ['64-bit', elf(new Uint8Array(9), (v) => v.setUint8(4, 2)), /64-bit/],
    ['big-endian', elf(new Uint8Array(9), (v) => v.setUint8(5, 2)), /little-endian/],
    ['ARM', elf(new Uint8Array(9), (v) => v.setUint16(18, 40, true)), /for ARM/],
    ['shared object', elf(new Uint8Array(9), (v) => v.setUint16(16, 3, true)), /not an executable/],
    ['header table beyond the file', big(28, 0xfffffff0), /program headers lie beyond/],
    ['segment beyond the file', big(52 + 4, 0xfffffff0), /lies beyond the end of the file/],
    ['file size beyond memory size', big(52 + 20, 1), /more bytes in the file/],
    ['segment beyond memory', big(52 + 12, 0xfffffff0), /the guest has 64 MiB/],
    ['segment over the boot parameters', big(52 + 12, 0x1000), /boot parameters/],
    ['entry outside', big(24, 0x42), /entry 0x42 is outside/],
    ['no segments', big(52, 4), /nothing in it is to be loaded/],
    ['no headers', elf(new Uint8Array(9), (v) => v.setUint16(44, 0, true)), /no program headers/],
    ['ELF without lguest', linux(false), /CONFIG_LGUEST_GUEST/],
    ['bzImage without lguest', bzImage(zip(linux(false))), /CONFIG_LGUEST_GUEST/],
    [
      'old protocol',
      bzImage(zip(linux()), { version: 0x206 }),
      /2\.06 is older than 2\.07.*CONFIG_LGUEST_GUEST/,
    ],
    ['zImage', bzImage(zip(linux()), { changes: (v) => v.setUint8(0x211, 0) }), /zImage/],
    ['cut short', bzImage(zip(linux())).subarray(0, 1060), /cut short/],
    ['setup only', bzImage(zip(linux())).subarray(0, 1024), /ends before its protected-mode code/],
    [
      'payload beyond the file',
      bzImage(zip(linux()), { payloadOffset: 0xfffffff0 }),
      /beyond the end of the file/,
    ],
    ['damaged payload', bzImage(zip(linux()).fill(0x55, 12, 30)), /damaged/],
    ['payload of text', bzImage(zip(Buffer.from('text'))), /not an ELF kernel/],
  ];
  test.each(cases)('%s', (_, file, message) => {
    expect(() => load(file)).toThrow(UserError);
    expect(() => load(file)).toThrow(message);
  });

  test('code32_start outside the code', () => {
    const file = bzImage(zip(linux()), { changes: (v) => v.setUint32(0x214, 0x1000, true) });
    expect(() => load(file, 'guest')).toThrow(/starts at 0x1000, outside its code/);
  });

  test('too little memory to unpack', () => {
    expect(() => load(bzImage(zip(linux())), 'guest', 16 << 20)).toThrow(
      /needs 24 MiB, and the guest has 16 MiB/,
    );
  });

  test('mutated files give an image inside memory or a UserError', () => {
    const originals = [linux(), bzImage(zip(linux())), bzImage(zip(linux()), { version: 0x207 })];
    let loaded = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(...originals),
        fc.array(
          fc.record({
            at: fc.oneof(fc.nat(100), fc.integer({ min: 0x1f0, max: 0x270 }), fc.nat(2000)),
            value: fc.oneof(fc.constantFrom(0, 0xff, 0x7f, 0x80), fc.nat(255)),
          }),
          { maxLength: 6 },
        ),
        fc.oneof(fc.constant(1e9), fc.nat(1500)),
        fc.constantFrom('host' as const, 'guest' as const),
        (original, changes, length, unpack) => {
          const file = original.slice(0, length);
          for (const { at, value } of changes) if (at < file.length) file[at] = value;
          try {
            const image = load(file, unpack);
            loaded++;
            expect(image.entry).toBeLessThan(RAM);
            for (const { address, bytes, memoryBytes } of image.segments) {
              expect(bytes.length).toBeLessThanOrEqual(memoryBytes);
              expect(address).toBeGreaterThanOrEqual(0x2000);
              expect(address + memoryBytes).toBeLessThanOrEqual(RAM);
            }
          } catch (error) {
            expect(error).toBeInstanceOf(UserError);
            expect((error as Error).message).toMatch(/^Kernel k .*\.$/s);
          }
        },
      ),
      { numRuns: 2000 },
    );
    expect(loaded).toBeGreaterThan(20);
  });
});

import { bootParameters } from './boot-params.js';
import { UserError } from './errors.js';
import { placeInitrd } from './initrd.js';

/** Bytes that are not zero, as offset: value. */
function nonZero(pages: Uint8Array): Record<string, number> {
  const result: Record<string, number> = {};
  pages.forEach((value, at) => {
    if (value) result[at.toString(16)] = value;
  });
  return result;
}

describe('boot parameters', () => {
  test('exactly the documented fields are filled', () => {
    const pages = bootParameters({ ramBytes: 64 << 20, commandLine: 'ab' });
    expect(nonZero(pages)).toEqual({
      '1e8': 1, // e820_entries
      '206': 0x07, // version 2.07
      '207': 0x02,
      '211': 0x40, // KEEP_SEGMENTS
      '229': 0x10, // cmd_line_ptr 0x1000
      '233': 0x01, // kernel_alignment 16 MiB
      '23c': 1, // hardware_subarch
      '2db': 0x04, // e820[0].size 64 MiB
      '2e0': 1, // RAM
      '1000': 0x61,
      '1001': 0x62,
    });
  });

  test('an initrd is named with its rounded size', () => {
    const initrd = placeInitrd(5000, 'i', 64 << 20, 0x200000);
    expect(initrd).toEqual({ address: (64 << 20) - 8192, bytes: 8192 });
    const view = new DataView(bootParameters({ ramBytes: 64 << 20, commandLine: '', initrd }).buffer);
    expect(view.getUint32(0x218, true)).toBe(initrd.address);
    expect(view.getUint32(0x21c, true)).toBe(8192);
    expect(view.getUint8(0x210)).toBe(0xff);
  });

  test('what does not fit is the user’s error', () => {
    expect(() => bootParameters({ ramBytes: 1 << 22, commandLine: 'x'.repeat(2048) })).toThrow(UserError);
    expect(() => bootParameters({ ramBytes: 1 << 22, commandLine: 'a\0b' })).toThrow(/NUL/);
    expect(() => placeInitrd(0, 'i', 1 << 22, 0)).toThrow(/is empty/);
    expect(() => placeInitrd(3 << 20, 'i', 4 << 20, (1 << 20) + 1)).toThrow(
      /too big.*needs 5 MiB.*has 4 MiB/,
    );
    expect(() => placeInitrd(5 << 20, 'i', 4 << 20, 0)).toThrow(/too big/);
  });
});

/** Kernels of a few bytes, for tests. */

/** A small ELF32 executable with one segment at 1 MiB, entered 16 bytes behind that, with 1000 bytes of zeroed memory behind it. */
export function elf(content: Uint8Array, changes: (view: DataView) => void = () => {}): Uint8Array {
  const file = new Uint8Array(84 + content.length);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 3, true);
  view.setUint32(20, 1, true);
  view.setUint32(24, 0x100010, true);
  view.setUint32(28, 52, true);
  view.setUint16(40, 52, true);
  view.setUint16(42, 32, true);
  view.setUint16(44, 1, true);
  const header = [1, 84, 0xc0100000, 0x100000, content.length, content.length + 1000, 7, 4096];
  header.forEach((value, i) => view.setUint32(52 + 4 * i, value, true));
  file.set(content, 84);
  changes(view);
  return file;
}

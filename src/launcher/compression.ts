/** How kernels and initial RAM disks are compressed. */
const COMPRESSIONS = {
  gzip: [0x1f, 0x8b, 0x08],
  bzip2: [0x42, 0x5a, 0x68],
  lzma: [0x5d, 0x00, 0x00],
  xz: [0xfd, 0x37, 0x7a, 0x58, 0x5a],
  lzo: [0x89, 0x4c, 0x5a, 0x4f],
  lz4: [0x02, 0x21, 0x4c, 0x18],
} as const;
export type Compression = keyof typeof COMPRESSIONS;

/** The compression whose first bytes stand at `offset`; undefined if it is none that kernels know. */
export function compressionAt(bytes: Uint8Array, offset: number): Compression | undefined {
  const names = Object.keys(COMPRESSIONS) as Compression[];
  return names.find((name) => COMPRESSIONS[name].every((byte, i) => bytes[offset + i] === byte));
}

/** Where gzip data may begin in `bytes`; -1 if nowhere. */
export function findGzip(bytes: Uint8Array): number {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf(
    Uint8Array.from(COMPRESSIONS.gzip),
  );
}

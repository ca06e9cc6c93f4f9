/** The WebAssembly binary format, as far as finished modules are looked at or added to. */

export const HEADER_BYTES = 8;
/** Section numbers. */
export const SECTION = { custom: 0, export: 7, code: 10 } as const;

const encoder = new TextEncoder();

/** Reads unsigned LEB128 numbers and names. */
export class Reader {
  constructor(
    readonly bytes: Uint8Array,
    public at: number,
  ) {}
  byte(): number {
    return this.bytes[this.at++]!;
  }
  u32(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
  }
  name(): string {
    const length = this.u32();
    const from = this.at;
    this.at += length;
    return String.fromCharCode(...this.bytes.subarray(from, this.at));
  }
}

export function leb(value: number): number[] {
  const out: number[] = [];
  for (; value >= 0x80; value >>>= 7) out.push((value & 0x7f) | 0x80);
  return [...out, value];
}

/** A name as the format has it: its length, then its bytes. */
export function named(text: string): number[] {
  const bytes = encoder.encode(text);
  return [...leb(bytes.length), ...bytes];
}

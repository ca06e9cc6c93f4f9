/** Guest-physical memory as the Host and the devices see it: every address checked, every write told to the code cache. */

/** A guest-physical address outside RAM and device pages. */
export class BadPhysicalAddress extends Error {
  constructor(
    readonly address: number,
    readonly length: number,
  ) {
    super(
      `guest-physical address 0x${(address >>> 0).toString(16)} (${length} bytes) is outside guest memory`,
    );
  }
}

/** What devices may use of guest memory. */
export interface GuestMemory {
  /** Bytes of guest RAM, a multiple of 4096. */
  readonly ramBytes: number;
  /** RAM and the device pages above it that the guest may map, in bytes. */
  readonly limitBytes: number;
  /** True if [address, address + length) lies below `limitBytes`; safe for any numbers. */
  contains(address: number, length: number): boolean;
  // Little-endian scalars, any alignment. Throw `BadPhysicalAddress`.
  read8(address: number): number;
  read16(address: number): number;
  read32(address: number): number;
  write8(address: number, value: number): void;
  write16(address: number, value: number): void;
  write32(address: number, value: number): void;
  /** A view of guest memory to read from at once (do not keep it). Throws `BadPhysicalAddress`. */
  view(address: number, length: number): Uint8Array;
  /** Copies bytes into guest memory. Throws `BadPhysicalAddress`. */
  write(address: number, bytes: Uint8Array): void;
  /** A view to fill at once, for device input; the caller calls `written` for what it filled. Throws `BadPhysicalAddress`. */
  writable(address: number, length: number): Uint8Array;
  /** Tells the code cache that bytes were changed through `writable`. */
  written(address: number, length: number): void;
}

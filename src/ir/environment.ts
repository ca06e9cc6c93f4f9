/**
 * What executing IR asks of the machine around it; implemented by the runtime, and by test fixtures.
 * Addresses are uint32. Values to store are given as int32, of narrow stores only the low bits, zero-extended.
 */
export interface Environment {
  /** Control memory: CPU state at 0, then tables. Little-endian. */
  readonly control: DataView;
  /**
   * Guest memory at a linear address, at the current privilege. `bytes` 1, 2, 4 or 8 (8: bigint, else number,
   * zero-extended). Throws `GuestFault`; a store across two pages checks both before it writes.
   */
  load(address: number, bytes: 1 | 2 | 4, forWrite: boolean): number;
  load64(address: number, forWrite: boolean): bigint;
  store(address: number, bytes: 1 | 2 | 4, value: number): void;
  store64(address: number, value: bigint): void;
  /** Throws `GuestFault` unless the bytes can be written. */
  probe(address: number, bytes: number): void;
  /** Time-stamp counter after the given number of instructions executed in this run. */
  clock(): bigint;
  fuel(): number;
  charge(instructions: number): void;
  /** One instruction of a block of several is complete and the next one starts (not told of a block's last one). */
  completed?(): void;
  /** The ops of these names. Without them `span` answers 0. */
  span?(address: number, write: boolean): number;
  direct?(address: number, write: boolean): number;
}

/** An exception raised by a guest instruction (reference engine only; hot paths use status codes). */
export class GuestFault extends Error {
  constructor(
    readonly vector: number,
    readonly errorCode: number,
  ) {
    super(`exception ${vector}, error code ${errorCode}`);
  }
}

/** How a guest ends against its will. */

/** `0x` and lower-case hexadecimal digits of a 32-bit number. */
export function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`;
}

/**
 * The guest did something no lguest guest may do, or could not go on. `message` is one line that names the
 * reason and the eip.
 */
export class GuestDeath extends Error {
  /** What was wrong, without the place. */
  readonly reason: string;
  /** eip of the instruction that was to be executed, or that asked for it. */
  readonly eip: number;

  constructor(reason: string, eip: number) {
    super(`guest died at eip ${hex(eip)}: ${reason}`);
    this.name = 'GuestDeath';
    this.reason = reason;
    this.eip = eip >>> 0;
  }
}

/** Values that a user gives as text. */
import { MAX_RAM_BYTES } from '../runtime/machine-memory.js';
import { UserError } from './errors.js';

const MEBIBYTE = 0x100000;
export const LEAST_MEBIBYTES = 4;
export const MOST_MEBIBYTES = MAX_RAM_BYTES / MEBIBYTE;

/** Checks a memory size in MiB and returns it in bytes. Throws `UserError`. */
export function ramBytesOf(memoryMiB: number): number {
  if (!Number.isInteger(memoryMiB))
    throw new UserError(`Memory size ${memoryMiB} is not a whole number of MiB.`);
  if (memoryMiB < LEAST_MEBIBYTES)
    throw new UserError(
      `Memory of ${memoryMiB} MiB is too small: a guest needs at least ${LEAST_MEBIBYTES} MiB.`,
    );
  if (memoryMiB > MOST_MEBIBYTES)
    throw new UserError(
      `Memory of ${memoryMiB} MiB is too big: a guest can have at most ${MOST_MEBIBYTES} MiB.`,
    );
  return memoryMiB * MEBIBYTE;
}

/** The <mem-in-mb> argument. Throws `UserError`. */
export function parseMebibytes(text: string): number {
  if (!/^\d+$/.test(text)) throw new UserError(`Memory size "${text}" is not a number of MiB, such as 64.`);
  const value = Number(text);
  ramBytesOf(value);
  return value;
}

/** A seed: 0 .. 2^32 - 1. Throws `UserError`. */
export function parseSeed(text: string): number {
  const value = /^(\d+|0x[0-9a-f]+)$/i.test(text) ? Number(text) : NaN;
  if (!(value <= 0xffff_ffff)) throw new UserError(`Seed "${text}" is not a number from 0 to 4294967295.`);
  return value;
}

/** A date: seconds since 1970, or ISO 8601. The guest's clock has 32 bits of seconds. Throws `UserError`. */
export function parseTime(text: string): Date {
  const date = new Date(/^\d+$/.test(text) ? Number(text) * 1000 : text);
  const seconds = date.getTime() / 1000;
  if (!(seconds >= 0 && seconds <= 0xffff_ffff))
    throw new UserError(`Time "${text}" is not a date from 1970 to 2106, such as 2013-07-01T00:00:00Z.`);
  return date;
}

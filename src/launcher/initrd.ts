/** The initial RAM disk: whole pages at the top of RAM. */
import { UserError } from './errors.js';
import { mebibytes } from './load-elf.js';
import { PAGE } from '../frontend-x86/limits.js';

/**
 * Where an initrd of `fileBytes` bytes goes in a guest with `ramBytes` of RAM whose kernel ends at `kernelEnd`.
 * `bytes` is rounded up to whole pages, as the guest is told. Throws `UserError` if it is empty or does not fit.
 */
export function placeInitrd(
  fileBytes: number,
  name: string,
  ramBytes: number,
  kernelEnd: number,
): { address: number; bytes: number } {
  if (fileBytes === 0) throw new UserError(`Initrd ${name} is empty.`);
  const bytes = Math.ceil(fileBytes / PAGE) * PAGE;
  const address = ramBytes - bytes;
  if (address < kernelEnd)
    throw new UserError(
      `Initrd ${name} is too big: with the kernel it needs ${mebibytes(kernelEnd + bytes)} MiB, ` +
        `and the guest has ${mebibytes(ramBytes)} MiB.`,
    );
  return { address, bytes };
}

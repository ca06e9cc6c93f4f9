/** How long a guest takes to boot, so that nothing is translated that will not run any more when it comes. */
import { BOOT_INSTRUCTIONS } from '../runtime/tiers.js';
import { compressionAt } from './compression.js';
import type { KernelImage } from './load-elf.js';

/** Guest instructions per byte of gzip data: measured with Linux 3.10, 46 for its kernel, 55 and more for an initrd. */
const UNPACKING_A_BYTE = 50;

/** About how many guest instructions. Of other compressions than gzip nothing is known: they count as nothing. */
export function bootInstructions(kernel: KernelImage, initrd?: Uint8Array): number {
  const initrdBytes = initrd && compressionAt(initrd, 0) === 'gzip' ? initrd.length : 0;
  return BOOT_INSTRUCTIONS + (kernel.gzipBytes + initrdBytes) * UNPACKING_A_BYTE;
}

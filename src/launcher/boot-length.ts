/** How long a guest takes to boot, so that nothing is translated that will not run any more when it comes. */
import { BOOT_INSTRUCTIONS } from '../runtime/tiers.js';
import { compressionAt } from './compression.js';
import type { KernelImage } from './load-elf.js';

/** Guest instructions per byte of gzip data, what is done with the bytes included: as measured with Linux 3.10. */
const UNPACKING_A_BYTE = { kernel: 46, initrd: 60 };

/** About how many guest instructions. Of other compressions than gzip nothing is known: they count as nothing. */
export function bootInstructions(kernel: KernelImage, initrd?: Uint8Array): number {
  const initrdBytes = initrd && compressionAt(initrd, 0) === 'gzip' ? initrd.length : 0;
  return (
    BOOT_INSTRUCTIONS + kernel.gzipBytes * UNPACKING_A_BYTE.kernel + initrdBytes * UNPACKING_A_BYTE.initrd
  );
}

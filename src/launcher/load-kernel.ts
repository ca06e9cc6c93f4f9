/** Which loader a kernel file needs. */
import { UserError } from './errors.js';
import { checkLguestSupport, isBzImage, loadBzImage, type Unpack } from './load-bzimage.js';
import { isElf, loadElf, type KernelImage } from './load-elf.js';

/** Recognises and reads a kernel. `name` is used in messages. Throws `UserError`. */
export function loadKernel(file: Uint8Array, name: string, ramBytes: number, unpack: Unpack): KernelImage {
  if (file.length === 0) throw new UserError(`Kernel ${name} cannot be loaded: the file is empty.`);
  if (isBzImage(file)) return loadBzImage(file, name, ramBytes, unpack);
  if (isElf(file)) {
    const image = loadElf(file, name, ramBytes);
    checkLguestSupport(file, name);
    return image;
  }
  if (file[0] === 0x1f && file[1] === 0x8b)
    throw new UserError(`Kernel ${name} cannot be loaded: it is a gzip file; unpack it first (gunzip).`);
  throw new UserError(`Kernel ${name} cannot be loaded: it is neither an ELF file nor a bzImage.`);
}

/** Files of the package's build that are there whole or not at all. */
import { renameSync, writeFileSync } from 'node:fs';

/** Name of a file while it is written. */
export function unfinished(path: string): string {
  return `${path}.new`;
}

/** Writes a file, or leaves what there was. Throws what `node:fs` throws. */
export function writeWhole(path: string, contents: string | Uint8Array): void {
  writeFileSync(unfinished(path), contents);
  renameSync(unfinished(path), path);
}

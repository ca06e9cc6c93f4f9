/** Files that are there whole or not at all. */
import { randomBytes } from 'node:crypto';
import { renameSync, rmSync, writeFileSync } from 'node:fs';

/** What the name of an unfinished file has behind that of the whole one. */
export const UNFINISHED = '[.][0-9a-f]{16}';

/** Writes a file, or leaves what there was. `mode`: as of `open(2)`. Throws what `node:fs` throws. */
export function writeWhole(path: string, contents: string | Uint8Array, mode = 0o666): void {
  const unfinished = `${path}.${randomBytes(8).toString('hex')}`;
  try {
    writeFileSync(unfinished, contents, { mode, flag: 'wx' });
    renameSync(unfinished, path);
  } catch (error) {
    rmSync(unfinished, { force: true });
    throw error;
  }
}

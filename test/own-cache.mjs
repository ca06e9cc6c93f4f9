/** The commands that tests run keep translations in a directory of their own, and not where the user's are. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export default function setUp() {
  const directory = mkdtempSync(join(tmpdir(), 'lguest-test-cache-'));
  process.env['XDG_CACHE_HOME'] = directory;
  process.on('exit', () => rmSync(directory, { recursive: true, force: true }));
}

/**
 * Bundles the command, and launches the default guest's whole test programme with it to keep what V8 compiles meanwhile:
 * dist/lguest.js. All in a process of its own, whose input and output are nobody's.
 */
import { spawnSync } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import worker from 'node:worker_threads';
import { packageRoot } from '../src/runtime/load-interpreter.js';
import { bundled, started, writeBundle } from './bundle.js';

const DIST = join(packageRoot(), 'dist');
const BUNDLE = join(DIST, 'lguest.js');
const GUEST = join(packageRoot(), 'test/roms/default/default.elf');
/** First argument of that process. */
const LAUNCH = 'launch';

/** Instead of the translator, which would set flags that V8 refuses compiled code for. It never answers. */
class SilentWorker extends EventEmitter {
  unref(): void {
    // There is no thread.
  }
}

async function launch(): Promise<void> {
  const source = await bundled(join(DIST, 'src/launcher/command.js'));
  process.argv.splice(2, Infinity, '--no-cache', '16', GUEST, 'run=test;poweroff');
  const compiledSoFar = started(source, BUNDLE, {
    'node:worker_threads': { ...worker, Worker: SilentWorker },
  });
  // The command ends the process.
  process.on('exit', (status) => {
    if (status === 0) process.stderr.write(`command: ${writeBundle(BUNDLE, source, compiledSoFar())}\n`);
  });
}

if (process.argv[2] === LAUNCH) await launch();
else {
  const args = [fileURLToPath(import.meta.url), LAUNCH];
  const { status } = spawnSync(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  process.exitCode = status ?? 1;
}

/** Where a guest's translations are kept from run to run: a file for each kernel and size of memory. */
import { accessSync, constants, statSync } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import type { Engine } from '../runtime/engine.js';
import { hostMilliseconds } from '../runtime/host-time.js';
import { makeDirectory, storeName } from '../runtime/translation-store.js';
import { describeFileError, UserError } from './errors.js';

const NAME = 'lguest-jit';
/** So much of a kernel tells it from others; its code is compared anyway. */
const HEAD_BYTES = 64 * 1024;

/** The user's directory for such things (XDG Base Directory Specification); undefined if there is none. */
export function defaultCacheDirectory(env: NodeJS.ProcessEnv): string | undefined {
  const { XDG_CACHE_HOME: given = '', HOME: home = '' } = env;
  if (isAbsolute(given)) return join(given, NAME);
  return isAbsolute(home) ? join(home, '.cache', NAME) : undefined;
}

/**
 * The directory for what the user said: a name, which is made; false for none; undefined for the default one. Throws
 * `UserError` if the one that was named cannot be used.
 */
export function cacheDirectoryFor(cache: string | false | undefined): string | undefined {
  if (cache === false) return undefined;
  if (cache === undefined) return defaultCacheDirectory(process.env);
  if (cache === '') throw new UserError('--cache needs the name of a directory.');
  try {
    makeDirectory(cache);
    if (!statSync(cache).isDirectory()) throw new UserError(`Cache directory ${cache} is no directory.`);
    accessSync(cache, constants.W_OK | constants.X_OK);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`Cache directory ${cache} cannot be used: ${describeFileError(error)}.`);
  }
  return cache;
}

/** Restarts sooner than this after one that kept translations keep none: a guest that does nothing else makes the host write. */
const KEEPING_MILLISECONDS = 60_000;

/** When a machine keeps its translations. */
export class TranslationKeeper {
  /** A bug of ours has shown: what was running then is not to run again. */
  failed = false;
  private last = -Infinity;

  constructor(private readonly log: ((line: string) => void) | undefined) {}

  atRestart(engine: Engine): void {
    const now = hostMilliseconds();
    if (now - this.last < KEEPING_MILLISECONDS) return;
    this.last = now;
    this.atEnd(engine);
  }

  atEnd(engine: Engine): void {
    if (this.failed) return;
    for (const line of engine.keep?.() ?? []) this.log?.(line);
  }
}

/** The file for a kernel. */
export function translationFile(directory: string, kernelFile: Uint8Array, ramBytes: number): string {
  const head = kernelFile.subarray(0, HEAD_BYTES);
  return join(directory, storeName([head, String(kernelFile.length), String(ramBytes)]));
}

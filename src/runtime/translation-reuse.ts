/**
 * Translations that were made before, by what they were made from: code that comes back (a page that was written and
 * written back, a guest that restarts) gets the module that V8 has already compiled.
 */
import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Translation, TranslationRequest } from './translator.js';

/** Bounds. */
export const REUSE_LIMITS = { translations: 2000, wasmBytes: 16 * 1024 * 1024 } as const;

/** A translation and its module. */
export interface Made {
  readonly translation: Translation;
  readonly module: WebAssembly.Module;
}

/** All that a translation depends on, as a short string: the same requests, and only they, have the same. */
export function contentKey(request: TranslationRequest): string {
  const { leaders, entries, missing = [], name, optimized = false, dataTlb, pages } = request;
  const hash = createHash('sha256');
  hash.update(JSON.stringify([name, optimized, dataTlb, leaders, entries, missing, [...pages.keys()]]));
  for (const bytes of pages.values()) hash.update(bytes);
  return hash.digest('base64');
}

export class TranslationReuse {
  private readonly made = new LRUCache<string, Made>({
    max: REUSE_LIMITS.translations,
    maxSize: REUSE_LIMITS.wasmBytes,
    sizeCalculation: ({ translation }) => translation.wasm.length,
  });

  /** Requests are asked about as they come, and again when something has been made of them. */
  private readonly keys = new WeakMap<TranslationRequest, string>();

  private keyOf(request: TranslationRequest): string {
    const known = this.keys.get(request);
    if (known !== undefined) return known;
    const key = contentKey(request);
    this.keys.set(request, key);
    return key;
  }

  /** What was made from such a request; undefined if nothing was. */
  find(request: TranslationRequest): Made | undefined {
    return this.made.get(this.keyOf(request));
  }

  /** Keeps what was made from a request. */
  add(request: TranslationRequest, made: Made): void {
    this.made.set(this.keyOf(request), made);
  }
}

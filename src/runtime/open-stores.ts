/** The worker's side of stored translations: reads them, and compiles them when they are wanted, or before. */
import { LRUCache } from 'lru-cache';
import type { DataTlb } from '../backend-wasm/data-tlb.js';
import { fromMachineCode, hasMachineCode } from './machine-code.js';
import { outlineOf, type StoredOutline } from './stored-regions.js';
import { readStore, type StoredRegion } from './translation-store.js';
import type { Made } from './translation-reuse.js';
import type { Translation } from './translator.js';

/** Put into the worker's script when it is built: what it, Binaryen and the interpreter are, as a digest. */
declare const LGUEST_BUILD: string | undefined;
/** Modules that run as they were compiled, one by one, cannot tell which translator they are. */
const BUILD = typeof LGUEST_BUILD === 'undefined' ? undefined : LGUEST_BUILD;

/** Stores that are open at a time: machines of one process have one for each kernel. */
const MOST_STORES = 4;

/** An open store. What is written into it has to have its version. */
export interface OpenedStore {
  readonly version: string;
  readonly regions: readonly StoredOutline[];
  /** Why there is nothing in it, if it is there. */
  readonly problem?: string | undefined;
}

/** A translation of a store, compiled. */
export interface KeptMade extends Made {
  /** V8 had no use for the machine code that was kept of it, or none was: now there is some to keep. */
  readonly compiledAnew: boolean;
}

/** One of them, by its number. */
interface Stored {
  readonly translation: Translation;
  machineCode: Uint8Array | undefined;
  made?: KeptMade;
}

export class OpenStores {
  private readonly stores = new LRUCache<string, ReadonlyMap<number, Stored>>({ max: MOST_STORES });
  private next = 0;
  /** What to compile while there is nothing else to do, the last first: that is what was installed first. */
  private ahead: Stored[] = [];

  constructor(private readonly build: string | undefined = BUILD) {}

  /** Reads a store, again if it was open. Where translations cannot be told from those of other builds there is none. */
  open(path: string, dataTlb: DataTlb): OpenedStore | undefined {
    if (this.build === undefined) return undefined;
    const { version: node, versions, platform, arch } = process;
    const version = [this.build, node, versions.v8, platform, arch, ...Object.values(dataTlb)].join();
    const { regions, problem } = readStore(path, version);
    try {
      return { version, regions: this.take(path, regions), problem };
    } catch (error) {
      return { version, regions: [], problem: (error as Error).message };
    }
  }

  private take(path: string, regions: readonly StoredRegion[]): StoredOutline[] {
    const stored = new Map<number, Stored>();
    const outlines = regions.map((region) => {
      const number = this.next++;
      // What was read is views of one buffer, all of which would go along when one of them is sent, and stay while one of them does.
      const wasm = region.translation.wasm.slice();
      const code = new Map([...region.code].map(([delta, bytes]) => [delta, bytes.slice()]));
      const machineCode = region.machineCode?.slice();
      stored.set(number, { translation: { ...region.translation, wasm }, machineCode });
      return outlineOf({ ...region, code }, number);
    });
    this.stores.set(path, stored);
    const all = [...stored.values()];
    this.ahead = all.filter((_, i) => regions[i]!.unusedRuns === 0);
    return outlines;
  }

  /** Whether no store has anything. */
  get isEmpty(): boolean {
    return [...this.stores.values()].every((store) => store.size === 0);
  }

  private find(number: number): Stored | undefined {
    for (const store of this.stores.values()) {
      const stored = store.get(number);
      if (stored) return stored;
    }
    return undefined;
  }

  /** The translation with a number, compiled; undefined if its store was read again since, or is not open any more. */
  get(number: number): KeptMade | undefined {
    const stored = this.find(number);
    return stored && madeOf(stored);
  }

  /** Compiles another translation of those that the last run had. False if there is none left. */
  compileNext(): boolean {
    const next = this.ahead.pop();
    if (next) madeOf(next);
    return next !== undefined;
  }
}

function madeOf(stored: Stored): KeptMade {
  if (stored.made) return stored.made;
  const { translation } = stored;
  const module = fromMachineCode(translation.wasm, stored.machineCode);
  // That is in the module now.
  stored.machineCode = undefined;
  return (stored.made = {
    translation,
    module: module ?? new WebAssembly.Module(translation.wasm as BufferSource),
    compiledAnew: module === undefined && hasMachineCode(),
  });
}

/** Makes the engine of a machine. */
import type { Engine } from './engine.js';
import type { EngineKind } from './engine-kind.js';
import { InterpreterEngine } from './interpreter-engine.js';
import { loadInterpreter } from './load-interpreter.js';
import type { TierOptions } from './tiers.js';

export { ENGINE_KINDS, type EngineKind } from './engine-kind.js';

export interface EngineOptions extends TierOptions {
  /** Bytes of guest RAM: 4096 .. 2 GiB, a multiple of 4096. */
  readonly ramBytes: number;
  /** 4-KiB device pages above RAM. */
  readonly devicePages: number;
  /** Default `interp`. */
  readonly kind?: EngineKind;
}

let makeReferenceEngine: ((options: EngineOptions) => Engine) | undefined;

/** `offer-reference-engine.ts` says how the engine is made whose modules not every program loads. */
export function offerReferenceEngine(make: (options: EngineOptions) => Engine): void {
  makeReferenceEngine = make;
}

/** Throws `Error` for a reference engine that the program does not offer, and if the package was not built. */
export function createEngine({ kind = 'interp', ...options }: EngineOptions): Engine {
  if (kind === 'reference') {
    if (!makeReferenceEngine)
      throw new Error('the reference engine is not loaded: see offer-reference-engine.ts');
    return makeReferenceEngine(options);
  }
  return new InterpreterEngine({ ...options, interpreter: loadInterpreter(), tiers: kind });
}

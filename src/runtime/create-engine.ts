/** Makes the engine of a machine. */
import type { Engine } from './engine.js';
import { InterpreterEngine, type TierOptions, type Tiers } from './interpreter-engine.js';
import { loadInterpreter } from './load-interpreter.js';
import { ReferenceEngine } from './reference-engine.js';

export type EngineKind = Tiers | 'reference';

/** All of them, for those who let a user choose. */
export const ENGINE_KINDS: readonly EngineKind[] = ['interp', 'jit', 'auto', 'reference'];

export interface EngineOptions extends TierOptions {
  /** Bytes of guest RAM: 4096 .. 2 GiB, a multiple of 4096. */
  readonly ramBytes: number;
  /** 4-KiB device pages above RAM. */
  readonly devicePages: number;
  /** Default `interp`. */
  readonly kind?: EngineKind;
}

export function createEngine({ kind = 'interp', ...options }: EngineOptions): Engine {
  const { ramBytes, devicePages } = options;
  if (kind === 'reference') return new ReferenceEngine({ ramBytes, devicePages });
  return new InterpreterEngine({ ...options, interpreter: loadInterpreter(), tiers: kind });
}

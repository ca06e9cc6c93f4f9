/** Makes the engine of a machine. */
import type { Engine } from './engine.js';
import type { EngineKind } from './engine-kind.js';
import { InterpreterEngine } from './interpreter-engine.js';
import { loadInterpreter } from './load-interpreter.js';
import { ReferenceEngine } from './reference-engine.js';
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

export function createEngine({ kind = 'interp', ...options }: EngineOptions): Engine {
  const { ramBytes, devicePages } = options;
  if (kind === 'reference') return new ReferenceEngine({ ramBytes, devicePages });
  return new InterpreterEngine({ ...options, interpreter: loadInterpreter(), tiers: kind });
}

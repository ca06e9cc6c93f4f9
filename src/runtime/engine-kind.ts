/** The kinds of engines there are. */
import type { Tiers } from './tiers.js';

export type EngineKind = Tiers | 'reference';

/** All of them, for those who let a user choose. */
export const ENGINE_KINDS: readonly EngineKind[] = ['interp', 'jit', 'auto', 'reference'];

/** What a guest runs on unless somebody wants otherwise. */
export const DEFAULT_ENGINE: EngineKind = 'auto';

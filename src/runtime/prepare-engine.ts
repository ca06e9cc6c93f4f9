/** What can begin before there is an engine. Imports little, so that it begins early. */
import { SHARED_TRANSLATOR } from './background.js';
import type { EngineKind } from './engine-kind.js';

/**
 * Starts the worker if an engine of this kind waits for it at its first block: it loads while the rest of the program and
 * the kernel do. (`auto` starts it later: see `beginOfTranslation`.)
 */
export function prepareEngine(kind: EngineKind): void {
  if (kind !== 'jit') return;
  SHARED_TRANSLATOR.prepare();
}

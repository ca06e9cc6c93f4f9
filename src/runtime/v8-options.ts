/** What generated code wants of V8. */
import { setFlagsFromString } from 'node:v8';

/** V8 up to this version knows branch hints, but wants to be told to heed them. */
const LAST_WITH_FLAG = 12;

/** Lets V8 heed the branch hints of modules that are compiled from now on (see `backend-wasm/branch-hints.ts`). */
export function heedBranchHints(): void {
  const version = Number(process.versions.v8.split('.')[0]);
  if (version <= LAST_WITH_FLAG) setFlagsFromString('--experimental-wasm-branch-hinting');
}

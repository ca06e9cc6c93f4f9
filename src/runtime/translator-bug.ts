/** An error of ours in translated code, or in making it: never the guest's. Carries what a report needs. */
import type { Engine } from './engine.js';
import type { RegionOrigin, TranslationRequest } from './translator.js';

/** When it showed. */
export type BugStage = 'translating' | 'installing' | 'running';

/** A region under suspicion. */
export interface SuspectRegion {
  readonly origin: RegionOrigin;
  /** What it is made from: the very bytes, or those that its pages hold now. */
  readonly request: TranslationRequest;
}

/** An error's name, message and stack, from whichever thread. */
export type ErrorFacts = Pick<Error, 'name' | 'message' | 'stack'>;

export class TranslatorBug extends Error {
  override name = 'TranslatorBug';
  /** `regions`: innermost first; none if the interpreter itself trapped. */
  constructor(
    readonly stage: BugStage,
    override readonly cause: ErrorFacts,
    readonly regions: readonly SuspectRegion[],
    /** Its state is that of when the region was entered, or later. */
    readonly engine: Engine,
  ) {
    const where = regions.length > 0 ? regions[0]!.origin.name : 'the interpreter';
    super(`${cause.name} while ${stage} ${where}: ${cause.message}`);
  }
}

/** What is known of anything thrown, as plain data. */
export function errorFacts(error: unknown): ErrorFacts {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) };
  const { name, message, stack } = error;
  return { name, message, ...(stack !== undefined && { stack }) };
}

/** Names of the translated functions on a stack, innermost first. */
export function regionsOnStack(stack = ''): string[] {
  return [...stack.matchAll(/at (guest:\S+) \(wasm:/g)].map((match) => match[1]!);
}

/** What profilers and stack traces call the region whose hot block is at `eip`. */
export function regionName(eip: number, symbol: string | undefined): string {
  const address = (eip >>> 0).toString(16).padStart(8, '0');
  return symbol === undefined ? `guest:${address}` : `guest:${symbol}@${address}`;
}

/** Whether such a name has a symbol in it. */
export function isSymbolic(name: string): boolean {
  return name.includes('@');
}

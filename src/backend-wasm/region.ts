/**
 * Translates a region: hot blocks of a few guest pages, as one Wasm function
 *
 *     region(entry, data, delta) → one of RETURNS; EIP and FUEL are stored
 *
 * `entry` is the number of the entry to start at, `data` the address of the region's data (`entry-map.ts`), `delta` has
 * in its upper 20 bits the pages from the region's first page to the entry's page. General registers and status flags
 * live in locals; every way out stores them. A crossing into another page, and a jump to a computed place where there is
 * more than one, ask the execution TLB whether the page is still the one that was translated. Whoever calls has looked
 * that FUEL is enough for the entry's `need`.
 *
 * Nothing of a machine is in the code but what its data TLB is like, by the size of its memory: the same blocks give the same
 * bytes anywhere else.
 */
import { pageOf } from '../frontend-x86/discover.js';
import * as S from '../frontend-x86/cpu-state.js';
import { Emitter, type Expr, Locals } from './binaryen.js';
import type { DataTlb } from './data-tlb.js';
import { deltaBytes, indirectJump } from './entry-map.js';
import type { Signature, Traits } from './function-traits.js';
import * as L from './memory-layout.js';
import { countExit, RegionFlow } from './region-flow.js';
import * as R from './region-locals.js';
import { RETURNS } from './record.js';
import { type RegionBlock, unpackExit } from './region-target.js';

export type { RegionBlock } from './region-target.js';

export interface RegionPlan {
  readonly blocks: readonly RegionBlock[];
  /** Blocks (by number) that can be entered from outside. */
  readonly entries: readonly number[];
  /** Places of instructions that call for what the TLB does not have, instead of leaving. */
  readonly missing: ReadonlySet<number>;
  /** Of the machines that it can run on. */
  readonly dataTlb: DataTlb;
}

export interface RegionImage {
  readonly wasm: Uint8Array;
  /** By entry number: the place, and how much FUEL has to be left to enter there. */
  readonly entries: readonly { readonly place: number; readonly need: number }[];
  /** Rows of its entry map. */
  readonly map: readonly L.EntryRow[];
  /** Deltas of its pages, in the order of the dwords behind the entry map. */
  readonly pages: readonly number[];
  readonly text?: string;
}

/** Name of the exported function. */
export const REGION_EXPORT = 'region';

/** Translates the region. `traits`: what the IR functions that its blocks may call touch. */
export function generateRegion(
  plan: RegionPlan,
  traits: Traits,
  options: { validate: boolean; text?: boolean },
): RegionImage {
  const e = new Emitter();
  const { blocks } = plan;
  const use = R.registerUse(
    blocks.map((b) => b.ir),
    traits,
  );
  const locals = new Locals(R.PARAMETERS);
  for (let i = 0; i < R.FIXED_LOCALS; i++) locals.take('i32');
  const pages = [...new Set(blocks.map((b) => pageOf(b.start)))];
  const flow = new RegionFlow(e, locals, plan, pages, traits, use);
  const placed = flow.entries.map((n) => ({ place: blocks[n]!.start, need: flow.needOf(n) }));
  const get = (local: number): Expr => e.getLocal(local, 'i32');
  const slot = (at: number): Expr => e.load(32, e.i32(0), at);
  const most = Math.max(...placed.map(({ need }) => need));
  const computed = indirectJump(e, flow.map, most, pages.length === 1, (cause) => countExit(e, cause));

  const body = e.block(null, [
    ...R.loadRegisters(e, use),
    e.setLocal(R.BASE, e.sub(slot(L.PAGE_BASE), deltaBytes(e))),
    e.store(32, e.i32(0), get(R.BASE), L.REGION_BASE),
    e.setLocal(R.TLB, slot(L.TLB_BASE)),
    e.setLocal(R.FUEL, slot(L.FUEL)),
    e.block('leave', [
      e.block('fault', [
        e.block('miss', [flow.body(computed)]),
        ...unpackExit(e, RETURNS.missed),
        e.br('leave'),
      ]),
      ...unpackExit(e, RETURNS.left),
    ]),
    ...R.storeRegisters(e, use),
    e.store(32, e.i32(0), get(R.EIP), S.EIP),
    e.store(32, e.i32(0), get(R.FUEL), L.FUEL),
    e.return(get(R.RESULT)),
  ]);
  declareImports(e, traits);
  e.addFunction(REGION_EXPORT, R.PARAMETERS, 'i32', locals, body);
  e.addExport(REGION_EXPORT);
  const text = options.text ? e.text() : undefined;
  const wasm = e.finish({ validate: options.validate });
  const { rows } = flow.map;
  return { wasm, entries: placed, map: rows, pages, ...(text === undefined ? {} : { text }) };
}

const SCRIPTS = new Map<string, Signature>(Object.entries(L.IMPORTS));

/** Declares what the code made so far calls. What it does not would cost V8 a wrapper per module. */
function declareImports(e: Emitter, traits: Traits): void {
  for (const name of e.called) {
    const signature = traits.signatureOf(name) ?? SCRIPTS.get(name);
    if (signature === undefined) throw new Error(`a region calls ${name}, which is not known`);
    e.addImport(name, signature.params, signature.result);
  }
}

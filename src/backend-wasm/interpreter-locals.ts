/**
 * The interpreter's registers while `run` is in them: locals of that function. And the expressions over them that more
 * than one part of `run` needs.
 */
import type { Emitter, Expr } from './binaryen.js';
import { TLB_EXECUTION_ENTRIES } from './memory-layout.js';
import { RECORD_LEFT, RECORD_OFFSET } from './record.js';

/** Address of the record that runs. Never 0. */
export const PC = 0;
/** eip of the first byte of its page. */
export const BASE = 1;
/** Address of the current TLB. */
export const TLB = 2;
/** Instructions of the budget that no entered block has claimed. */
export const FUEL = 3;
/** Where a transfer goes. */
export const EIP = 4;
/** Address of the link dword that the transfer came through, or 0. */
export const LINK = 5;
/** A record that is looked for, or what a function outside returned. */
export const REC = 6;
/** A temporary: TLB entries, region entries. */
export const ENTRY = 7;
/** Entry number of the region that runs. */
export const FROM = 8;
/** Instructions of the block in REC. */
export const LEFT = 9;
/** How many locals these are, all i32. */
export const RUN_LOCALS = 10;

/** What the code of `run` is written with. Every function makes a new expression. */
export interface RunCode {
  readonly e: Emitter;
  /** Reads a local of `run`. */
  readonly get: (local: number) => Expr;
  /** Reads a dword of control memory. */
  readonly slot: (at: number) => Expr;
  readonly setSlot: (at: number, value: Expr) => Expr;
  /** eip of the current record's instruction. */
  readonly recordEip: () => Expr;
  /** An abandoned block gives back what it claimed from the current record on. */
  readonly refund: () => Expr;
  /** Address of the place in the execution TLB, without TLB_DATA_BYTES, for a linear address. */
  readonly executionEntry: (address: Expr) => Expr;
  /** Code with calls, out of the way: registers are saved there, and nowhere else. The body ends with a branch. */
  readonly aside: (body: readonly Expr[]) => Expr[];
}

/** The vocabulary for one `run`. */
export function runCode(e: Emitter): RunCode {
  const get = (local: number): Expr => e.getLocal(local, 'i32');
  return {
    e,
    get,
    slot: (at) => e.load(32, e.i32(0), at),
    setSlot: (at, value) => e.store(32, e.i32(0), value, at),
    recordEip: () => e.add(get(BASE), e.load(16, get(PC), RECORD_OFFSET)),
    refund: () => e.setLocal(FUEL, e.add(get(FUEL), e.load(8, get(PC), RECORD_LEFT))),
    executionEntry: (address) => {
      const index = e.and(e.shru(address, e.i32(9)), e.i32((TLB_EXECUTION_ENTRIES - 1) << 3));
      return e.add(get(TLB), index);
    },
    // The condition always holds, as V8 does not know.
    aside: (body) => [e.if(get(PC), e.block(null, body)), e.unreachable()],
  };
}

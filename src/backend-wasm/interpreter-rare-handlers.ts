/**
 * Handlers outside `run`: one for every instruction form, in functions `rare<n>` of (record, handler) that return the
 * next record's address or one of `RETURNS`. The interpreter's registers are in memory.
 */
import * as S from '../frontend-x86/cpu-state.js';
import { type Emitter, type Expr, Locals } from './binaryen.js';
import { branchTable } from './branch-table.js';
import type { Exits, Registers } from './interpreter-target.js';
import * as L from './memory-layout.js';
import { RETURNS } from './record.js';

/** Handlers in one function: 2^this. */
const FUNCTION_BITS = 7;

/** Registers of a handler outside `run`: the record's address is the first parameter, the rest in memory. */
export function rareRegisters(e: Emitter): Registers {
  const slot = (at: number) => (): Expr => e.load(32, e.i32(0), at);
  return {
    pc: () => e.getLocal(0, 'i32'),
    base: slot(L.PAGE_BASE),
    tlb: slot(L.TLB_BASE),
    fuel: slot(L.FUEL),
    setFuel: (v) => e.store(32, e.i32(0), v, L.FUEL),
    setTlb: (v) => e.drop(v),
    publishFuel: () => [],
    adoptFuel: () => [],
  };
}

export function rareExits(e: Emitter): Exits {
  const lookup = (eip: Expr): Expr[] => [e.store(32, e.i32(0), eip, S.EIP), e.return(e.i32(RETURNS.lookup))];
  return {
    next: (bytes) => [e.return(e.add(e.getLocal(0, 'i32'), e.i32(bytes)))],
    transfer: (at) => lookup(e.add(e.load(32, e.i32(0), L.PAGE_BASE), e.load(32, e.getLocal(0, 'i32'), at))),
    lookup,
    resolve: () => e.return(e.i32(RETURNS.resolve)),
    exit: () => e.return(e.i32(RETURNS.exit)),
    restart: () => undefined,
  };
}

/** Name of a function of such handlers. */
export function rareFunctionName(index: number): string {
  return `rare${index}`;
}

/**
 * Adds the functions for `count` handlers to the module. `lower`: the code of a handler, by its number among these.
 * Returns how many functions there are.
 */
export function addRareFunctions(
  e: Emitter,
  count: number,
  lower: (handler: number, locals: Locals) => Expr[],
): number {
  const perFunction = 1 << FUNCTION_BITS;
  let functions = 0;
  for (let from = 0; from < count; from += perFunction) {
    const locals = new Locals(['i32', 'i32']);
    const bodies = Array.from({ length: Math.min(perFunction, count - from) }, (_, i) =>
      lower(from + i, locals),
    );
    const index = e.and(e.getLocal(1, 'i32'), e.i32(perFunction - 1));
    const code = e.block(null, [
      e.block('bad', [branchTable(e, 'h', bodies, index, 'bad')]),
      e.unreachable(),
    ]);
    e.addFunction(rareFunctionName(functions++), ['i32', 'i32'], 'i32', locals, code);
  }
  return functions;
}

/**
 * Calls the function of a handler by the handler's number among these.
 * @param functions how many there are
 * @param record address of the record
 * @param done what to do with what the function returned
 * @param bad label to go to for a number that no handler has
 */
export function callRare(
  e: Emitter,
  functions: number,
  record: () => Expr,
  handler: () => Expr,
  done: (returned: Expr) => Expr[],
  bad: string,
): Expr {
  const calls = Array.from({ length: functions }, (_, i) =>
    done(e.call(rareFunctionName(i), [record(), handler()], 'i32')),
  );
  return branchTable(e, 'chunk', calls, e.shru(handler(), e.i32(FUNCTION_BITS)), bad);
}

/**
 * Handlers in `run`: the interpreter's registers are its locals, ways out are branches to labels of the loop. Nothing of
 * an instruction is done there that needs a call, so that V8 keeps these locals in the processor's registers.
 */
import type { Block } from '../ir/ir.js';
import { OPS, type Effect } from '../ir/ops.js';
import type { Emitter } from './binaryen.js';
import type { Exits, Registers } from './interpreter-target.js';
import { BASE, EIP, FUEL, PC, TLB } from './interpreter-locals.js';
import * as L from './memory-layout.js';

/** Effects of ops that `run` has no place for. */
const NOT_HOT: ReadonlySet<Effect> = new Set(['call', 'fault', 'env']);

/** Whether the form can have a handler in `run`. */
export function canBeHot({ ops }: Block): boolean {
  return !ops.some(
    (op) =>
      NOT_HOT.has(OPS[op.name].effect) ||
      ['leave', 'probe', 'loop'].includes(op.name) ||
      (op.name === 'jump' && op.imm === 3),
  );
}

export function hotRegisters(e: Emitter): Registers {
  return {
    pc: () => e.getLocal(PC, 'i32'),
    base: () => e.getLocal(BASE, 'i32'),
    tlb: () => e.getLocal(TLB, 'i32'),
    fuel: () => e.getLocal(FUEL, 'i32'),
    setFuel: (v) => e.setLocal(FUEL, v),
    setTlb: (v) => e.setLocal(TLB, v),
    publishFuel: () => [e.store(32, e.i32(0), e.getLocal(FUEL, 'i32'), L.FUEL)],
    adoptFuel: () => [e.setLocal(FUEL, e.load(32, e.i32(0), L.FUEL))],
  };
}

export function hotExits(e: Emitter): Exits {
  return {
    next: (bytes) => [e.setLocal(PC, e.add(e.getLocal(PC, 'i32'), e.i32(bytes))), e.br('next')],
    transfer: (at) => [e.setLocal(PC, e.add(e.getLocal(PC, 'i32'), e.i32(at))), e.br('transfer')],
    lookup: (eip) => [e.setLocal(EIP, eip), e.br('lookup')],
    resolve: () => noWay('resolve'),
    exit: () => noWay('exit'),
    restart: (at) =>
      at === 0
        ? e.br('miss')
        : e.block(null, [e.setLocal(PC, e.add(e.getLocal(PC, 'i32'), e.i32(at))), e.br('miss')]),
  };
}

/** Handlers that need it have no place in `run`; see `canBeHot`. */
function noWay(name: string): never {
  throw new Error(`a hot handler cannot ${name}`);
}

/**
 * Direct hypercalls: the two that a kernel makes most, SET_PTE and FLUSH_ASYNC, and SET_PTEs left in the ring, are
 * performed without leaving generated code: all they do is to drop TLB entries. The owner says in the state's slots how
 * to recognise them, and by DIRECT_TRAPS when; whatever else is asked for, or stands in the ring, is left to it.
 * `lguest/hypercalls.ts` does the same step by step.
 */
import * as S from '../frontend-x86/cpu-state.js';
import { LEAVE } from '../frontend-x86/leave.js';
import { type Builder, defineFunction } from '../ir/builder.js';
import type { IrFunction, Value } from '../ir/ir.js';
import { FOR_LOADS, FOR_STORES } from '../backend-wasm/data-tlb.js';
import * as L from '../backend-wasm/memory-layout.js';
import { Code } from './ir-code.js';
import { NOTE_CODE_STORE } from './slow-paths.js';
import { noEntryOf, placeInDataTlb } from './tlb-fill.js';

const KERNEL = 1;
/** Owner of a context that is not used yet. */
const NOBODY = -1;

/** (page table root, address): what `GuestMmu.flushPage` does. */
const FLUSH_PAGE = defineFunction('flush_page', ['i32', 'i32'], 'void', false, (b, root, address) => {
  const c = new Code(b);
  const everywhere = b.pure('i32.le_u', b.get32(L.KERNEL_START), address);
  const data = placeInDataTlb(b, address);
  const none = noEntryOf(b, address);
  const execution = c.shl(c.and(c.shr(address, 12), L.TLB_EXECUTION_ENTRIES - 1), 3);
  // Context 0 is that of no page table.
  const context = b.newVar('i32');
  b.varSet(context, c.k(1));
  b.loopWhile(() => {
    const number = b.varGet(context);
    const owner = b.peek32(c.shl(number, 2), L.TLB_OWNERS);
    const isConcerned = c.or(everywhere, b.pure('i32.eq', owner, root));
    const isUsed = b.pure('i32.ne', owner, c.k(NOBODY));
    b.if(b.pure('i32.and', isConcerned, isUsed), () => {
      const first = c.add(b.pure('i32.mul', number, c.k(L.TLB_CONTEXT_BYTES)), L.TLB_POOL);
      for (const tlb of [0, L.TLB_BYTES]) {
        b.poke32(c.sum(first, data), none, tlb + FOR_LOADS);
        b.poke32(c.sum(first, data), none, tlb + FOR_STORES);
        b.poke32(c.sum(first, execution), c.k(L.NO_TAG), tlb + L.TLB_DATA_BYTES);
      }
    });
    const next = c.add(number, 1);
    b.varSet(context, next);
    return b.pure('i32.ne', next, c.k(L.TLB_CONTEXTS));
  });
});

function count(b: Builder, slot: number): void {
  b.put32(slot, b.pure('i32.add', b.get32(slot), b.const32(1)));
}

/**
 * () → 1 if nothing is left in the ring, or 0 if an entry that is none of a SET_PTE is next; one turn of the ring at
 * the most, of which the owner makes the rest. As with it an entry is free again when it has been performed.
 */
const DRAIN_RING = defineFunction('drain_ring', [], 'i32', false, (b) => {
  const c = new Code(b);
  const left = b.newVar('i32');
  b.varSet(left, c.k(S.RING_SIZE));
  b.loopWhile(() => {
    const at = b.get32(S.RING_NEXT);
    const status = c.sum(b.get32(S.RING_STATUS), at);
    b.if(b.pure('i32.eq', b.peek8(status, L.RAM), c.k(S.RING_FREE)), () => b.return(c.k(1)));
    const entry = c.sum(b.get32(S.RING_ENTRIES), b.pure('i32.mul', at, b.get32(S.RING_ENTRY_BYTES)));
    const field = (slot: number): Value => b.peek32(c.sum(entry, b.get32(slot)), L.RAM);
    b.if(b.pure('i32.ne', field(S.RING_NUMBER), b.get32(S.SET_PTE_NUMBER)), () => {
      b.put32(S.RING_TURN, b.pure('i32.sub', c.k(S.RING_SIZE), b.varGet(left)));
      b.return(c.k(0));
    });
    const root = field(S.RING_ARGUMENT_1);
    const address = field(S.RING_ARGUMENT_2);
    b.put32(S.RING_NEXT, c.and(c.add(at, 1), S.RING_SIZE - 1));
    count(b, S.RING_SET_PTES);
    b.call(FLUSH_PAGE, root, address);
    b.poke8(status, c.k(S.RING_FREE), L.RAM);
    b.call(NOTE_CODE_STORE, c.add(status, L.RAM), c.k(1));
    const more = c.add(b.varGet(left), -1);
    b.varSet(left, more);
    return more;
  });
  b.return(c.k(1));
});

const DIRECT_HYPERCALL_FUNCTION = defineFunction(L.DIRECT_HYPERCALL, [], 'i32', false, (b) => {
  const c = new Code(b);
  const refuse = (): void => b.return(c.k(0));
  const differ = (slot: number, value: number): Value => b.pure('i32.ne', b.get32(slot), c.k(value));
  b.if(differ(S.EXIT_REASON, LEAVE.int), refuse);
  b.if(c.eqz(b.get32(S.DIRECT_TRAPS)), refuse);
  b.if(differ(S.EXIT_DETAIL, S.HYPERCALL_VECTOR), refuse);
  b.if(differ(S.CPL, KERNEL), refuse);
  b.if(c.and(b.get32(S.FLAGS_SYSTEM), S.F_TF), refuse);
  const number = b.get32(S.EAX);
  const isSetPte = b.pure('i32.eq', number, b.get32(S.SET_PTE_NUMBER));
  const isFlush = b.pure('i32.eq', number, b.get32(S.FLUSH_ASYNC_NUMBER));
  b.if(c.eqz(c.or(isSetPte, isFlush)), refuse);
  b.if(c.eqz(b.call(DRAIN_RING)), refuse);
  b.if(
    isSetPte,
    () => {
      const register = (slot: number): Value => b.peek32(b.get32(slot), S.REG);
      b.call(FLUSH_PAGE, register(S.HYPERCALL_ARGUMENT_1), register(S.HYPERCALL_ARGUMENT_2));
      count(b, S.DIRECT_SET_PTES);
    },
    () => count(b, S.DIRECT_FLUSHES),
  );
  b.put32(S.EIP, b.get32(S.EXIT_NEXT));
  b.put32(L.FUEL, c.add(b.get32(L.FUEL), -1));
  b.put32(S.EXIT_REASON, c.k(LEAVE.none));
  b.return(c.k(1));
});

/** All of them; the last is what the interpreter calls. */
export const DIRECT_HYPERCALL_FUNCTIONS: readonly IrFunction[] = [
  FLUSH_PAGE,
  DRAIN_RING,
  DIRECT_HYPERCALL_FUNCTION,
];

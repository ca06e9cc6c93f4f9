/**
 * Direct hypercalls: those that a kernel makes most are performed without leaving generated code, made directly or left in
 * the ring, where all they do is little: SET_PTE drops the TLB entries of a page, SET_PGD and FLUSH_TLB those of the user part, and a context
 * switch goes to an address space that has a TLB, to threads with the same thread-local storage and another stack. The
 * owner says in the state's slots how to recognise them, and by DIRECT_TRAPS when; whatever else is asked for, or stands in
 * the ring, is left to it. `lguest/hypercalls.ts` does the same step by step.
 */
import * as S from '../frontend-x86/cpu-state.js';
import { LEAVE } from '../frontend-x86/leave.js';
import { type Builder, defineFunction } from '../ir/builder.js';
import type { IrFunction, Value } from '../ir/ir.js';
import { FOR_LOADS, FOR_STORES } from '../backend-wasm/data-tlb.js';
import * as L from '../backend-wasm/memory-layout.js';
import {
  DESC_ACCESSED,
  DESC_DPL,
  DESC_GUEST_DPL,
  DIRECTORY_ENTRIES,
  GUEST_PL,
  MOST_STACK_PAGES,
  TLS_ENTRIES,
  TLS_FIRST_ENTRY,
} from './guest-kernel.js';
import { Code } from './ir-code.js';
import { NOTE_CODE_STORE } from './slow-paths.js';
import { DROP_USER, DROP_USER_RANGES } from './tlb-drops.js';
import { noEntryOf, placeInDataTlb } from './tlb-fill.js';

/** Owner of a context that is not used yet. */
const NOBODY = -1;
/** Slots with the numbers of the calls that may be performed. */
const CALLS = [
  S.FLUSH_ASYNC_NUMBER,
  S.SET_PTE_NUMBER,
  S.SET_PGD_NUMBER,
  S.NEW_PGTABLE_NUMBER,
  S.SET_STACK_NUMBER,
  S.LOAD_TLS_NUMBER,
  S.FLUSH_TLB_NUMBER,
];

/** Address of a TLB context, by number. */
function contextAt(c: Code, number: Value): Value {
  return c.add(c.b.pure('i32.mul', number, c.k(L.TLB_CONTEXT_BYTES)), L.TLB_POOL);
}

/** Code for each TLB context that is an address space's, by number and page table root. Context 0 is that of none. */
function forEachContext(c: Code, visit: (number: Value, owner: Value) => void): void {
  const { b } = c;
  const context = b.newVar('i32');
  b.varSet(context, c.k(1));
  b.loopWhile(() => {
    const number = b.varGet(context);
    const owner = b.peek32(c.shl(number, 2), L.TLB_OWNERS);
    b.if(b.pure('i32.ne', owner, c.k(NOBODY)), () => visit(number, owner));
    const next = c.add(number, 1);
    b.varSet(context, next);
    return b.pure('i32.ne', next, c.k(L.TLB_CONTEXTS));
  });
}

/** (page table root, address): what `GuestMmu.flushPage` does. */
const FLUSH_PAGE = defineFunction('flush_page', ['i32', 'i32'], 'void', false, (b, root, address) => {
  const c = new Code(b);
  const everywhere = b.pure('i32.le_u', b.get32(L.KERNEL_START), address);
  const data = placeInDataTlb(b, address);
  const none = noEntryOf(b, address);
  const execution = c.shl(c.and(c.shr(address, 12), L.TLB_EXECUTION_ENTRIES - 1), 3);
  forEachContext(c, (number, owner) => {
    b.if(c.or(everywhere, b.pure('i32.eq', owner, root)), () => {
      const first = contextAt(c, number);
      for (const tlb of [0, L.TLB_BYTES]) {
        b.poke32(c.sum(first, data), none, tlb + FOR_LOADS);
        b.poke32(c.sum(first, data), none, tlb + FOR_STORES);
        b.poke32(c.sum(first, execution), c.k(L.NO_TAG), tlb + L.TLB_DATA_BYTES);
      }
    });
  });
});

/** Refuses, for a guest that does it all the time, or counts one of the calls that may take long. */
function countDrop(b: Builder, refuse: () => void): void {
  const c = new Code(b);
  const left = b.get32(L.DROPS_LEFT);
  b.if(c.eqz(left), refuse);
  b.put32(L.DROPS_LEFT, c.add(left, -1));
}

/** (TLB context) : what `GuestMmu.flushUser` does. */
const FLUSH_USER = defineFunction('flush_user', ['i32'], 'void', false, (b, context) => {
  const c = new Code(b);
  for (const tlb of [0, L.TLB_BYTES]) b.call(DROP_USER, c.add(context, tlb));
});

/**
 * (page table root, index) → 1 if no TLB has anything any more of what a top level entry maps; 0: to be dropped by the owner, as
 * all of the kernel's part is. What it takes along of the user part is told at `Tlb.dropRanges`.
 */
const FLUSH_TOP_LEVEL = defineFunction('flush_top_level', ['i32', 'i32'], 'i32', false, (b, root, index) => {
  const c = new Code(b);
  const refuse = (): void => b.return(c.k(0));
  b.if(b.pure('i32.ne', b.get32(L.PAGING_MODE), c.k(L.PAGING.twoLevels)), refuse);
  // The owner knows what to do about those.
  b.if(b.pure('i32.le_u', c.k(DIRECTORY_ENTRIES), index), refuse);
  const last = c.add(c.shl(c.add(index, 1), L.TLB_RANGE_BITS), -1);
  const everywhere = b.pure('i32.le_u', b.get32(L.KERNEL_START), last);
  forEachContext(c, (number, owner) => {
    b.if(c.or(everywhere, b.pure('i32.eq', owner, root)), () => {
      const context = contextAt(c, number);
      const range = c.sum(context, index);
      for (const tlb of [0, L.TLB_BYTES])
        b.if(b.peek8(range, tlb + L.TLB_RANGES), () => {
          b.if(everywhere, refuse);
          countDrop(b, refuse);
          b.call(DROP_USER_RANGES, c.add(context, tlb));
        });
    });
  });
  b.return(c.k(1));
});

/** (page table root) → 1 if the address space is a known one, and the current one from now on. For the kernel's level. */
const SWITCH_TO_KNOWN = defineFunction('switch_to_known', ['i32'], 'i32', false, (b, root) => {
  const c = new Code(b);
  b.if(c.eqz(b.get32(L.PAGING_MODE)), () => b.return(c.k(0)));
  forEachContext(c, (number, owner) => {
    b.if(b.pure('i32.eq', owner, root), () => {
      const context = contextAt(c, number);
      const switches = c.add(b.get32(L.TLB_SWITCHES), 1);
      b.put32(L.TLB_SWITCHES, switches);
      b.poke32(c.shl(number, 2), switches, L.TLB_LAST_USE);
      b.put32(L.PAGE_ROOT, root);
      b.put32(L.TLB_CONTEXT, context);
      b.put32(L.TLB_BASE, c.add(context, L.TLB_BYTES));
      b.return(c.k(1));
    });
  });
  b.return(c.k(0));
});

/** (guest-physical address) → 1 if the thread-local descriptors there are those in the GDT. */
const HAS_SAME_TLS = defineFunction('has_same_tls', ['i32'], 'i32', false, (b, address) => {
  const c = new Code(b);
  const bytes = 8 * TLS_ENTRIES;
  b.if(b.pure('i32.lt_u', c.add(c.shl(b.get32(L.PFN_LIMIT), 12), -bytes), address), () => b.return(c.k(0)));
  const gdt = b.get32(S.GDT_ADDRESS);
  let different = c.k(0);
  for (let i = 0; i < TLS_ENTRIES; i++) {
    const there = 8 * (TLS_FIRST_ENTRY + i);
    const low = b.peek32(address, L.RAM + 8 * i);
    const high = b.peek32(address, L.RAM + 8 * i + 4);
    const level = b.pure('i32.select', c.and(high, DESC_DPL), c.k(0), c.k(DESC_GUEST_DPL));
    const fixed = c.or(c.or(high, level), c.k(DESC_ACCESSED));
    different = c.or(different, b.pure('i32.xor', low, b.peek32(gdt, there)));
    different = c.or(different, b.pure('i32.xor', fixed, b.peek32(gdt, there + 4)));
  }
  b.return(c.eqz(different));
});

/**
 * (number, its arguments) → 1 if the call was performed, 0 if it is left to the owner, and nothing has happened but that some
 * entries of TLBs may be gone.
 */
const PERFORM = defineFunction(
  'perform_hypercall',
  ['i32', 'i32', 'i32', 'i32'],
  'i32',
  false,
  (b, number, a1, a2, a3) => {
    const c = new Code(b);
    const on = (slot: number, perform: () => void): void =>
      b.if(b.pure('i32.eq', number, b.get32(slot)), perform);
    const done = (): void => b.return(c.k(1));
    on(S.SET_PTE_NUMBER, () => {
      b.call(FLUSH_PAGE, a1, a2);
      done();
    });
    // Its one effect, to drain the ring, comes before it.
    on(S.FLUSH_ASYNC_NUMBER, done);
    on(S.SET_PGD_NUMBER, () => b.return(b.call(FLUSH_TOP_LEVEL, a1, a2)));
    on(S.FLUSH_TLB_NUMBER, () => {
      const refuse = (): void => b.return(c.k(0));
      // All there is: rare.
      b.if(a1, refuse);
      countDrop(b, refuse);
      b.call(FLUSH_USER, b.get32(L.TLB_CONTEXT));
      done();
    });
    on(S.LOAD_TLS_NUMBER, () => b.return(b.call(HAS_SAME_TLS, a1)));
    on(S.NEW_PGTABLE_NUMBER, () => b.return(b.call(SWITCH_TO_KNOWN, a1)));
    on(S.SET_STACK_NUMBER, () => {
      const isOfSameSegment = b.pure('i32.eq', a1, b.get32(S.DIRECT_SS));
      const isShort = b.pure('i32.le_u', a3, c.k(MOST_STACK_PAGES));
      b.if(b.pure('i32.and', isOfSameSegment, isShort), () => {
        b.put32(S.DIRECT_ESP, a2);
        done();
      });
    });
    b.return(c.k(0));
  },
);

/** Counts a call, in the dwords from `counters` on. */
function count(b: Builder, number: Value, counters: number): void {
  const c = new Code(b);
  const at = c.shl(number, 2);
  b.poke32(at, c.add(b.peek32(at, counters), 1), counters);
}

/**
 * () → 1 if nothing is left in the ring, or 0 if an entry that is left to the owner is next; one turn of the ring at
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
    const number = field(S.RING_NUMBER);
    const performed = b.call(
      PERFORM,
      number,
      field(S.RING_ARGUMENT_1),
      field(S.RING_ARGUMENT_2),
      field(S.RING_ARGUMENT_3),
    );
    b.if(c.eqz(performed), () => {
      b.put32(S.RING_TURN, b.pure('i32.sub', c.k(S.RING_SIZE), b.varGet(left)));
      b.return(c.k(0));
    });
    count(b, number, S.RING_CALLS);
    b.put32(S.RING_NEXT, c.and(c.add(at, 1), S.RING_SIZE - 1));
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
  b.if(differ(S.CPL, GUEST_PL), refuse);
  b.if(c.and(b.get32(S.FLAGS_SYSTEM), S.F_TF), refuse);
  const number = b.get32(S.EAX);
  const isKnown = CALLS.map((slot) => b.pure('i32.eq', number, b.get32(slot))).reduce((a, other) =>
    c.or(a, other),
  );
  b.if(c.eqz(isKnown), refuse);
  b.if(c.eqz(b.call(DRAIN_RING)), refuse);
  const register = (slot: number): Value => b.peek32(b.get32(slot), S.REG);
  const performed = b.call(
    PERFORM,
    number,
    register(S.HYPERCALL_ARGUMENT_1),
    register(S.HYPERCALL_ARGUMENT_2),
    register(S.HYPERCALL_ARGUMENT_3),
  );
  b.if(c.eqz(performed), refuse);
  count(b, number, S.DIRECT_CALLS);
  b.put32(S.EIP, b.get32(S.EXIT_NEXT));
  b.put32(L.FUEL, c.add(b.get32(L.FUEL), -1));
  b.put32(S.EXIT_REASON, c.k(LEAVE.none));
  b.return(c.k(1));
});

/** All of them; the last is what the interpreter calls. */
export const DIRECT_HYPERCALL_FUNCTIONS: readonly IrFunction[] = [
  FLUSH_PAGE,
  FLUSH_USER,
  FLUSH_TOP_LEVEL,
  SWITCH_TO_KNOWN,
  HAS_SAME_TLS,
  PERFORM,
  DRAIN_RING,
  DIRECT_HYPERCALL_FUNCTION,
];

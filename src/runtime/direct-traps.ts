/**
 * Direct traps: system calls of ring 3 and page faults enter the guest's handler without leaving generated code, as on a
 * processor whose gates are the guest's. The owner says in the state's slots when that is allowed and where they lead;
 * what is out of the ordinary (frames across pages, stacks that are not in the TLB, single steps) is left to it.
 * Whichever way is taken, the guest cannot tell: `lguest/interrupts-and-traps.ts` does the same step by step.
 */
import * as S from '../frontend-x86/cpu-state.js';
import { EFLAGS_GET } from '../frontend-x86/lift/functions-flags.js';
import { setSegment } from '../frontend-x86/lift/functions-segment.js';
import { LEAVE } from '../frontend-x86/leave.js';
import { type Builder, defineFunction } from '../ir/builder.js';
import type { IrFunction, Value } from '../ir/ir.js';
import { FOR_STORES } from '../backend-wasm/data-tlb.js';
import * as L from '../backend-wasm/memory-layout.js';
import { GUEST_PL } from './guest-kernel.js';
import { MODE_CHANGED_FUNCTION } from './mode.js';
import { NOTE_CODE_STORE } from './slow-paths.js';
import { isInReach, placeInDataTlb } from './tlb-fill.js';
import { VECTOR } from '../frontend-x86/vectors.js';

const USER = 3;
const PAGE_MASK = -4096;
/** Flags with which a trap is none of the ordinary ones. */
const ODD_FLAGS = S.F_TF | S.F_NT | S.F_VM;
const CLEARED_ON_ENTRY = S.F_TF | S.F_NT | S.F_RF | S.F_VM;

/** Bytes of a dword that is pushed. */
const WORD = 4;

/** Writes a dword of the guest's at a control-memory address outside its TLBs. */
function pokeGuest(b: Builder, physical: Value, value: Value): void {
  const host = b.pure('i32.add', physical, b.const32(L.RAM));
  b.poke32(host, value);
  b.call(NOTE_CODE_STORE, host, b.const32(WORD));
}

export const DIRECT_TRAP_FUNCTION: IrFunction = defineFunction(L.DIRECT_TRAP, [], 'i32', false, (b) => {
  const k = (n: number): Value => b.const32(n);
  const refuse = (): void => b.return(k(0));
  const and = (a: Value, n: number): Value => b.pure('i32.and', a, k(n));
  const equal = (a: Value, c: Value): Value => b.pure('i32.eq', a, c);
  const differ = (a: Value, c: Value): Value => b.pure('i32.ne', a, c);
  const minus = (a: Value, n: number): Value => b.pure('i32.add', a, k(-n));

  b.if(b.pure('i32.eqz', b.get32(S.DIRECT_TRAPS)), refuse);
  b.if(b.pure('i32.eqz', b.get32(L.FLAT_MODE)), refuse);
  b.if(and(b.get32(S.FLAGS_SYSTEM), ODD_FLAGS), refuse);
  const user = equal(b.get32(S.CPL), k(USER));
  // A guest can make itself a ring 2.
  b.if(b.pure('i32.eqz', b.pure('i32.or', user, equal(b.get32(S.CPL), k(GUEST_PL)))), refuse);
  const reason = b.get32(S.EXIT_REASON);
  const isFault = equal(reason, k(LEAVE.fault));
  const next = b.newVar('i32');
  const handler = b.newVar('i32');
  const masks = b.newVar('i32');
  b.if(
    isFault,
    () => {
      b.if(differ(b.get32(S.EXIT_DETAIL), k(VECTOR.PF)), refuse);
      b.varSet(handler, b.get32(S.DIRECT_FAULT_HANDLER));
      b.if(b.pure('i32.eqz', b.varGet(handler)), refuse);
      // Faults without end make no progress: somebody has to be asked.
      b.if(equal(b.get32(L.DIRECT_FAULT_FUEL), b.get32(L.FUEL)), refuse);
      b.varSet(next, b.get32(S.EIP));
      b.varSet(masks, b.get32(S.DIRECT_FAULT_MASKS));
    },
    () => {
      b.if(differ(reason, k(LEAVE.int)), refuse);
      b.if(differ(b.get32(S.EXIT_DETAIL), b.get32(S.DIRECT_INT_VECTOR)), refuse);
      b.if(b.pure('i32.eqz', user), refuse);
      b.varSet(next, b.get32(S.EXIT_NEXT));
      b.varSet(handler, b.get32(S.DIRECT_INT_HANDLER));
      b.varSet(masks, b.get32(S.DIRECT_INT_MASKS));
    },
  );

  // The frame: [ss, esp,] eflags, cs, eip [, error code], downwards. All of it in one page that may be written.
  const top = b.pure('i32.select', user, b.get32(S.DIRECT_ESP), b.get32(S.ESP));
  const words = b.pure('i32.add', b.pure('i32.select', user, k(5), k(3)), isFault);
  const bottom = b.pure('i32.sub', top, b.pure('i32.shl', words, k(2)));
  const page = and(bottom, PAGE_MASK);
  const tlb = b.pure('i32.add', b.get32(L.TLB_CONTEXT), k(L.TLB_BYTES));
  const entry = b.pure('i32.add', tlb, placeInDataTlb(b, bottom));
  const distance = b.peek32(entry, FOR_STORES);
  b.if(b.pure('i32.eqz', isInReach(b, b.pure('i32.add', bottom, distance))), refuse);
  b.if(differ(and(minus(top, 1), PAGE_MASK), page), refuse);

  // In the order of the Host: the address before the frame, which may lie over it.
  b.if(isFault, () => pokeGuest(b, b.get32(S.DIRECT_CR2_ADDRESS), b.get32(S.FAULT_ADDRESS)));
  const believes = and(b.peek32(b.get32(S.DIRECT_IF_ADDRESS), L.RAM), S.F_IF);
  const image = b.pure('i32.or', and(b.call(EFLAGS_GET), ~S.F_IF), believes);
  const at = b.newVar('i32');
  b.varSet(at, b.pure('i32.add', b.pure('i32.add', top, distance), k(L.RAM)));
  const push = (value: Value): void => {
    b.varSet(at, minus(b.varGet(at), WORD));
    b.poke32(b.varGet(at), value);
  };
  const selector = b.get32(S.SELECTOR + 4 * S.CS);
  b.if(user, () => {
    push(b.get32(S.SELECTOR + 4 * S.SS));
    push(b.get32(S.ESP));
    const stack = b.get32(S.DIRECT_SS);
    setSegment(b, k(S.SS), stack, descriptor(b, stack));
    b.put32(S.CPL, k(GUEST_PL));
  });
  push(image);
  push(selector);
  push(b.varGet(next));
  b.if(
    isFault,
    () => {
      push(b.get32(S.EXIT_ERROR));
      b.put32(L.DIRECT_FAULT_FUEL, b.get32(L.FUEL));
      b.put32(L.DIRECT_FAULTS, b.pure('i32.add', b.get32(L.DIRECT_FAULTS), k(1)));
    },
    () => {
      b.put32(L.FUEL, minus(b.get32(L.FUEL), 1));
      b.put32(L.DIRECT_INTS, b.pure('i32.add', b.get32(L.DIRECT_INTS), k(1)));
    },
  );
  const code = b.get32(S.DIRECT_CS);
  setSegment(b, k(S.CS), code, descriptor(b, code));
  b.put32(S.ESP, bottom);
  b.put32(S.EIP, b.varGet(handler));
  b.put32(S.FLAGS_SYSTEM, b.pure('i32.or', and(b.get32(S.FLAGS_SYSTEM), ~CLEARED_ON_ENTRY), k(S.F_IF)));
  b.put32(S.INTERRUPT_SHADOW, k(-1));
  b.put32(S.EXIT_REASON, k(LEAVE.none));
  b.if(b.varGet(masks), () => pokeGuest(b, b.get32(S.DIRECT_IF_ADDRESS), k(0)));
  b.call(MODE_CHANGED_FUNCTION);
  b.return(k(1));
});

/** The descriptor of a selector that the owner vouches for. */
function descriptor(b: Builder, selector: Value): Value {
  const at = b.pure('i32.add', b.get32(S.GDT_ADDRESS), b.pure('i32.and', selector, b.const32(0xfff8)));
  return b.peek64(at);
}

/**
 * The page walk with its accessed and dirty bits, and what it enters into the TLBs, as IR functions inside the
 * interpreter's module. `mmu.ts` has the same walk in TypeScript.
 */
import {
  CPL,
  EXIT_DETAIL,
  EXIT_ERROR,
  EXIT_REASON,
  F_TF,
  FAULT_ADDRESS,
  FLAGS_SYSTEM,
} from '../frontend-x86/cpu-state.js';
import { LEAVE } from '../frontend-x86/leave.js';
import { type Builder, defineFunction } from '../ir/builder.js';
import type { CallTarget, IrFunction, Value } from '../ir/ir.js';
import {
  DATA_ENTRY_BYTES,
  FOR_LOADS,
  FOR_STORES,
  INDEX_SHIFT,
  PLACEHOLDERS,
} from '../backend-wasm/data-tlb.js';
import * as L from '../backend-wasm/memory-layout.js';
import { PAGE } from '../frontend-x86/limits.js';
import { Code, opaque } from './ir-code.js';
import {
  BAD_DIRECTORY_FLAGS,
  BAD_TABLE_FLAGS,
  PTE_ACCESSED,
  PTE_DIRTY,
  PTE_PRESENT,
  PTE_USER,
  PTE_WRITABLE,
} from './page-table-entry.js';
import { markOf } from './tlb-drops.js';
import { VECTOR } from '../frontend-x86/vectors.js';

/** From the place of an entry to the number of its group. */
const GROUP_SHIFT = Math.log2(L.TLB_GROUP_BYTES);

/** Import `code_written` of the module. */
export const CODE_WRITTEN: CallTarget = {
  name: 'code_written',
  params: ['i32', 'i32'],
  result: 'void',
  faults: false,
};

function leaveFunction(b: Builder, reason: number, detail: Value, error: Value, result?: Value): void {
  b.put32(EXIT_DETAIL, detail);
  b.put32(EXIT_ERROR, error);
  b.put32(EXIT_REASON, b.const32(reason));
  b.return(result);
}

/** (address, access, present bit of the error code): a page fault of the current instruction. */
const pageFault = defineFunction(
  'page_fault',
  ['i32', 'i32', 'i32'],
  'void',
  true,
  (b, address, write, present) => {
    const c = new Code(b);
    b.put32(FAULT_ADDRESS, address);
    const user = b.pure('i32.eq', b.get32(CPL), c.k(3));
    const code = c.or(c.or(c.shl(write, 1), c.shl(user, 2)), present);
    leaveFunction(b, LEAVE.fault, c.k(VECTOR.PF), code);
  },
);

const badEntry = defineFunction('bad_page_table', ['i32', 'i32'], 'void', true, (b, address, entry) => {
  leaveFunction(b, LEAVE.badPageTable, address, entry);
});

/**
 * (pte address, pte, wanted bits): sets accessed and dirty bits in the guest's table, as a write to its memory. If the
 * table's page has code, the run ends before the instruction, which will find the bits set: translated code looks for
 * changes of code only after its own stores.
 */
const setBits = defineFunction('set_pte_bits', ['i32', 'i32', 'i32'], 'void', true, (b, at, pte, bits) => {
  const c = new Code(b);
  const want = c.or(pte, bits);
  b.if(b.pure('i32.ne', want, pte), () => {
    b.poke32(at, want, L.RAM);
    const flags = b.peek8(c.shr(at, 12), L.PAGE_FLAGS);
    b.if(c.and(flags, L.PAGE_HAS_CODE), () => {
      b.call(CODE_WRITTEN, at, c.k(4));
      b.put32(EXIT_REASON, c.k(LEAVE.budget));
    });
  });
});

/** Bytes from the beginning of a data TLB to the entry for a linear address. */
export function placeInDataTlb(b: Builder, address: Value): Value {
  const c = new Code(b);
  return c.and(c.shr(opaque(b, address), INDEX_SHIFT), PLACEHOLDERS.indexMask);
}
/** Address of the entry for a linear address in the current data TLB. */
export function dataEntryOf(b: Builder, address: Value): Value {
  return b.pure('i32.add', b.get32(L.TLB_BASE), placeInDataTlb(b, address));
}
/** What a data TLB has where there is no page with the index of the address: `noEntry`. */
export function noEntryOf(b: Builder, address: Value): Value {
  const c = new Code(b);
  return b.pure('i32.sub', c.k(PLACEHOLDERS.ramEnd), c.shl(placeInDataTlb(b, address), INDEX_SHIFT));
}
/** Whether a guest-physical address is one that the data TLB can lead to. */
export function isInReach(b: Builder, physical: Value): Value {
  return b.pure('i32.lt_u', opaque(b, physical), b.const32(PLACEHOLDERS.ramEnd));
}

/** What a walk of the guest's tables found, in variables. */
interface Walk {
  /** Guest-physical address of the last entry, and that entry. */
  readonly at: Value;
  readonly entry: Value;
  /** Guest-physical address of the page. */
  readonly page: Value;
  /** The rights that all levels give: PTE_USER, PTE_WRITABLE. */
  readonly rights: Value;
}

/**
 * Walks the guest's two- or three-level tables (Intel SDM vol. 3, 4.3-4.4), paging being on.
 * @param missing emits what happens at an entry that is not present; it has to return from the function
 * @param bad likewise at one that no guest may have, which it is given
 */
function walk(b: Builder, address: Value, missing: () => void, bad: (entry: Value) => void): Walk {
  const c = new Code(b);
  const rights = b.newVar('i32');
  const table = b.newVar('i32');
  const entry = b.newVar('i32');
  const at = b.newVar('i32');
  b.varSet(table, b.get32(L.PAGE_ROOT));
  b.varSet(rights, c.k(PTE_USER | PTE_WRITABLE));
  const limit = b.get32(L.PFN_LIMIT);
  /** Reads the entry at `at`; returns unless it is present and sound; narrows the rights. */
  const step = (badFlags: number, wide: boolean, hasRights: boolean): void => {
    const v = b.peek32(b.varGet(at), L.RAM);
    b.varSet(entry, v);
    b.if(c.eqz(c.and(v, PTE_PRESENT)), missing);
    let wrong = c.or(c.and(v, badFlags), b.pure('i32.le_u', limit, c.shr(v, 12)));
    if (wide) wrong = c.or(wrong, c.and(b.peek32(b.varGet(at), L.RAM + 4), 0x7fffffff));
    b.if(wrong, () => bad(v));
    if (hasRights) b.varSet(rights, b.pure('i32.and', b.varGet(rights), v));
    b.varSet(table, c.and(v, -4096));
  };
  const index = (shift: number, mask: number, scale: number): void => {
    const offset = c.shl(c.and(c.shr(address, shift), mask), scale);
    b.varSet(at, c.sum(b.varGet(table), offset));
  };
  b.if(
    b.pure('i32.eq', b.get32(L.PAGING_MODE), c.k(L.PAGING.twoLevels)),
    () => {
      index(22, 0x3ff, 2);
      step(BAD_DIRECTORY_FLAGS, false, true);
      index(12, 0x3ff, 2);
      step(BAD_TABLE_FLAGS, false, true);
    },
    () => {
      index(30, 3, 3);
      step(0, true, false);
      index(21, 0x1ff, 3);
      step(BAD_DIRECTORY_FLAGS, true, true);
      index(12, 0x1ff, 3);
      step(BAD_TABLE_FLAGS, true, true);
    },
  );
  return { at: b.varGet(at), entry: b.varGet(entry), page: b.varGet(table), rights: b.varGet(rights) };
}

/**
 * (address, write) → control-memory address of the byte if the access is allowed, and then the TLB entry of the page is
 * filled (not for stores if the page holds code); else 0 and the exit is set.
 */
export const TLB_FILL = defineFunction('tlb_fill', ['i32', 'i32'], 'i32', true, (b, address, write) => {
  const c = new Code(b);
  const page = c.and(address, -4096);
  const physical = b.newVar('i32');
  const writable = b.newVar('i32');
  // Accesses that shared a check which failed come here although the TLB has their page.
  const known = c.sum(address, b.peek32(c.sum(dataEntryOf(b, address), c.shl(write, 2)), FOR_LOADS));
  b.if(isInReach(b, known), () => b.return(c.add(known, L.RAM)));
  b.put32(L.TLB_MISSES, c.add(b.get32(L.TLB_MISSES), 1));
  const fault = (present: number): void => {
    b.call(pageFault, address, write, c.k(present));
    b.return(c.k(0));
  };
  const kill = (v: Value): void => {
    b.call(badEntry, address, v);
    b.return(c.k(0));
  };
  b.if(
    b.get32(L.PAGING_MODE),
    () => {
      const found = walk(b, address, () => fault(0), kill);
      const user = b.pure('i32.eq', b.get32(CPL), c.k(3));
      b.if(b.pure('i32.and', user, c.eqz(c.and(found.rights, PTE_USER))), () => fault(1));
      b.if(b.pure('i32.and', write, c.eqz(c.and(found.rights, PTE_WRITABLE))), () => fault(1));
      const bits = c.or(c.k(PTE_ACCESSED), b.pure('i32.select', write, c.k(PTE_DIRTY), c.k(0)));
      b.call(setBits, found.at, found.entry, bits);
      const dirty = c.and(c.or(found.entry, bits), PTE_DIRTY);
      const mayWrite = c.and(found.rights, PTE_WRITABLE);
      b.varSet(writable, b.pure('i32.select', dirty, mayWrite, c.k(0)));
      b.varSet(physical, found.page);
    },
    () => {
      b.if(b.pure('i32.le_u', b.get32(L.PFN_LIMIT), c.shr(address, 12)), () => kill(page));
      b.varSet(writable, c.k(1));
      b.varSet(physical, page);
    },
  );
  const pa = b.varGet(physical);
  const host = c.add(c.sum(pa, c.and(address, PAGE - 1)), L.RAM);
  // Of a page that it cannot have the TLB has no entry.
  b.if(c.eqz(isInReach(b, pa)), () => b.return(host));
  const entry = dataEntryOf(b, address);
  const pfn = c.shr(pa, 12);
  const flags = b.peek8(pfn, L.PAGE_FLAGS);
  const forStores = b.pure('i32.select', c.and(flags, L.PAGE_HAS_CODE), c.k(0), b.varGet(writable));
  const distance = b.pure('i32.sub', pa, page);
  b.poke32(entry, distance, FOR_LOADS);
  b.poke32(entry, b.pure('i32.select', forStores, distance, noEntryOf(b, address)), FOR_STORES);
  const group = c.shr(placeInDataTlb(b, address), GROUP_SHIFT);
  noteTlbEntry(b, address, group, L.TLB_GROUPS);
  b.if(forStores, () => {
    const from = c.shl(pfn, 2);
    b.if(
      c.and(flags, L.PAGE_HAS_STORE_ENTRY),
      () => {
        const isOther = b.pure('i32.ne', b.peek32(from, L.PAGE_STORED_FROM), page);
        const more = b.pure('i32.select', isOther, c.k(L.PAGE_HAS_MORE_STORE_ENTRIES), c.k(0));
        b.poke8(pfn, c.or(flags, more), L.PAGE_FLAGS);
      },
      () => {
        b.poke32(from, page, L.PAGE_STORED_FROM);
        b.poke8(pfn, c.or(flags, c.k(L.PAGE_HAS_STORE_ENTRY)), L.PAGE_FLAGS);
      },
    );
  });
  b.return(host);
});

/**
 * (linear address) → FILL_*: done if its page may be executed and has a code map; faulted if fetching from it is a page
 * fault; else refused, and `resolve` finds out more.
 */
const EXECUTION_FILL: IrFunction = defineFunction(L.EXECUTION_FILL, ['i32'], 'i32', true, (b, address) => {
  const c = new Code(b);
  const refuse = (): void => b.return(c.k(L.FILL_REFUSED));
  const fault = (present: number): void => {
    b.call(pageFault, address, c.k(0), c.k(present));
    b.return(c.k(L.FILL_FAULTED));
  };
  b.if(c.eqz(b.get32(L.PAGING_MODE)), refuse);
  // The limit of other segments, and single steps, come before the walk.
  b.if(c.eqz(b.get32(L.FLAT_MODE)), refuse);
  b.if(c.and(b.get32(FLAGS_SYSTEM), F_TF), refuse);
  const found = walk(b, address, () => fault(0), refuse);
  const user = b.pure('i32.eq', b.get32(CPL), c.k(3));
  b.if(b.pure('i32.and', user, c.eqz(c.and(found.rights, PTE_USER))), () => fault(1));
  const map = b.peek16(c.shr(found.page, 11), L.PAGE_CODE_MAPS);
  b.if(c.eqz(map), refuse);
  b.if(c.eqz(c.and(found.entry, PTE_ACCESSED)), () => {
    b.if(c.and(b.peek8(c.shr(found.at, 12), L.PAGE_FLAGS), L.PAGE_HAS_CODE), refuse);
    b.poke32(found.at, c.or(found.entry, c.k(PTE_ACCESSED)), L.RAM);
  });
  const index = c.and(c.shr(address, 12), L.TLB_EXECUTION_ENTRIES - 1);
  const entry = c.sum(b.get32(L.TLB_BASE), c.shl(index, 3));
  b.poke32(entry, c.and(address, -4096), L.TLB_DATA_BYTES);
  const mapAddress = c.add(b.pure('i32.mul', map, c.k(L.CODE_MAP_BYTES)), L.CODE_MAPS - L.CODE_MAP_BYTES);
  b.poke32(entry, mapAddress, L.TLB_DATA_BYTES + 4);
  const group = c.shr(index, L.TLB_EXECUTION_GROUP_BITS);
  noteTlbEntry(b, address, group, L.TLB_EXECUTION_GROUPS);
  b.return(c.k(L.FILL_DONE));
});

/** An entry for the address was made in a group of the current TLB: flushes have to look at its range and group. */
function noteTlbEntry(b: Builder, address: Value, group: Value, groups: number): void {
  const c = new Code(b);
  const tlb = b.get32(L.TLB_BASE);
  b.poke8(c.sum(tlb, c.shr(address, L.TLB_RANGE_BITS)), c.k(L.MARKED.any), L.TLB_RANGES);
  const at = c.sum(tlb, group);
  b.poke8(at, c.or(b.peek8(at, groups), markOf(b, address)), groups);
}

/** () : makes the data TLB without entries that others are cleared by. */
const EMPTY_TLB: IrFunction = defineFunction(L.MAKE_EMPTY_TLB, [], 'void', false, (b) => {
  const c = new Code(b);
  const place = b.newVar('i32');
  b.varSet(place, c.k(0));
  b.loopWhile(() => {
    const at = b.varGet(place);
    const none = b.pure('i32.sub', c.k(PLACEHOLDERS.ramEnd), c.shl(at, INDEX_SHIFT));
    b.poke32(at, none, L.EMPTY_TLB + FOR_LOADS);
    b.poke32(at, none, L.EMPTY_TLB + FOR_STORES);
    const next = c.and(c.add(at, DATA_ENTRY_BYTES), PLACEHOLDERS.indexMask);
    b.varSet(place, next);
    return next;
  });
  b.return();
});

/** All of them. */
export const TLB_FUNCTIONS: readonly IrFunction[] = [
  pageFault,
  badEntry,
  setBits,
  TLB_FILL,
  EXECUTION_FILL,
  EMPTY_TLB,
];

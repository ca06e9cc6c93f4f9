/**
 * What takes over when an inline TLB check misses, as IR functions inside the interpreter's module: the page walk with
 * its accessed and dirty bits, page-crossing accesses, stores to pages with code. No JavaScript unless code was hit.
 */
import { CPL, EXIT_DETAIL, EXIT_ERROR, EXIT_REASON, FAULT_ADDRESS } from '../frontend-x86/cpu-state.js';
import { LEAVE } from '../frontend-x86/leave.js';
import { type Builder, defineFunction } from '../ir/builder.js';
import type { CallTarget, IrFunction, Value } from '../ir/ir.js';
import type { Type } from '../ir/ops.js';
import * as L from '../backend-wasm/memory-layout.js';
import {
  BAD_DIRECTORY_FLAGS,
  BAD_TABLE_FLAGS,
  PTE_ACCESSED,
  PTE_DIRTY,
  PTE_PRESENT,
  PTE_USER,
  PTE_WRITABLE,
} from './page-table-entry.js';

const VECTOR_PAGE_FAULT = 14;

const codeWritten: CallTarget = {
  name: 'code_written',
  params: ['i32', 'i32'],
  result: 'void',
  faults: false,
};

/** Small helpers over a builder, for functions of many constants. */
class Code {
  constructor(readonly b: Builder) {}
  k(n: number): Value {
    return this.b.const32(n);
  }
  and(a: Value, n: number): Value {
    return this.b.pure('i32.and', a, this.k(n));
  }
  or(a: Value, c: Value): Value {
    return this.b.pure('i32.or', a, c);
  }
  add(a: Value, n: number): Value {
    return this.b.pure('i32.add', a, this.k(n));
  }
  sum(a: Value, c: Value): Value {
    return this.b.pure('i32.add', a, c);
  }
  shr(a: Value, n: number): Value {
    return this.b.pure('i32.shr_u', a, this.k(n));
  }
  shl(a: Value, n: number): Value {
    return this.b.pure('i32.shl', a, this.k(n));
  }
  eqz(a: Value): Value {
    return this.b.pure('i32.eqz', a);
  }
}

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
    leaveFunction(b, LEAVE.fault, c.k(VECTOR_PAGE_FAULT), code);
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
      b.call(codeWritten, at, c.k(4));
      b.put32(EXIT_REASON, c.k(LEAVE.budget));
    });
  });
});

/**
 * (address, write) → 1 if the access is allowed, and then the TLB entry of the page is filled (without a write tag if
 * the page holds code); else 0 and the exit is set. The walk of two- and three-level tables, Intel SDM vol. 3, 4.3-4.4.
 */
const tlbFill = defineFunction('tlb_fill', ['i32', 'i32'], 'i32', true, (b, address, write) => {
  const c = new Code(b);
  const page = c.and(address, -4096);
  const physical = b.newVar('i32');
  const writable = b.newVar('i32');
  const rights = b.newVar('i32');
  const table = b.newVar('i32');
  const entry = b.newVar('i32');
  const at = b.newVar('i32');
  // Accesses that shared a check which failed come here although the TLB has their page.
  const known = b.peek32(c.sum(tlbEntryOf(b, address), c.shl(write, 2)), 0);
  b.if(b.pure('i32.eq', known, page), () => b.return(c.k(1)));
  b.put32(L.TLB_MISSES, c.add(b.get32(L.TLB_MISSES), 1));
  b.varSet(table, c.k(0));
  b.varSet(rights, c.k(PTE_USER | PTE_WRITABLE));
  const mode = b.get32(L.PAGING_MODE);
  const limit = b.get32(L.PFN_LIMIT);
  const fault = (present: number): void => {
    b.call(pageFault, address, write, c.k(present));
    b.return(c.k(0));
  };
  const kill = (v: Value): void => {
    b.call(badEntry, address, v);
    b.return(c.k(0));
  };
  /** Reads the entry at `at`; leaves unless it is present and sound; narrows the rights. */
  const step = (badFlags: number, wide: boolean, hasRights: boolean): void => {
    const v = b.peek32(b.varGet(at), L.RAM);
    b.varSet(entry, v);
    b.if(c.eqz(c.and(v, PTE_PRESENT)), () => fault(0));
    let bad = c.or(c.and(v, badFlags), b.pure('i32.le_u', limit, c.shr(v, 12)));
    if (wide) bad = c.or(bad, c.and(b.peek32(b.varGet(at), L.RAM + 4), 0x7fffffff));
    b.if(bad, () => kill(v));
    if (hasRights) b.varSet(rights, b.pure('i32.and', b.varGet(rights), v));
    b.varSet(table, c.and(v, -4096));
  };
  const index = (shift: number, mask: number, scale: number): void => {
    const offset = c.shl(c.and(c.shr(address, shift), mask), scale);
    b.varSet(at, c.sum(b.varGet(table), offset));
  };
  b.if(
    mode,
    () => {
      b.varSet(table, b.get32(L.PAGE_ROOT));
      b.if(
        b.pure('i32.eq', mode, c.k(1)),
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
      const user = b.pure('i32.eq', b.get32(CPL), c.k(3));
      const allowed = b.varGet(rights);
      b.if(b.pure('i32.and', user, c.eqz(c.and(allowed, PTE_USER))), () => fault(1));
      b.if(b.pure('i32.and', write, c.eqz(c.and(allowed, PTE_WRITABLE))), () => fault(1));
      const bits = c.or(c.k(PTE_ACCESSED), b.pure('i32.select', write, c.k(PTE_DIRTY), c.k(0)));
      b.call(setBits, b.varGet(at), b.varGet(entry), bits);
      const dirty = c.and(c.or(b.varGet(entry), bits), PTE_DIRTY);
      const mayWrite = c.and(allowed, PTE_WRITABLE);
      b.varSet(writable, b.pure('i32.select', dirty, mayWrite, c.k(0)));
      b.varSet(physical, b.varGet(table));
    },
    () => {
      b.if(b.pure('i32.le_u', limit, c.shr(address, 12)), () => kill(page));
      b.varSet(writable, c.k(1));
      b.varSet(physical, page);
    },
  );
  const pa = b.varGet(physical);
  const tlb = tlbEntryOf(b, address);
  const pfn = c.shr(pa, 12);
  const flags = b.peek8(pfn, L.PAGE_FLAGS);
  const tagged = b.pure('i32.select', c.and(flags, L.PAGE_HAS_CODE), c.k(0), b.varGet(writable));
  b.poke32(tlb, page, 0);
  b.poke32(tlb, b.pure('i32.select', tagged, page, c.k(-1)), 4);
  b.poke32(tlb, b.pure('i32.sub', c.add(pa, L.RAM), page), 8);
  noteTlbEntry(b, address);
  b.if(tagged, () => {
    b.poke8(pfn, c.or(flags, c.k(L.PAGE_WRITE_TAGGED)), L.PAGE_FLAGS);
  });
  b.return(c.k(1));
});

/** An entry for the address was made in the current TLB: flushes have to look at its range and group. */
function noteTlbEntry(b: Builder, address: Value): void {
  const c = new Code(b);
  const tlb = b.get32(L.TLB_BASE);
  b.poke8(c.sum(tlb, c.shr(address, L.TLB_RANGE_BITS)), c.k(0), L.TLB_RANGES);
  b.if(b.pure('i32.lt_u', address, b.get32(L.KERNEL_START)), () => {
    const group = c.and(c.shr(address, 12 + L.TLB_GROUP_BITS), L.TLB_GROUPS - 1);
    b.poke8(c.sum(tlb, group), c.k(0), L.TLB_USER_GROUPS);
  });
}

function tlbEntryOf(b: Builder, address: Value): Value {
  const c = new Code(b);
  return c.sum(b.get32(L.TLB_BASE), c.and(c.shr(address, 8), (L.TLB_ENTRIES - 1) << 4));
}

/** Control-memory address of a byte whose TLB entry was just filled. */
function hostAddress(b: Builder, address: Value): Value {
  return b.pure('i32.add', address, b.peek32(tlbEntryOf(b, address), 8));
}

/** (physical address in control memory, bytes): tells the code cache if the bytes' lines hold code. */
export const NOTE_CODE_STORE = defineFunction(
  'note_code_store',
  ['i32', 'i32'],
  'void',
  false,
  (b, host, bytes) => {
    const c = new Code(b);
    const pa = c.add(host, -L.RAM);
    const pfn = c.shr(pa, 12);
    b.if(c.and(b.peek8(pfn, L.PAGE_FLAGS), L.PAGE_HAS_CODE), () => {
      b.put32(L.CODE_PAGE_STORES, c.add(b.get32(L.CODE_PAGE_STORES), 1));
      const lines = b.peek64(c.shl(pfn, 3), L.PAGE_LINES);
      const line = (at: Value): Value => {
        const number = b.pure('i64.extend_i32_u', c.and(c.shr(at, 6), 63));
        return b.pure('i64.and', b.pure('i64.shr_u', lines, number), b.const64(1n));
      };
      const last = b.pure('i32.add', pa, c.add(bytes, -1));
      b.if(b.pure('i64.ne', b.pure('i64.or', line(pa), line(last)), b.const64(0n)), () => {
        b.call(codeWritten, pa, bytes);
      });
    });
  },
);

/** Nonzero if an access of `bytes` at the address crosses into the next page. */
function crosses(b: Builder, address: Value, bytes: number): Value {
  const c = new Code(b);
  return b.pure('i32.lt_u', c.k(4096 - bytes), c.and(address, 4095));
}

type Bits = 8 | 16 | 32 | 64;

function peekBits(b: Builder, bits: Bits, at: Value): Value {
  return bits === 8 ? b.peek8(at) : bits === 16 ? b.peek16(at) : bits === 32 ? b.peek32(at) : b.peek64(at);
}
function pokeBits(b: Builder, bits: Bits, at: Value, v: Value): void {
  if (bits === 8) b.poke8(at, v);
  else if (bits === 16) b.poke16(at, v);
  else if (bits === 32) b.poke32(at, v);
  else b.poke64(at, v);
}

function slowLoad(bits: Bits, byteLoad?: IrFunction): IrFunction {
  const type: Type = bits === 64 ? 'i64' : 'i32';
  return defineFunction(L.SLOW_PATH.load[bits], ['i32', 'i32'], type, true, (b, address, write) => {
    const c = new Code(b);
    if (byteLoad) {
      b.if(crosses(b, address, bits >> 3), () => {
        let sum: Value | undefined;
        for (let i = 0; i < bits >> 3; i++) {
          const byte = b.call(byteLoad, c.add(address, i), write);
          const wide = type === 'i64' ? b.pure('i64.extend_i32_u', byte) : byte;
          const shift = type === 'i64' ? b.const64(BigInt(8 * i)) : c.k(8 * i);
          const part = b.pure(`${type}.shl`, wide, shift);
          sum = sum === undefined ? part : b.pure(`${type}.or`, sum, part);
        }
        b.return(sum!);
      });
    }
    b.call(tlbFill, address, write);
    b.return(peekBits(b, bits, hostAddress(b, address)));
  });
}

function slowStore(bits: Bits, byteStore?: IrFunction): IrFunction {
  const type: Type = bits === 64 ? 'i64' : 'i32';
  return defineFunction(L.SLOW_PATH.store[bits], ['i32', type], 'void', true, (b, address, value) => {
    const c = new Code(b);
    const bytes = bits >> 3;
    b.call(tlbFill, address, c.k(1));
    if (byteStore) {
      b.if(crosses(b, address, bytes), () => {
        b.call(tlbFill, c.and(c.add(address, bytes - 1), -4096), c.k(1));
        for (let i = 0; i < bytes; i++) {
          const shift = type === 'i64' ? b.const64(BigInt(8 * i)) : c.k(8 * i);
          const part = b.pure(`${type}.shr_u`, value, shift);
          b.call(byteStore, c.add(address, i), type === 'i64' ? b.pure('i32.wrap_i64', part) : part);
        }
        b.return();
      });
    }
    const host = hostAddress(b, address);
    pokeBits(b, bits, host, value);
    b.call(NOTE_CODE_STORE, host, c.k(bytes));
    b.return();
  });
}

const slowProbe = defineFunction(L.SLOW_PATH.probe, ['i32', 'i32'], 'void', true, (b, address, bytes) => {
  const c = new Code(b);
  b.call(tlbFill, address, c.k(1));
  const last = c.and(c.add(b.pure('i32.add', address, bytes), -1), -4096);
  b.if(b.pure('i32.ne', last, c.and(address, -4096)), () => {
    b.call(tlbFill, last, c.k(1));
  });
  b.return();
});

const slowSpan = defineFunction(L.SLOW_PATH.span, ['i32', 'i32'], 'i32', false, (b, address, write) => {
  const c = new Code(b);
  const tag = b.peek32(c.sum(tlbEntryOf(b, address), c.shl(write, 2)), 0);
  const hit = b.pure('i32.eq', tag, c.and(address, -4096));
  const bytes = b.pure('i32.sub', c.k(4096), c.and(address, 4095));
  b.return(b.pure('i32.select', hit, bytes, c.k(0)));
});

const load8 = slowLoad(8);
const store8 = slowStore(8);

/** All of them; those that inline code calls have the names of `SLOW_PATH`. */
export const SLOW_PATHS: readonly IrFunction[] = [
  pageFault,
  badEntry,
  setBits,
  tlbFill,
  NOTE_CODE_STORE,
  load8,
  slowLoad(16, load8),
  slowLoad(32, load8),
  slowLoad(64, load8),
  store8,
  slowStore(16, store8),
  slowStore(32, store8),
  slowStore(64, store8),
  slowProbe,
  slowSpan,
];

/**
 * What takes entries of a range out of one TLB, as IR functions: generated code performs hypercalls that do, and `Tlb` calls
 * the same. Marks tell where entries are (`backend-wasm/memory-layout.ts`).
 */
import { type Builder, defineFunction } from '../ir/builder.js';
import type { IrFunction, Value } from '../ir/ir.js';
import {
  DATA_ENTRY_BYTES,
  FOR_LOADS,
  FOR_STORES,
  INDEX_SHIFT,
  PLACEHOLDERS,
} from '../backend-wasm/data-tlb.js';
import * as L from '../backend-wasm/memory-layout.js';
import { Code, opaque } from './ir-code.js';

/** Bytes that are copied at a time. */
const COPIED = 8;

/** Runs `body` with each multiple of `step` from `from` up to before `end`, of which there is one at least. */
function forEach(b: Builder, from: Value, end: Value, step: number, body: (at: Value) => void): void {
  const c = new Code(b);
  const place = b.newVar('i32');
  b.varSet(place, from);
  b.loopWhile(() => {
    body(b.varGet(place));
    const next = c.add(b.varGet(place), step);
    b.varSet(place, next);
    return b.pure('i32.ne', next, end);
  });
}

/** The mark of an entry for a linear address. */
export function markOf(b: Builder, linear: Value): Value {
  const c = new Code(b);
  const isUser = b.pure('i32.lt_u', linear, b.get32(L.KERNEL_START));
  return b.pure('i32.select', isUser, c.k(L.MARKED.user), c.k(L.MARKED.kernel));
}

/** The entry for a linear address goes, by `drop`, if that is between first and last; else its mark joins the variable `left`. */
function dropBetween(
  b: Builder,
  linear: Value,
  [first, last]: readonly [Value, Value],
  left: number,
  drop: () => void,
): void {
  const c = new Code(b);
  const isBetween = b.pure('i32.le_u', b.pure('i32.sub', linear, first), b.pure('i32.sub', last, first));
  b.if(isBetween, drop, () => b.varSet(left, c.or(b.varGet(left), markOf(b, linear))));
}

/** (TLB, byte in it at which a group of the data TLB starts): the group has no entries any more. */
const CLEAR_DATA_GROUP = defineFunction(
  'clear_data_group',
  ['i32', 'i32'],
  'void',
  false,
  (b, tlb, group) => {
    const c = new Code(b);
    forEach(b, group, c.add(group, L.TLB_GROUP_BYTES), COPIED, (at) =>
      b.poke64(c.sum(tlb, at), b.peek64(at, L.EMPTY_TLB)),
    );
  },
);

/** (TLB, where a group starts as above, first, last): drops those for pages from first to last → the marks of what is left. */
const DROP_DATA_IN = defineFunction(
  'drop_data_in',
  ['i32', 'i32', 'i32', 'i32'],
  'i32',
  false,
  (b, tlb, group, first, last) => {
    const c = new Code(b);
    const left = b.newVar('i32');
    b.varSet(left, c.k(0));
    forEach(b, group, c.add(group, L.TLB_GROUP_BYTES), DATA_ENTRY_BYTES, (at) => {
      // As `physicalOf`.
      const start = c.shl(at, INDEX_SHIFT);
      const entry = c.sum(tlb, at);
      const sum = opaque(b, c.sum(start, b.peek32(entry, FOR_LOADS)));
      b.if(c.eqz(c.and(sum, PLACEHOLDERS.ramEnd)), () => {
        const linear = b.pure('i32.sub', start, c.and(sum, PLACEHOLDERS.outside));
        dropBetween(b, linear, [first, last], left, () => {
          b.poke32(entry, b.peek32(at, L.EMPTY_TLB), FOR_LOADS);
          b.poke32(entry, b.peek32(at, L.EMPTY_TLB), FOR_STORES);
        });
      });
    });
    b.return(b.varGet(left));
  },
);

/** (TLB, number of a group of its execution TLB, first, last): likewise. */
const DROP_EXECUTABLE_IN = defineFunction(
  'drop_executable_in',
  ['i32', 'i32', 'i32', 'i32'],
  'i32',
  false,
  (b, tlb, group, first, last) => {
    const c = new Code(b);
    const left = b.newVar('i32');
    b.varSet(left, c.k(0));
    const from = c.sum(tlb, b.pure('i32.mul', group, c.k(L.TLB_EXECUTION_GROUP_BYTES)));
    forEach(b, from, c.add(from, L.TLB_EXECUTION_GROUP_BYTES), L.TLB_EXECUTION_ENTRY_BYTES, (entry) => {
      const tag = b.peek32(entry, L.TLB_DATA_BYTES);
      b.if(b.pure('i32.ne', tag, c.k(L.NO_TAG)), () => {
        dropBetween(b, tag, [first, last], left, () => b.poke32(entry, c.k(L.NO_TAG), L.TLB_DATA_BYTES));
      });
    });
    b.return(b.varGet(left));
  },
);

/**
 * Runs `body` with the groups that have one of the marks. `from`: where their marks begin in the TLB; `more` tells, of a
 * group's number, whether there is one with that.
 */
function forEachMarked(
  b: Builder,
  tlb: Value,
  from: number,
  marks: Value,
  more: (group: Value) => Value,
  body: (group: Value, mark: Value) => void,
): void {
  const c = new Code(b);
  const number = b.newVar('i32');
  b.varSet(number, c.k(0));
  b.loopWhile(() => {
    const inFour = b.pure('i32.mul', marks, c.k(L.MARKED_IN_FOUR));
    const four = b.peek32(c.sum(tlb, b.varGet(number)), from);
    const isFirst = c.eqz(c.and(b.varGet(number), 3));
    b.if(
      b.pure('i32.and', isFirst, c.eqz(b.pure('i32.and', four, inFour))),
      () => b.varSet(number, c.add(b.varGet(number), 4)),
      () => {
        const group = b.varGet(number);
        const mark = b.peek8(c.sum(tlb, group), from);
        b.if(b.pure('i32.and', mark, marks), () => body(group, mark));
        b.varSet(number, c.add(group, 1));
      },
    );
    return more(b.varGet(number));
  });
}

/** (TLB, marks, first, last): drops entries for pages from first to last, which are in groups with one of the marks. */
const DROP_RANGE = defineFunction(
  L.DROP_TLB_RANGE,
  ['i32', 'i32', 'i32', 'i32'],
  'void',
  false,
  (b, tlb, marks, first, last) => {
    const c = new Code(b);
    const isOfUser = (mark: Value): Value => b.pure('i32.eq', mark, c.k(L.MARKED.user));
    const start = b.get32(L.KERNEL_START);
    const isAllOfUser = b.pure(
      'i32.and',
      isOfUser(marks),
      b.pure('i32.and', c.eqz(first), b.pure('i32.eq', last, c.add(start, -1))),
    );
    const place = (group: Value): Value => b.pure('i32.mul', group, c.k(L.TLB_GROUP_BYTES));
    const isIn = (at: Value): Value => b.pure('i32.le_u', opaque(b, at), c.k(PLACEHOLDERS.indexMask));
    forEachMarked(
      b,
      tlb,
      L.TLB_GROUPS,
      marks,
      (group) => isIn(place(group)),
      (group, mark) => {
        b.if(
          b.pure('i32.and', isAllOfUser, isOfUser(mark)),
          () => {
            b.call(CLEAR_DATA_GROUP, tlb, place(group));
            b.poke8(c.sum(tlb, group), c.k(0), L.TLB_GROUPS);
          },
          () => {
            const left = b.call(DROP_DATA_IN, tlb, place(group), first, last);
            b.poke8(c.sum(tlb, group), left, L.TLB_GROUPS);
          },
        );
      },
    );
    forEachMarked(
      b,
      tlb,
      L.TLB_EXECUTION_GROUPS,
      marks,
      (group) => b.pure('i32.lt_u', group, c.k(L.TLB_EXECUTION_GROUP_COUNT)),
      (group) => {
        const left = b.call(DROP_EXECUTABLE_IN, tlb, group, first, last);
        b.poke8(c.sum(tlb, group), left, L.TLB_EXECUTION_GROUPS);
      },
    );
  },
);

/** (TLB): drops the entries for the user part. */
export const DROP_USER = defineFunction('drop_user', ['i32'], 'void', false, (b, tlb) => {
  const c = new Code(b);
  b.call(DROP_RANGE, tlb, c.k(L.MARKED.user), c.k(0), c.add(b.get32(L.KERNEL_START), -1));
});

/** (TLB): likewise, and they are told to be in no range any more. */
export const DROP_USER_RANGES = defineFunction(L.DROP_TLB_USER_RANGES, ['i32'], 'void', false, (b, tlb) => {
  const c = new Code(b);
  // The range that the kernel's part begins in is not all of the user's.
  const ranges = c.shr(b.get32(L.KERNEL_START), L.TLB_RANGE_BITS);
  b.if(ranges, () =>
    forEach(b, c.k(0), ranges, 1, (range) => b.poke8(c.sum(tlb, range), c.k(0), L.TLB_RANGES)),
  );
  b.call(DROP_USER, tlb);
});

/** All of them. */
export const TLB_DROP_FUNCTIONS: readonly IrFunction[] = [
  CLEAR_DATA_GROUP,
  DROP_DATA_IN,
  DROP_EXECUTABLE_IN,
  DROP_RANGE,
  DROP_USER,
  DROP_USER_RANGES,
];

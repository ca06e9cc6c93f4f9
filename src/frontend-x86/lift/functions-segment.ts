/** Descriptor reads, checks and segment register loads (Intel SDM vol. 3, chapters 3.4 and 5), out of line. */
import { defineFunction, type Builder } from '../../ir/builder.js';
import type { CallTarget, IrFunction, Value } from '../../ir/ir.js';
import {
  CPL,
  DS,
  ES,
  FS,
  GDT_ADDRESS,
  GDT_LIMIT,
  GS,
  SEGMENT_ATTR,
  SEGMENT_ATTR_MASK,
  SEGMENT_BASE,
  SEGMENT_LIMIT,
  SEGMENT_LOADED,
  SELECTOR,
  SS,
} from '../cpu-state.js';
import { FLAT_DATA } from '../flat-segments.js';
import { Lifter } from './context.js';
import { VECTOR } from '../vectors.js';

/** Attribute bits as in SEGMENT_ATTR. */
export const ATTR = { writableOrReadable: 2, conforming: 4, code: 8, s: 0x10, present: 0x80 } as const;

/** Attributes of a descriptor, as SEGMENT_ATTR holds them. */
export function attributes(b: Builder, descriptor: Value): Value {
  const high = b.pure('i32.wrap_i64', b.pure('i64.shr_u', descriptor, b.const64(40n)));
  return b.pure('i32.and', high, b.const32(SEGMENT_ATTR_MASK));
}
function dplOf(x: Lifter, attr: Value): Value {
  return x.andC(x.shrC(attr, 5), 3);
}
function rplOf(x: Lifter, selector: Value): Value {
  return x.andC(selector, 3);
}
function has(x: Lifter, attr: Value, mask: number, wanted: number): Value {
  return x.eqC(x.andC(attr, mask), wanted);
}
/** Raises with the selector as error code. */
function refuse(x: Lifter, condition: Value, vector: number, selector: Value): void {
  x.b.if(condition, () => x.b.raise(vector, x.andC(selector, 0xfffc)));
}
/** The greater of CPL and RPL. */
function effective(x: Lifter, selector: Value): Value {
  const cpl = x.b.get32(CPL);
  const rpl = rplOf(x, selector);
  return x.select(x.ltU(cpl, rpl), rpl, cpl);
}

/** (selector) -> its GDT descriptor, 0 if there is none: null, in the (absent) LDT, or beyond the limit. */
export const DESCRIPTOR_OR_ZERO = defineFunction(
  'descriptor_or_zero',
  ['i32'],
  'i64',
  false,
  (b, selector) => {
    const x = new Lifter(b);
    const offset = x.andC(selector, 0xfff8);
    const last = x.addC(offset, 7);
    const absent = x.or(
      x.or(x.eqz(x.andC(selector, 0xfffc)), x.andC(selector, 4)),
      x.ltU(b.get32(GDT_LIMIT), last),
    );
    b.if(absent, () => b.return(b.const64(0n)));
    b.return(b.peek64(x.add(b.get32(GDT_ADDRESS), offset)));
  },
);

// What a segment load does is written out in each function that does one: calls between them cost system calls a third of
// their time.

/** The GDT descriptor of a selector that is not null; #GP(selector) if there is none. */
function descriptorOf(x: Lifter, selector: Value): Value {
  const offset = x.andC(selector, 0xfff8);
  const beyond = x.ltU(x.b.get32(GDT_LIMIT), x.addC(offset, 7));
  refuse(x, x.or(x.andC(selector, 4), beyond), VECTOR.GP, selector);
  return x.b.peek64(x.add(x.b.get32(GDT_ADDRESS), offset));
}

/** A descriptor's limit in bytes - 1. */
export function descriptorLimit(b: Builder, descriptor: Value): Value {
  const x = new Lifter(b);
  const low = b.pure('i32.wrap_i64', descriptor);
  const high = b.pure('i32.wrap_i64', b.pure('i64.shr_u', descriptor, b.const64(32n)));
  const limit = x.or(x.andC(low, 0xffff), x.andC(high, 0xf0000));
  const pages = x.orC(x.shlC(limit, 12), 0xfff);
  return x.select(x.andC(high, 0x800000), pages, limit);
}

/** Loads a segment register and its hidden part, marked accessed. */
export function setSegment(b: Builder, segment: Value, selector: Value, descriptor: Value): void {
  const x = new Lifter(b);
  const slot = x.shlC(segment, 2);
  const low = b.pure('i32.wrap_i64', b.pure('i64.shr_u', descriptor, b.const64(16n)));
  const high = b.pure('i32.wrap_i64', b.pure('i64.shr_u', descriptor, b.const64(32n)));
  b.poke32(slot, selector, SELECTOR);
  b.poke32(slot, x.or(x.andC(low, 0xffffff), x.andC(high, 0xff000000)), SEGMENT_BASE);
  b.poke32(slot, descriptorLimit(b, descriptor), SEGMENT_LIMIT);
  b.poke32(slot, x.orC(attributes(b, descriptor), 1), SEGMENT_ATTR);
}

/** (segment, selector): a null selector makes the register unusable. */
const SET_NULL = defineFunction('set_null', ['i32', 'i32'], 'void', false, (b, segment, selector) => {
  const x = new Lifter(b);
  const slot = x.shlC(segment, 2);
  b.poke32(slot, selector, SELECTOR);
  b.poke32(slot, x.c(0), SEGMENT_BASE);
  b.poke32(slot, x.c(0), SEGMENT_LIMIT);
  b.poke32(slot, x.c(0), SEGMENT_ATTR);
});

/** Whoever runs the code is told that ES or DS, which instructions are decoded for, is not flat any more. */
const NOT_FLAT: CallTarget = { name: 'segments_not_flat', params: [], result: 'void', faults: false };

/** Says so if the segment is not flat. */
function lookWhetherFlat(b: Builder, segment: Value): void {
  const x = new Lifter(b);
  const slot = x.shlC(segment, 2);
  const attr = x.andC(b.peek32(slot, SEGMENT_ATTR), FLAT_DATA.must | FLAT_DATA.mustNot);
  const shape = x.or(b.peek32(slot, SEGMENT_BASE), x.xorC(b.peek32(slot, SEGMENT_LIMIT), -1));
  b.if(x.or(shape, x.xorC(attr, FLAT_DATA.must)), () => {
    b.call(NOT_FLAT);
  });
}

/** Loads ES, DS, FS or GS (Intel SDM vol. 2, MOV), and then does something else, unless the load has changed nothing. */
function loadDataSegment(b: Builder, segment: Value, selector: Value, then?: () => void): void {
  const x = new Lifter(b);
  b.if(x.eqz(x.andC(selector, 0xfffc)), () => {
    b.call(SET_NULL, segment, selector);
    then?.();
    b.return();
  });
  const descriptor = descriptorOf(x, selector);
  // Kernels load the same into ES and DS whenever they are entered. It was checked when it was loaded; whoever is less
  // privileged since has lost what it may not use.
  const loaded = b.peek64(x.shlC(segment, 3), SEGMENT_LOADED);
  const known = x.op('i32.eq', b.peek32(x.shlC(segment, 2), SELECTOR), selector);
  b.if(x.and(known, b.pure('i64.eq', loaded, descriptor)), () => {
    b.return();
  });
  const attr = attributes(b, descriptor);
  const system = x.eqz(x.andC(attr, ATTR.s));
  const kind = ATTR.code | ATTR.writableOrReadable;
  const unreadable = has(x, attr, kind, ATTR.code);
  const checked = x.xorC(has(x, attr, ATTR.code | ATTR.conforming, 0xc), 1);
  const tooPrivileged = x.and(checked, x.ltU(dplOf(x, attr), effective(x, selector)));
  refuse(x, x.or(x.or(system, unreadable), tooPrivileged), VECTOR.GP, selector);
  refuse(x, x.eqz(x.andC(attr, ATTR.present)), VECTOR.NP, selector);
  setSegment(b, segment, selector, descriptor);
  b.poke64(x.shlC(segment, 3), descriptor, SEGMENT_LOADED);
  then?.();
  b.return();
}

/** (segment, selector): loads ES, DS, FS or GS. */
export const LOAD_DATA_SEGMENT = defineFunction(
  'load_data_segment',
  ['i32', 'i32'],
  'void',
  true,
  (b, segment, selector) => {
    loadDataSegment(b, segment, selector);
  },
);

/** (segment, selector): loads ES or DS where instructions are decoded for flat ones. */
export const LOAD_FLAT_SEGMENT = defineFunction(
  'load_flat_segment',
  ['i32', 'i32'],
  'void',
  true,
  (b, segment, selector) => {
    loadDataSegment(b, segment, selector, () => lookWhetherFlat(b, segment));
  },
);

/** (selector, level) -> descriptor of a stack segment for that privilege level; faults as a load of SS. */
export const STACK_DESCRIPTOR = defineFunction(
  'stack_descriptor',
  ['i32', 'i32'],
  'i64',
  true,
  (b, selector, level) => {
    const x = new Lifter(b);
    x.raiseIf(x.eqz(x.andC(selector, 0xfffc)), VECTOR.GP);
    const descriptor = descriptorOf(x, selector);
    const attr = attributes(b, descriptor);
    const writableData = has(x, attr, ATTR.s | ATTR.code | ATTR.writableOrReadable, 0x12);
    const wrongLevel = x.or(x.op('i32.ne', rplOf(x, selector), level), x.op('i32.ne', dplOf(x, attr), level));
    refuse(x, x.or(x.xorC(writableData, 1), wrongLevel), VECTOR.GP, selector);
    refuse(x, x.eqz(x.andC(attr, ATTR.present)), VECTOR.SS, selector);
    b.return(descriptor);
  },
);

/** (selector): loads SS. */
export const LOAD_STACK_SEGMENT = defineFunction(
  'load_stack_segment',
  ['i32'],
  'void',
  true,
  (b, selector) => {
    const descriptor = b.call(STACK_DESCRIPTOR, selector, b.get32(CPL));
    setSegment(b, b.const32(SS), selector, descriptor);
  },
);

/**
 * (selector, offset) -> descriptor of the code segment that a far jump or call goes to, at the same privilege
 * (Intel SDM vol. 2, JMP). Gates and tasks: #GP(selector). The offset must be within its limit.
 */
export const FAR_CODE_DESCRIPTOR = defineFunction(
  'far_code_descriptor',
  ['i32', 'i32'],
  'i64',
  true,
  (b, selector, offset) => {
    const x = new Lifter(b);
    x.raiseIf(x.eqz(x.andC(selector, 0xfffc)), VECTOR.GP);
    const descriptor = descriptorOf(x, selector);
    const attr = attributes(b, descriptor);
    const cpl = b.get32(CPL);
    const notCode = x.xorC(has(x, attr, ATTR.s | ATTR.code, 0x18), 1);
    const dpl = dplOf(x, attr);
    const badConforming = x.ltU(cpl, dpl);
    const badPlain = x.or(x.ltU(cpl, rplOf(x, selector)), x.op('i32.ne', dpl, cpl));
    const bad = x.select(x.andC(attr, ATTR.conforming), badConforming, badPlain);
    refuse(x, x.or(notCode, bad), VECTOR.GP, selector);
    refuse(x, x.eqz(x.andC(attr, ATTR.present)), VECTOR.NP, selector);
    x.raiseIf(x.ltU(descriptorLimit(b, descriptor), offset), VECTOR.GP);
    b.return(descriptor);
  },
);

/** (selector, offset) -> descriptor of the code segment a far return or iret goes to (Intel SDM vol. 2, RET, IRET). */
export const RETURN_CODE_DESCRIPTOR = defineFunction(
  'return_code_descriptor',
  ['i32', 'i32'],
  'i64',
  true,
  (b, selector, offset) => {
    const x = new Lifter(b);
    x.raiseIf(x.eqz(x.andC(selector, 0xfffc)), VECTOR.GP);
    const descriptor = descriptorOf(x, selector);
    const attr = attributes(b, descriptor);
    const notCode = x.xorC(has(x, attr, ATTR.s | ATTR.code, 0x18), 1);
    const rpl = rplOf(x, selector);
    const inner = x.ltU(rpl, b.get32(CPL));
    const dpl = dplOf(x, attr);
    const conforming = x.andC(attr, ATTR.conforming);
    const badLevel = x.select(conforming, x.ltU(rpl, dpl), x.op('i32.ne', dpl, rpl));
    refuse(x, x.or(x.or(notCode, inner), badLevel), VECTOR.GP, selector);
    refuse(x, x.eqz(x.andC(attr, ATTR.present)), VECTOR.NP, selector);
    x.raiseIf(x.ltU(descriptorLimit(b, descriptor), offset), VECTOR.GP);
    b.return(descriptor);
  },
);

/** After a return to an outer level: data segments that it may not use become null (Intel SDM vol. 3, 5.8.6). */
export const NULL_INNER_SEGMENTS = defineFunction('null_inner_segments', [], 'void', false, (b) => {
  const x = new Lifter(b);
  const cpl = b.get32(CPL);
  for (const segment of [ES, DS, FS, GS]) {
    const attr = b.get32(SEGMENT_ATTR + 4 * segment);
    const checked = x.xorC(has(x, attr, ATTR.code | ATTR.conforming, 0xc), 1);
    const inner = x.and(x.op('i32.ne', attr, x.c(0)), x.ltU(dplOf(x, attr), cpl));
    b.if(x.and(checked, inner), () => {
      b.call(SET_NULL, x.c(segment), x.c(0));
    });
  }
});

/** System descriptor types `lar` and `lsl` know, as bit sets (Intel SDM vol. 2, tables 3-53 and 3-54). */
const LAR_TYPES = 0b0001_1010_0011_1110;
const LSL_TYPES = 0b0000_1010_0000_1110;

/** (descriptor, selector, system types allowed) -> 1 if visible at CPL and RPL. */
export const DESCRIPTOR_VISIBLE = defineFunction(
  'descriptor_visible',
  ['i64', 'i32', 'i32'],
  'i32',
  false,
  (b, descriptor, selector, types) => {
    const x = new Lifter(b);
    const attr = attributes(b, descriptor);
    const system = x.andC(x.shr(types, x.andC(attr, 15)), 1);
    const known = x.select(x.andC(attr, ATTR.s), x.c(1), system);
    const conforming = has(x, attr, ATTR.s | ATTR.code | ATTR.conforming, 0x1c);
    const reachable = x.leU(effective(x, selector), dplOf(x, attr));
    b.return(x.and(known, x.or(conforming, reachable)));
  },
);

export const DESCRIPTOR_TYPES = { lar: LAR_TYPES, lsl: LSL_TYPES } as const;

export const SEGMENT_FUNCTIONS: readonly IrFunction[] = [
  DESCRIPTOR_OR_ZERO,
  SET_NULL,
  LOAD_DATA_SEGMENT,
  LOAD_FLAT_SEGMENT,
  STACK_DESCRIPTOR,
  LOAD_STACK_SEGMENT,
  FAR_CODE_DESCRIPTOR,
  RETURN_CODE_DESCRIPTOR,
  NULL_INNER_SEGMENTS,
  DESCRIPTOR_VISIBLE,
];

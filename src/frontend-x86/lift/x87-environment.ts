/** The x87 environment and state in memory (Intel SDM vol. 1, 8.1.10 and figures 8-9, 8-11, 8-13). */
import { defineFunction } from '../../ir/builder.js';
import type { IrFunction } from '../../ir/ir.js';
import {
  FPU_CONTROL,
  FPU_EXPONENT,
  FPU_LAST_CS,
  FPU_LAST_DATA,
  FPU_LAST_DS,
  FPU_LAST_EIP,
  FPU_LAST_OPCODE,
  FPU_MANTISSA,
  FPU_STATUS,
  FPU_TAGS,
  FPU_TOP,
} from '../cpu-state.js';
import { Code, Int, fn } from './x87-code.js';
import { BUSY, ES, EXPONENT, INTEGER_BIT, inUse, mantissaOf, physical, seOf } from './x87-round.js';
import { SUMMARIZE } from './x87-stack.js';

export const INITIAL_CONTROL = 0x37f;

/** Status word with TOP in bits 11..13. */
export function statusWord(c: Code): Int {
  return c.get(FPU_STATUS).or(c.get(FPU_TOP).shl(11));
}
/** Reserved bits read as 0, bit 6 as 1. */
export function putControl(c: Code, word: Int): void {
  c.put(FPU_CONTROL, word.and(0x1f3f).or(0x40));
  c.call(SUMMARIZE);
}

/** The tag word: 0 valid, 1 zero, 2 special, 3 empty, for each physical register. */
export const TAG_WORD = fn('x87_tag_word', [], 'i32', (c) => {
  const word = c.intVar(0);
  const r = c.intVar(7);
  c.loop(() => {
    const n = r.get();
    const m = mantissaOf(n);
    const e = seOf(n).and(EXPONENT);
    const zero = e.or(m.ne(0n)).not();
    const normal = e.ne(0).and(e.ne(EXPONENT)).and(m.geU(INTEGER_BIT));
    const tag = inUse(n).pick(zero.pick(1, normal.pick(0, 2)), 3);
    word.set(word.get().shl(2).or(tag));
    r.set(n.sub(1));
    return n;
  });
  c.return(word.get());
});

export const INIT = fn('x87_init', [], 'void', (c) => {
  c.put(FPU_CONTROL, INITIAL_CONTROL);
  for (const slot of [
    FPU_STATUS,
    FPU_TOP,
    FPU_TAGS,
    FPU_LAST_EIP,
    FPU_LAST_CS,
    FPU_LAST_DATA,
    FPU_LAST_DS,
    FPU_LAST_OPCODE,
  ]) {
    c.put(slot, 0);
  }
});

/** What the environment holds, in the order of memory; the 16-bit form has the low words of it (and no opcode). */
function environment(c: Code, wide: boolean): Int[] {
  const fill = wide ? 0xffff_0000 | 0 : 0;
  const selector = c.get(FPU_LAST_CS);
  return [
    c.get(FPU_CONTROL).or(fill),
    statusWord(c).or(fill),
    c.call(TAG_WORD).or(fill),
    c.get(FPU_LAST_EIP),
    wide ? selector.or(c.get(FPU_LAST_OPCODE).shl(16)) : selector,
    c.get(FPU_LAST_DATA),
    c.get(FPU_LAST_DS).or(fill),
  ];
}

/** By operand size: stores the environment at a linear address, and masks all exceptions. */
export const STORE_ENVIRONMENT: Record<2 | 4, IrFunction> = { 2: store(2), 4: store(4) };
function store(size: 2 | 4): IrFunction {
  return defineFunction(`x87_stenv${size * 8}`, ['i32'], 'void', true, (b, address) => {
    const c = new Code(b);
    const at = new Int(c, address);
    b.probe(address, 7 * size);
    environment(c, size === 4).forEach((v, k) => {
      const a = at.add(k * size).v;
      if (size === 4) b.st32(a, v.v);
      else b.st16(a, v.v);
    });
    c.put(FPU_CONTROL, c.get(FPU_CONTROL).or(0x3f));
    c.put(FPU_STATUS, c.get(FPU_STATUS).and(~(ES | BUSY)));
  });
}

/** Stores environment and registers, then initialises. */
export const SAVE: Record<2 | 4, IrFunction> = { 2: save(2), 4: save(4) };
function save(size: 2 | 4): IrFunction {
  return defineFunction(`x87_save${size * 8}`, ['i32'], 'void', true, (b, address) => {
    const c = new Code(b);
    const at = new Int(c, address);
    b.probe(address, 7 * size + 80);
    b.call(STORE_ENVIRONMENT[size], address);
    const i = c.intVar(0);
    c.loop(() => {
      const n = i.get();
      const r = physical(c, n);
      const a = at.add(n.mul(10)).add(7 * size);
      b.st64(a.v, mantissaOf(r).v);
      b.st16(a.add(8).v, seOf(r).v);
      const next = n.add(1);
      i.set(next);
      return next.lt(8);
    });
    c.call(INIT);
  });
}

function readEnvironment(c: Code, size: 2 | 4, at: Int): void {
  const read = (k: number): Int => {
    const a = at.add(k * size).v;
    return new Int(c, size === 4 ? c.b.ld32(a) : c.b.ld16(a));
  };
  const words = [0, 1, 2, 3, 4, 5, 6].map(read) as [Int, Int, Int, Int, Int, Int, Int];
  const [control, status, tagWord, eip, cs, data, ds] = words;
  c.put(FPU_STATUS, status.and(0x477f | ES | BUSY));
  c.put(FPU_TOP, status.shr(11).and(7));
  const tags = c.intVar(0);
  const r = c.intVar(7);
  c.loop(() => {
    const n = r.get();
    const used = tagWord.shr(n.shl(1)).and(3).ne(3);
    tags.set(tags.get().shl(1).or(used));
    r.set(n.sub(1));
    return n;
  });
  c.put(FPU_TAGS, tags.get());
  c.put(FPU_LAST_EIP, eip);
  c.put(FPU_LAST_CS, cs.and(0xffff));
  c.put(FPU_LAST_DATA, data);
  c.put(FPU_LAST_DS, ds.and(0xffff));
  if (size === 4) c.put(FPU_LAST_OPCODE, cs.shr(16).and(0x7ff));
  putControl(c, control);
}

export const LOAD_ENVIRONMENT: Record<2 | 4, IrFunction> = { 2: load(2), 4: load(4) };
function load(size: 2 | 4): IrFunction {
  return defineFunction(`x87_ldenv${size * 8}`, ['i32'], 'void', true, (b, address) => {
    const c = new Code(b);
    readEnvironment(c, size, new Int(c, address));
  });
}

export const RESTORE: Record<2 | 4, IrFunction> = { 2: restore(2), 4: restore(4) };
function restore(size: 2 | 4): IrFunction {
  return defineFunction(`x87_rstor${size * 8}`, ['i32'], 'void', true, (b, address) => {
    const c = new Code(b);
    const at = new Int(c, address);
    // The area touches two pages at most: after its first and last byte no load faults.
    b.ld8(address);
    b.ld8(at.add(7 * size + 79).v);
    readEnvironment(c, size, at);
    const i = c.intVar(0);
    c.loop(() => {
      const n = i.get();
      const r = physical(c, n);
      const a = at.add(n.mul(10)).add(7 * size);
      b.poke64(r.shl(3).v, b.ld64(a.v), FPU_MANTISSA);
      b.poke32(r.shl(2).v, b.ld16(a.add(8).v), FPU_EXPONENT);
      const next = n.add(1);
      i.set(next);
      return next.lt(8);
    });
  });
}

export const ENVIRONMENT_FUNCTIONS: readonly IrFunction[] = [
  TAG_WORD,
  INIT,
  ...[STORE_ENVIRONMENT, SAVE, LOAD_ENVIRONMENT, RESTORE].flatMap((t) => [t[2], t[4]]),
];

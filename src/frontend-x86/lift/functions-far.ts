/** Far jumps, far returns and iret, out of line. Each checks everything before it changes anything. */
import { defineFunction } from '../../ir/builder.js';
import type { IrFunction, Value } from '../../ir/ir.js';
import { CPL, CS, ESP, F_NT, FLAGS_SYSTEM, SS } from '../cpu-state.js';
import type { Instruction } from '../instruction.js';
import { Lifter } from './context.js';
import { VECTOR } from '../vectors.js';
import { EFLAGS_SET } from './functions-flags.js';
import {
  FAR_CODE_DESCRIPTOR,
  NULL_INNER_SEGMENTS,
  RETURN_CODE_DESCRIPTOR,
  setSegment,
  STACK_DESCRIPTOR,
} from './functions-segment.js';

/** (selector, offset) -> eip. Loads CS. */
export const FAR_JUMP = defineFunction('far_jump', ['i32', 'i32'], 'i32', true, (b, selector, offset) => {
  const x = new Lifter(b);
  const descriptor = b.call(FAR_CODE_DESCRIPTOR, selector, offset);
  const atCpl = x.or(x.andC(selector, 0xfffc), b.get32(CPL));
  setSegment(b, x.c(CS), atCpl, descriptor);
  b.return(offset);
});

/** What a return does with the stack: bytes popped before and after SS:ESP of an outer level. */
function returnTo(
  x: Lifter,
  i: Instruction,
  size: 2 | 4,
  /** Stack words that were popped: eip, cs (and flags). */
  words: number,
  eip: Value,
  selector: Value,
  extra: Value | undefined,
  commit: () => void,
): void {
  const b = x.b;
  const descriptor = b.call(RETURN_CODE_DESCRIPTOR, selector, eip);
  const sp = x.sp(i);
  const skipped = x.addC(sp, words * size);
  const above = extra === undefined ? skipped : x.add(skipped, extra);
  const rpl = x.andC(selector, 3);
  b.if(
    x.eq(rpl, b.get32(CPL)),
    () => {
      x.setSp(i, above);
      setSegment(b, x.c(CS), selector, descriptor);
      commit();
    },
    () => {
      const newSp = x.load(x.stackAddress(i, above, 0, size, false), size);
      const newSs = b.ld16(x.stackAddress(i, above, size, 2, false));
      const stack = b.call(STACK_DESCRIPTOR, newSs, rpl);
      setSegment(b, x.c(CS), selector, descriptor);
      setSegment(b, x.c(SS), newSs, stack);
      b.put32(CPL, rpl);
      b.put32(ESP, extra === undefined ? newSp : x.add(newSp, extra));
      commit();
      b.call(NULL_INNER_SEGMENTS);
    },
  );
  b.return(eip);
}

function suffix(size: 2 | 4, flat: boolean): string {
  return `${8 * size}${flat ? '' : '_segmented'}`;
}

/** (bytes to release) -> eip. Intel SDM vol. 2, RET. */
function defineFarReturn(size: 2 | 4, flat: boolean): IrFunction {
  const i = { flat } as Instruction;
  return defineFunction(`far_return${suffix(size, flat)}`, ['i32'], 'i32', true, (b, extra) => {
    const x = new Lifter(b);
    const sp = x.sp(i);
    const eip = x.load(x.stackAddress(i, sp, 0, size, false), size);
    const selector = b.ld16(x.stackAddress(i, sp, size, 2, false));
    returnTo(x, i, size, 2, eip, selector, extra, () => undefined);
  });
}

/** () -> eip. Intel SDM vol. 2, IRET, without tasks (#GP) and virtual 8086 mode (the VM bit is ignored). */
function defineIret(size: 2 | 4, flat: boolean): IrFunction {
  const i = { flat } as Instruction;
  return defineFunction(`iret${suffix(size, flat)}`, [], 'i32', true, (b) => {
    const x = new Lifter(b);
    x.raiseIf(x.andC(b.get32(FLAGS_SYSTEM), F_NT), VECTOR.GP);
    const sp = x.sp(i);
    const eip = x.load(x.stackAddress(i, sp, 0, size, false), size);
    const selector = b.ld16(x.stackAddress(i, sp, size, 2, false));
    const image = x.load(x.stackAddress(i, sp, 2 * size, size, false), size);
    returnTo(x, i, size, 3, eip, selector, undefined, () => {
      b.call(EFLAGS_SET, image, x.c(size === 2 ? 0xffff : -1));
    });
  });
}

function variants(define: (size: 2 | 4, flat: boolean) => IrFunction) {
  return {
    2: { flat: define(2, true), segmented: define(2, false) },
    4: { flat: define(4, true), segmented: define(4, false) },
  } as const;
}

const FAR_RETURN = variants(defineFarReturn);
export const IRET = variants(defineIret);

export function farReturn(size: 2 | 4, flat: boolean): IrFunction {
  return FAR_RETURN[size][flat ? 'flat' : 'segmented'];
}

export const FAR_FUNCTIONS: readonly IrFunction[] = [
  FAR_JUMP,
  ...[FAR_RETURN, IRET].flatMap((table) => [table[2], table[4]].flatMap((v) => [v.flat, v.segmented])),
];

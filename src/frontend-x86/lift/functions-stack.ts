/** `enter`, out of line: its nesting levels need a loop. */
import { Builder } from '../../ir/builder.js';
import type { IrFunction } from '../../ir/ir.js';
import { EBP } from '../cpu-state.js';
import type { Instruction } from '../instruction.js';
import { Lifter } from './context.js';

/** (frame bytes, nesting level 0..31): Intel SDM vol. 2, ENTER. */
function define(size: 2 | 4, flat: boolean): IrFunction {
  const b = new Builder();
  b.newVar('i32');
  b.newVar('i32');
  const bytes = b.varGet(0);
  const level = b.varGet(1);
  const x = new Lifter(b);
  const i = { flat } as Instruction;
  const sp = x.sp(i);
  const bp = b.get32(EBP);
  const frame = x.subC(sp, size);
  // The frame pointer is all of esp, also on a 16-bit stack.
  const framePointer = x.espWith(i, frame);
  // Level n > 0 copies n - 1 frame pointers and pushes its own. Everything is checked before anything is stored.
  const pointers = level;
  const last = x.sub(x.sub(frame, x.shlC(pointers, size === 4 ? 2 : 1)), bytes);
  b.probe(x.stackAddress(i, sp, -size, size, true), size);
  b.probe(x.stackAddress(i, last, 0, size, true), size);
  const n = b.newVar('i32');
  const step = (index: ReturnType<typeof b.varGet>) => x.shlC(index, size === 4 ? 2 : 1);
  b.varSet(n, x.c(1));
  b.if(x.ltU(x.c(1), level), () => {
    // The copies' sources and targets, each checked.
    b.loopWhile(() => {
      const offset = step(b.varGet(n));
      x.load(x.stackAddress(i, x.sub(bp, offset), 0, size, false), size);
      b.probe(x.stackAddress(i, x.sub(frame, offset), 0, size, true), size);
      b.varSet(n, x.addC(b.varGet(n), 1));
      return x.ltU(b.varGet(n), level);
    });
  });
  b.if(level, () => {
    b.probe(x.stackAddress(i, x.sub(frame, step(level)), 0, size, true), size);
  });
  x.store(x.stackAddress(i, sp, -size, size, true), size, bp);
  b.varSet(n, x.c(1));
  b.if(x.ltU(x.c(1), level), () => {
    b.loopWhile(() => {
      const offset = step(b.varGet(n));
      const v = x.load(x.stackAddress(i, x.sub(bp, offset), 0, size, false), size);
      x.store(x.stackAddress(i, x.sub(frame, offset), 0, size, true), size, v);
      b.varSet(n, x.addC(b.varGet(n), 1));
      return x.ltU(b.varGet(n), level);
    });
  });
  b.if(level, () => {
    x.store(x.stackAddress(i, x.sub(frame, step(level)), 0, size, true), size, framePointer);
  });
  x.setSp(i, last);
  x.putReg(EBP, size, framePointer);
  b.return();
  return {
    name: `enter${8 * size}${flat ? '' : '_segmented'}`,
    params: ['i32', 'i32'],
    result: 'void',
    faults: true,
    body: b.block(),
  };
}

const ENTER = {
  2: { flat: define(2, true), segmented: define(2, false) },
  4: { flat: define(4, true), segmented: define(4, false) },
} as const;

export function enterFunction(size: 2 | 4, flat: boolean): IrFunction {
  return ENTER[size][flat ? 'flat' : 'segmented'];
}

export const STACK_FUNCTIONS: readonly IrFunction[] = [
  ENTER[2].flat,
  ENTER[4].flat,
  ENTER[2].segmented,
  ENTER[4].segmented,
];

/** All IR functions of the integer lifter, callees before callers. */
import type { IrFunction } from '../../ir/ir.js';
import { FAR_FUNCTIONS } from './functions-far.js';
import { FLAG_FUNCTIONS } from './functions-flags.js';
import { SEGMENT_LINEAR } from './functions-memory.js';
import { SEGMENT_FUNCTIONS } from './functions-segment.js';
import { STACK_FUNCTIONS } from './functions-stack.js';
import { STRING_FUNCTIONS } from './functions-string.js';
import { FXSR_FUNCTIONS } from './fxsr.js';
import { X87_FUNCTIONS } from './x87.js';

export const INTEGER_FUNCTIONS: readonly IrFunction[] = [
  SEGMENT_LINEAR,
  ...FLAG_FUNCTIONS,
  ...SEGMENT_FUNCTIONS,
  ...FAR_FUNCTIONS,
  ...STACK_FUNCTIONS,
  ...STRING_FUNCTIONS,
];

/** All IR functions that lifted code may call. */
export const FUNCTIONS: readonly IrFunction[] = [...INTEGER_FUNCTIONS, ...X87_FUNCTIONS, ...FXSR_FUNCTIONS];

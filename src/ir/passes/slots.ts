/** Which bytes of the CPU state an op reads or writes. */
import type { Op } from '../ir.js';
import type { OpName } from '../ops.js';

/** A one-byte field can name a slot below 256; the widest access from there ends before this one. */
export const MAY_ALIAS_FIELDS = 256 + 8;

const WIDTH: { readonly [K in OpName]?: number } = {
  get8: 1,
  get16: 2,
  get32: 4,
  get64: 8,
  put8: 1,
  put16: 2,
  put32: 4,
  put64: 8,
};

export interface SlotAccess {
  /** Undefined for a field: any bytes below `MAY_ALIAS_FIELDS`. */
  readonly slot: number | undefined;
  /** Bytes. */
  readonly width: number;
  readonly write: boolean;
}

/** The access a get or put makes; undefined for all other ops. */
export function slotAccess(op: Op): SlotAccess | undefined {
  const width = WIDTH[op.name];
  if (width === undefined) return undefined;
  return { slot: typeof op.imm === 'number' ? op.imm : undefined, width, write: op.type === 'void' };
}

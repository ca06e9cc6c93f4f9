/**
 * Predecoded records: what the interpreter runs. A record is
 *
 *     u16 handler | u16 offset of the instruction in its page | u8 instructions left in the block, itself included |
 *     u8 fields … | (aligned) i32 fields … | (link dwords)
 *
 * A direct jump's target is a pair of dwords {target as an offset from the page's start, link}: the link is the
 * address of the target's record once that is known to lie in the same page, else 0.
 */
import { type Block, Field, type Operand } from '../ir/ir.js';

export const RECORD_HANDLER = 0;
export const RECORD_OFFSET = 2;
export const RECORD_LEFT = 4;
export const RECORD_FIELDS = 5;

/** Of `region` records: the entry's number among all installed ones. */
export const RECORD_ENTRY = 6;
/** Of those that a code map names: the first record of the block as instructions, for small budgets; 0 = not made. */
export const RECORD_PLAIN = 8;
/** Of `cross` records: the code map expected for the next page. */
export const RECORD_CROSS_MAP = 8;
/** In front of a block's first record: a dword that counts down the block's instructions as they are executed. */
export const RECORD_HEAT = -4;

/** Handlers that are no instruction forms. */
export const HANDLER = {
  /** Goes to the record's instruction through a fresh lookup: ends blocks, and replaces dropped records. */
  resume: 0,
  /** {dword at RECORD_CROSS_MAP}: guards an instruction that straddles pages. */
  cross: 1,
  /** {u16 at RECORD_ENTRY: number of the entry}: runs a translated region from one of its entries on. */
  region: 2,
  /** First handler of an instruction form. */
  first: 3,
} as const;

/**
 * What a function of rare handlers, or a region, returns; a function of rare handlers else returns the address of the
 * next record. `lookup` and `resolve`: go on at EIP, by the inline lookup or by the runtime's. `exit`: leave from the
 * record (EXIT_* are set). `left`: leave; EIP and FUEL are already right. `missed`, of regions: go on at EIP with the
 * instruction's own record, as the TLB has not what the region wanted.
 */
export const RETURNS = { lookup: 0, exit: -1, resolve: -2, left: -3, missed: -4 } as const;

/** Bytes of the region record. */
export const REGION_RECORD_BYTES = 12;
/** Bytes of the two special records. */
export const RESUME_BYTES = 8;
export const CROSS_BYTES = 12;

/** Where the fields of a form stand. */
export interface RecordLayout {
  /** Field name → byte offset in the record, in a form's order. */
  readonly fields: readonly { readonly name: string; readonly width: 1 | 4; readonly at: number }[];
  readonly bytes: number;
}

/** The field that the interpreter adds to a form that leaves: where the next instruction starts. */
export const NEXT_FIELD = 'next';

/** Name of a field of the instruction number `index` of a handler. */
export function fieldNameOf(name: string, index: number): string {
  return index === 0 ? name : `${index}.${name}`;
}

/** Fields used in a form's IR, and its direct targets. */
function scan(block: Block): { bytes: Set<string>; words: Set<string>; targets: Set<string> } {
  const bytes = new Set<string>();
  const words = new Set<string>();
  const targets = new Set<string>();
  const note = (o: unknown): void => {
    if (o instanceof Field) (o.width === 1 ? bytes : words).add(o.name);
  };
  const target = (o: Operand): void => {
    if (o instanceof Field) targets.add(o.name);
  };
  for (const op of block.ops) {
    if (op.name === 'goto') target(op.imm as Operand);
    else if (op.name === 'branch') for (const t of op.imm as readonly [Operand, Operand]) target(t);
    else note(op.imm);
    if (op.name === 'leave') words.add(NEXT_FIELD);
  }
  return { bytes, words, targets };
}

/** Lays out the record of a form with the given (symbolic) IR. */
export function layoutOf(block: Block): RecordLayout {
  const { bytes, words, targets } = scan(block);
  const fields: { name: string; width: 1 | 4; at: number }[] = [];
  let at = RECORD_FIELDS;
  for (const name of bytes) fields.push({ name, width: 1, at: at++ });
  at = (at + 3) & ~3;
  for (const name of targets) {
    fields.push({ name, width: 4, at });
    at += 8; // the dword behind it is the link
  }
  for (const name of words) {
    if (targets.has(name)) continue;
    fields.push({ name, width: 4, at });
    at += 4;
  }
  return { fields, bytes: Math.max(at, RESUME_BYTES) };
}

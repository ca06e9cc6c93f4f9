/** Writes predecoded records (see `backend-wasm/record.ts`): decoded instructions as the interpreter runs them. */
import {
  type DecodedInstruction,
  FIELD_NUMBERS,
  numberedField,
} from '../frontend-x86/decoded-instruction.js';
import type { FieldName } from '../frontend-x86/instruction.js';
import { endsBlock } from '../frontend-x86/block-ends.js';
import type { InterpreterForm, InterpreterSequence } from '../backend-wasm/interpreter.js';
import * as L from '../backend-wasm/memory-layout.js';
import {
  CROSS_BYTES,
  HANDLER,
  RECORD_HANDLER,
  RECORD_LEFT,
  RECORD_OFFSET,
  type RecordLayout,
  REGION_RECORD_BYTES,
  RESUME_BYTES,
} from '../backend-wasm/record.js';
import type { FormTable } from './form-table.js';
import type { MachineMemory } from './machine-memory.js';
import { SequenceTable } from './sequences.js';

/** How a field gets into a record. */
interface FieldPlan {
  /** Its number, as `numberedField` wants it. */
  readonly field: number;
  readonly at: number;
  readonly byte: boolean;
  /** A place in the code: relative to the page in the record, to the instruction in the instruction. */
  readonly relative: boolean;
}

/** How a form's record is written. */
interface FormPlan {
  readonly handler: number;
  readonly bytes: number;
  readonly fields: readonly FieldPlan[];
}

function planField({ name, width, at }: RecordLayout['fields'][number]): FieldPlan {
  const relative = name === 'next' || name === 'target';
  return { field: FIELD_NUMBERS[name as FieldName], at, byte: width === 1, relative };
}

/** Where the link of a place stands. */
const linkOf = ({ at }: FieldPlan): number => at + 4;

export class RecordWriter {
  private readonly plans: (FormPlan | undefined)[] = [];
  /** Bytes of a record, by its handler. */
  private readonly handlerBytes: number[] = [];
  /** Where links stand in it, by its handler. */
  private readonly handlerLinks: (readonly number[])[] = [];
  private readonly sequences: SequenceTable;

  constructor(
    private readonly memory: MachineMemory,
    { forms, sequences }: FormTable,
  ) {
    this.handlerBytes[HANDLER.resume] = RESUME_BYTES;
    this.handlerBytes[HANDLER.cross] = CROSS_BYTES;
    this.handlerBytes[HANDLER.region] = REGION_RECORD_BYTES;
    for (const special of Object.values(HANDLER)) this.handlerLinks[special] = [];
    const fieldsOf = new Map<RecordLayout, readonly FieldPlan[]>();
    for (const { id, handler, layout } of forms) {
      let fields = fieldsOf.get(layout);
      if (fields === undefined) fieldsOf.set(layout, (fields = layout.fields.map(planField)));
      this.handlerBytes[handler] = layout.bytes;
      this.handlerLinks[handler] = fields.filter((f) => f.relative).map((f) => linkOf(f));
      this.plans[id] = { handler, bytes: layout.bytes, fields };
    }
    this.sequences = new SequenceTable(sequences);
    // The other records follow as such of their own.
    for (const { forms, handler } of sequences) {
      const first = this.plans[forms[0]!]!;
      this.handlerBytes[handler] = first.bytes;
      this.handlerLinks[handler] = this.handlerLinks[first.handler]!;
    }
    this.writeSlowHandlers(forms, sequences);
  }

  /** Tells the interpreter what runs an instruction that its hot handler cannot. */
  private writeSlowHandlers(
    forms: readonly InterpreterForm[],
    sequences: readonly InterpreterSequence[],
  ): void {
    const slowOf: number[] = [];
    let first = Infinity;
    for (const { id, handler, slow = handler } of forms) {
      slowOf[id] = slow;
      first = Math.min(first, slow);
    }
    const write = (handler: number, form: number): void => {
      this.memory.data.setUint16(L.SLOW_HANDLERS + 2 * handler, slowOf[form]! - first, true);
    };
    for (const { id, handler } of forms) write(handler, id);
    for (const s of sequences) write(s.handler, s.forms[0]!);
  }

  /**
   * Writes the records of a block one behind the other; returns where they end.
   * @param at where
   * @param block its instructions, at most MAX_BLOCK
   * @param start offset of the first in its page
   * @param nextMap code map of the next page if the block is one instruction that goes on there, else 0
   */
  block(at: number, block: readonly DecodedInstruction[], start: number, nextMap: number): number {
    let where = at;
    if (nextMap !== 0) {
      this.header(where, HANDLER.cross, start, 1);
      this.memory.data.setUint32(where + 8, nextMap, true);
      where += CROSS_BYTES;
    }
    let offset = start;
    this.sequences.cover(block);
    for (let i = 0; i < block.length; i++) {
      const insn = block[i]!;
      const handler = this.sequences.handlerAt(i);
      const record = where;
      where = this.encode(where, insn, offset, block.length - i);
      // All records of a sequence stand there; the first one's handler runs them.
      if (handler !== 0) this.memory.data.setUint16(record + RECORD_HANDLER, handler, true);
      offset += insn.length;
    }
    if (!endsBlock(block[block.length - 1]!)) {
      this.header(where, HANDLER.resume, offset, 0);
      where += RESUME_BYTES;
    }
    return where;
  }

  /** Writes what all records have. */
  header(at: number, handler: number, offset: number, left: number): void {
    this.memory.data.setUint16(at + RECORD_HANDLER, handler, true);
    this.memory.data.setUint16(at + RECORD_OFFSET, offset, true);
    this.memory.u8[at + RECORD_LEFT] = left;
  }

  private encode(at: number, insn: DecodedInstruction, offset: number, left: number): number {
    const plan = this.plans[insn.form];
    if (plan === undefined) throw new Error(`no handler for form ${insn.form} (${insn.op})`);
    const { u8, i32 } = this.memory;
    this.header(at, plan.handler, offset, left);
    for (const f of plan.fields) {
      const value = numberedField(insn, f.field);
      if (f.byte) u8[at + f.at] = value;
      else if (f.relative) {
        i32[(at + f.at) >> 2] = value + offset;
        i32[(at + linkOf(f)) >> 2] = 0;
      } else i32[(at + f.at) >> 2] = value;
    }
    return at + plan.bytes;
  }

  /** Turns records into `resume` records; offset and count stay. */
  retire(first: number, end: number): void {
    const { data } = this.memory;
    for (let at = first; at < end;) {
      const bytes = this.handlerBytes[data.getUint16(at, true)]!;
      data.setUint16(at, HANDLER.resume, true);
      at += bytes;
    }
  }

  /** Takes the links to some records out of others, which have not been retired. */
  unlink(first: number, end: number, gone: ReadonlySet<number>): void {
    const { data, i32 } = this.memory;
    for (let at = first; at < end;) {
      const handler = data.getUint16(at, true);
      for (const link of this.handlerLinks[handler]!)
        if (gone.has(i32[(at + link) >> 2]!)) i32[(at + link) >> 2] = 0;
      at += this.handlerBytes[handler]!;
    }
  }
}

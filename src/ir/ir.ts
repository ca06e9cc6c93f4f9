/** The IR's data: values, ops, blocks, functions. Built by `builder.ts`, printed by `print.ts`, judged by `evaluate.ts`. */
import type { OpName, Type } from './ops.js';

/** A value: the index of the op that defines it in its block's `ops`. */
export type Value = number & { readonly __brand: 'Value' };

/**
 * Operand `field` of an instruction *form*: a placeholder for a number that stands in the predecoded record.
 * `width` is the record's: 1 byte (state slots, shift counts), or 4.
 */
export class Field {
  constructor(
    readonly name: string,
    readonly width: 1 | 4,
  ) {}
}

/** A number known when lifting, or a field of the form. */
export type Operand = number | Field;

export interface CallTarget {
  readonly name: string;
  readonly result: Type | 'void';
  readonly params: readonly Type[];
  /** The function may raise. */
  readonly faults: boolean;
}

export type Imm = undefined | number | bigint | Field | CallTarget | readonly [Operand, Operand];

export interface Op {
  readonly name: OpName;
  /** Result type; `void` for none. */
  readonly type: Type | 'void';
  readonly args: readonly Value[];
  readonly imm: Imm;
}

/** The ops of one or more instructions in order. */
export interface Block {
  readonly ops: Op[];
  /** Types of the variables, by number. */
  readonly vars: Type[];
  /** Where each guest instruction starts. */
  readonly marks: Mark[];
}

/** The op at index `at` is the first of the instruction at byte `delta` from the block's start. */
export interface Mark {
  readonly at: number;
  readonly delta: number;
  readonly length: number;
}

/** An out-of-line IR function. Parameters are its first variables. */
export interface IrFunction extends CallTarget {
  readonly body: Block;
}

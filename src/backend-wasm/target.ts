/** What lowering asks of the code around it: the interpreter's handlers, regions and IR functions answer differently. */
import type { Field, Operand } from '../ir/ir.js';
import type { Expr, Width } from './binaryen.js';
import type { DataTlb } from './data-tlb.js';
import type { FunctionTraits } from './function-traits.js';

/** Where lowered code stands, and how it reaches its surroundings. Every method makes a new expression. */
export interface Target {
  /** Reads a state slot. */
  get(width: Width, slot: Operand): Expr;
  /** Writes a state slot. */
  put(width: Width, slot: Operand, value: Expr): Expr;
  field(f: Field): Expr;
  /** eip of the current instruction + delta, or what the field says. */
  pcrel(delta: Operand): Expr;
  /** What the data TLB is like, and the address of the current one. */
  readonly dataTlb: DataTlb;
  tlb(): Expr;
  /** Leaves because EXIT_* tell of a fault of the current instruction. */
  fault(): Expr;
  /**
   * Leaves in front of the current instruction, which has done nothing yet, because the TLB has not what it accesses:
   * whoever goes on executes it some other way. Undefined if there is none.
   */
  miss(): Expr | undefined;
  fuel(): Expr;
  setFuel(value: Expr): Expr;
  /** Time-stamp counter at the current instruction. */
  clock(): Expr;
  /** Before and after a call of an IR function: what it may read or change has to be where it looks. */
  beforeCall(traits: FunctionTraits): Expr[];
  afterCall(traits: FunctionTraits): Expr[];
  /** In the slow path of a store, when it has happened: it may have changed code. */
  afterSlowStore(): Expr[];
  goto(delta: Operand): Expr[];
  branch(condition: Expr, taken: Operand, fallThrough: Operand): Expr[];
  jump(eip: Expr, kind: number): Expr[];
  leave(reason: number, detail: Expr): Expr[];
  /** From here on the ops are those of the block's instruction `index`; what to do between it and the one before. */
  instruction(index: number): Expr[];
  /** Functions only. */
  return(value: Expr | undefined): Expr;
}

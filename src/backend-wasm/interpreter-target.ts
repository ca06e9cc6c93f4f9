/**
 * How the handlers of the interpreter reach their surroundings: operands in the record, the interpreter's registers and
 * the ways out of a handler. The last two differ between handlers in `run` (`interpreter-hot-handlers.ts`) and those
 * outside (`interpreter-rare-handlers.ts`).
 */
import * as S from '../frontend-x86/cpu-state.js';
import { Field, type Operand } from '../ir/ir.js';
import type { Emitter, Expr, Width } from './binaryen.js';
import { PLACEHOLDERS } from './data-tlb.js';
import type { FunctionTraits } from './function-traits.js';
import * as L from './memory-layout.js';
import { fieldNameOf, NEXT_FIELD, RECORD_LEFT, RECORD_OFFSET, type RecordLayout } from './record.js';
import type { Target } from './target.js';

/** Ends that a handler can have; labels in `run`, return codes elsewhere. */
export interface Exits {
  next(bytes: number): Expr[];
  /** Goes through the {target, link} pair at this offset of the record. */
  transfer(at: number): Expr[];
  /** Goes to an eip through the code lookup. */
  lookup(eip: Expr): Expr[];
  /** Asks the runtime what to do at the eip in its slot. */
  resolve(): Expr;
  /** Leaves from the record: EXIT_* are set. */
  exit(): Expr;
  /** Runs the instruction whose record is `at` bytes into this one by its slow handler; undefined: this is that. */
  restart(at: number): Expr | undefined;
}

/** Where the handlers find the interpreter's registers. */
export interface Registers {
  pc(): Expr;
  base(): Expr;
  tlb(): Expr;
  fuel(): Expr;
  setFuel(v: Expr): Expr;
  setTlb(v: Expr): Expr;
  /** Around calls that use fuel. */
  publishFuel(): Expr[];
  adoptFuel(): Expr[];
}

/** Lowers a handler: one instruction form, or the forms of a sequence with their records one behind the other. */
export class HandlerTarget implements Target {
  readonly dataTlb = PLACEHOLDERS;
  private readonly at = new Map<string, number>();
  /** Where the record of each instruction starts, and of the current one. */
  private readonly starts: number[] = [];
  private start = 0;
  constructor(
    private readonly e: Emitter,
    private readonly r: Registers,
    private readonly exits: Exits,
    layouts: readonly RecordLayout[],
  ) {
    let start = 0;
    layouts.forEach((layout, i) => {
      this.starts.push(start);
      for (const f of layout.fields) this.at.set(fieldNameOf(f.name, i), start + f.at);
      start += layout.bytes;
    });
  }
  instruction(index: number): Expr[] {
    this.start = this.starts[index]!;
    return [];
  }
  private offset(f: Field): number {
    const at = this.at.get(f.name);
    if (at === undefined) throw new Error(`field ${f.name} has no place in the record`);
    return at;
  }
  private slotAddress(slot: Operand): [Expr, number] {
    if (slot instanceof Field) return [this.e.load(8, this.r.pc(), this.offset(slot)), 0];
    return [this.e.i32(0), slot];
  }
  get(width: Width, slot: Operand): Expr {
    return this.e.load(width, ...this.slotAddress(slot));
  }
  put(width: Width, slot: Operand, value: Expr): Expr {
    const [address, offset] = this.slotAddress(slot);
    return this.e.store(width, address, value, offset);
  }
  field(f: Field): Expr {
    return this.e.load(f.width === 1 ? 8 : 32, this.r.pc(), this.offset(f));
  }
  pcrel(delta: Operand): Expr {
    const { e, r } = this;
    if (delta instanceof Field) return e.add(r.base(), this.field(delta));
    const current = e.add(r.base(), e.load(16, r.pc(), this.start + RECORD_OFFSET));
    return delta === 0 ? current : e.add(current, e.i32(delta));
  }
  tlb(): Expr {
    return this.r.tlb();
  }
  fault(): Expr {
    return this.exits.exit();
  }
  miss(): Expr | undefined {
    return this.exits.restart(this.start);
  }
  fuel(): Expr {
    return this.r.fuel();
  }
  setFuel(value: Expr): Expr {
    return this.r.setFuel(value);
  }
  clock(): Expr {
    const { e, r } = this;
    return e.call('clock', [e.add(r.fuel(), e.load(8, r.pc(), this.start + RECORD_LEFT))], 'i64');
  }
  beforeCall({ fuel }: FunctionTraits): Expr[] {
    return fuel ? this.r.publishFuel() : [];
  }
  afterCall({ fuel }: FunctionTraits): Expr[] {
    return fuel ? this.r.adoptFuel() : [];
  }
  /** Changed code turns records into `resume` records: nothing to do here. */
  afterSlowStore(): Expr[] {
    return [];
  }
  goto(delta: Operand): Expr[] {
    if (delta instanceof Field) return this.exits.transfer(this.offset(delta));
    return this.exits.lookup(this.pcrel(delta));
  }
  branch(condition: Expr, taken: Operand, fallThrough: Operand): Expr[] {
    const { e } = this;
    return [e.if(condition, e.block(null, this.goto(taken))), ...this.goto(fallThrough)];
  }
  jump(eip: Expr, kind: number): Expr[] {
    const { e, exits } = this;
    if (kind !== 3) return exits.lookup(eip);
    return [
      e.store(32, e.i32(0), eip, S.EIP),
      e.if(e.call(L.MODE_CHANGED, [], 'i32'), exits.resolve()),
      this.r.setTlb(e.load(32, e.i32(0), L.TLB_BASE)),
      ...exits.lookup(e.load(32, e.i32(0), S.EIP)),
    ];
  }
  leave(reason: number, detail: Expr): Expr[] {
    const { e } = this;
    return [
      e.store(32, e.i32(0), detail, S.EXIT_DETAIL),
      e.store(32, e.i32(0), this.pcrel(new Field(NEXT_FIELD, 4)), S.EXIT_NEXT),
      e.store(32, e.i32(0), e.i32(reason), S.EXIT_REASON),
      this.exits.exit(),
    ];
  }
  return(): Expr {
    throw new Error('return outside an IR function');
  }
}

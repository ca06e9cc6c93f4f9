/** How lowered IR functions reach their surroundings. */
import type { Operand } from '../ir/ir.js';
import type { Emitter, Expr, ResultType, Width } from './binaryen.js';
import { PLACEHOLDERS } from './data-tlb.js';
import type { Target } from './target.js';

/** State slots in memory, the rest out of bounds: what IR functions see. */
export class FunctionTarget implements Target {
  readonly dataTlb = PLACEHOLDERS;
  constructor(
    protected readonly e: Emitter,
    private readonly result: ResultType,
    private readonly tlbSlot: number,
    private readonly fuelSlot: number,
  ) {}
  get(width: Width, slot: Operand): Expr {
    return this.e.load(width, this.e.i32(0), slot as number);
  }
  put(width: Width, slot: Operand, value: Expr): Expr {
    return this.e.store(width, this.e.i32(0), value, slot as number);
  }
  tlb(): Expr {
    return this.e.load(32, this.e.i32(0), this.tlbSlot);
  }
  fault(): Expr {
    const { e } = this;
    switch (this.result) {
      case 'void':
        return e.return();
      case 'i32':
        return e.return(e.i32(0));
      case 'i64':
        return e.return(e.i64(0n));
    }
  }
  miss(): undefined {
    return undefined;
  }
  fuel(): Expr {
    return this.e.load(32, this.e.i32(0), this.fuelSlot);
  }
  setFuel(value: Expr): Expr {
    return this.e.store(32, this.e.i32(0), value, this.fuelSlot);
  }
  beforeCall(): Expr[] {
    return [];
  }
  afterCall(): Expr[] {
    return [];
  }
  afterSlowStore(): Expr[] {
    return [];
  }
  return(value: Expr | undefined): Expr {
    return this.e.return(value);
  }
  instruction(): Expr[] {
    return [];
  }
  private none(): never {
    throw new Error('an IR function has no instruction around it');
  }
  field(): Expr {
    return this.none();
  }
  pcrel(): Expr {
    return this.none();
  }
  clock(): Expr {
    return this.none();
  }
  goto(): Expr[] {
    return this.none();
  }
  branch(): Expr[] {
    return this.none();
  }
  jump(): Expr[] {
    return this.none();
  }
  leave(): Expr[] {
    return this.none();
  }
}

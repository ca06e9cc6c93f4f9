/** How lowered code reaches its surroundings in a region: registers in locals, ways out, edges to other blocks. */
import * as S from '../frontend-x86/cpu-state.js';
import type { Block, Field, Operand } from '../ir/ir.js';
import type { Emitter, Expr, Width } from './binaryen.js';
import type { DataTlb } from './data-tlb.js';
import { type FlagRecipe, setFlags } from './late-flags.js';
import type { Target } from './target.js';
import type { FunctionTraits } from './function-traits.js';
import * as L from './memory-layout.js';
import { RETURNS } from './record.js';
import { RETURN } from './return-points.js';
import type { RegionPlan } from './region.js';
import * as R from './region-locals.js';

/** A basic block of a region. Places are bytes from the start of the region's first page. */
export interface RegionBlock {
  /** Place of its first byte, and behind its last. */
  readonly start: number;
  readonly end: number;
  /** Its IR; marks tell the instructions. */
  readonly ir: Block;
  readonly instructions: number;
  /** The place that it calls, if it ends in a direct call. */
  readonly calls?: number;
}

/** Flags that come late to a block, and that it leaves late: see `late-flags.ts`. */
export interface LateFlags {
  /** Recipes that they may be by when the block starts, by the number that `PENDING` has then. */
  readonly arriving: ReadonlyMap<number, FlagRecipe>;
  /** Places that the block leaves them to. */
  readonly leftTo: ReadonlySet<number>;
}

/** Code that goes from a block's end to a place. `uncharged`: instructions executed that FUEL does not know of. */
export interface Edges {
  go(place: number, uncharged: number): Expr[];
  /** Whether the code at the place follows at once, so that what is uncharged can be left to it. */
  isInline(place: number): boolean;
  /** For a return whose target is in EIP: goes on where it is likely to go, without looking it up. */
  returns(): Expr[];
}

/** Takes instructions from the fuel. */
export function charge(e: Emitter, instructions: number): Expr[] {
  if (instructions === 0) return [];
  return [e.setLocal(R.FUEL, e.sub(e.getLocal(R.FUEL, 'i32'), e.i32(instructions)))];
}

/** What a packed exit adds to the uncharged instructions, which may be less than 0. */
const BIAS = 128;
const COUNT_BITS = 12;
const MOST_PLACES = 2 ** (31 - COUNT_BITS);

/**
 * A place and the instructions that were executed before it but not charged, as one number: what a region holds
 * hundreds of times should be short. Undefined if they do not fit.
 */
export function packExit(place: number, uncharged: number): number | undefined {
  const count = uncharged + BIAS;
  if (Math.abs(place) >= MOST_PLACES || count < 0 || count >= 1 << COUNT_BITS) return undefined;
  return (place << COUNT_BITS) | count;
}

/** The way out with a packed exit in EIP. */
export function unpackExit(e: Emitter, result: number): Expr[] {
  const packed = (): Expr => e.getLocal(R.EIP, 'i32');
  const count = e.sub(e.and(packed(), e.i32((1 << COUNT_BITS) - 1)), e.i32(BIAS));
  const place = e.pure('i32.shr_s', [packed(), e.i32(COUNT_BITS)]);
  return [
    e.setLocal(R.FUEL, e.sub(e.getLocal(R.FUEL, 'i32'), count)),
    e.setLocal(R.EIP, R.linearAt(e, place)),
    e.setLocal(R.RESULT, e.i32(result)),
  ];
}

const LATE: ReadonlyMap<number, number> = new Map([
  [S.FLAG_RESULT, R.LATE_RESULT],
  [S.FLAG_AUX, R.LATE_AUX],
]);

/** Sets the flags that may come late where the way goes on to somebody who wants them. */
export function setArrivingFlags(e: Emitter, arriving: LateFlags['arriving']): Expr[] {
  return [...arriving].map(([number, recipe]) =>
    e.if(e.eq(e.getLocal(R.PENDING, 'i32'), e.i32(number)), e.block(null, setFlags(e, recipe))),
  );
}

export class RegionTarget implements Target {
  private mark = 0;
  private storesDone = false;
  /** The flags may still be by a recipe of another block. */
  private arriving: boolean;
  /** Puts of the flags that are still to come, by slot, where the last ones go to locals of their own. */
  private readonly flagPuts = new Map<number, number>();
  /** Flag slots that are in those. */
  private readonly late = new Set<number>();

  /** `uncharged`: instructions executed before the block that FUEL does not know of; less than 0 if it knows too much. */
  constructor(
    private readonly e: Emitter,
    private readonly block: RegionBlock,
    private readonly plan: Pick<RegionPlan, 'missing' | 'dataTlb'>,
    private readonly use: R.RegisterUse,
    private readonly edges: Edges,
    private readonly uncharged: number,
    private readonly lateFlags: LateFlags,
  ) {
    this.arriving = lateFlags.arriving.size > 0;
    if (lateFlags.leftTo.size === 0) return;
    for (const op of block.ir.ops)
      if (op.name === 'put32' && LATE.has(op.imm as number))
        this.flagPuts.set(op.imm as number, (this.flagPuts.get(op.imm as number) ?? 0) + 1);
  }

  /** What a way out, or on to somebody to whom the flags are not left, does before all else. */
  private settleFlags(): Expr[] {
    const { e } = this;
    if (this.late.size > 0)
      return [...this.late].map((slot) => e.setLocal(R.registerLocal(slot), this.local(LATE.get(slot)!)));
    return this.arriving ? setArrivingFlags(e, this.lateFlags.arriving) : [];
  }

  private local(local: number): Expr {
    return this.e.getLocal(local, 'i32');
  }
  /** Place of the current instruction. */
  private get at(): number {
    return this.block.start + this.block.ir.marks[this.mark]!.delta;
  }
  /** Uncharged instructions before the current one. */
  private get before(): number {
    return this.uncharged + this.mark;
  }
  /** Uncharged instructions at the block's end. */
  private get atEnd(): number {
    return this.uncharged + this.block.instructions;
  }
  get(width: Width, slot: Operand): Expr {
    const { e } = this;
    const r = R.registerAt(slot as number);
    if (r === undefined) return e.load(width, e.i32(0), slot as number);
    const local = this.late.has(slot as number) ? LATE.get(slot as number)! : r.local;
    return R.partOf(e, this.local(local), r.shift, width);
  }
  put(width: Width, slot: Operand, value: Expr): Expr {
    const { e } = this;
    const r = R.registerAt(slot as number);
    if (r === undefined) return e.store(width, e.i32(0), value, slot as number);
    if (width === 32)
      return e.setLocal(LATE.has(slot as number) ? this.flagLocal(slot as number) : r.local, value);
    const mask = width === 8 ? 0xff : 0xffff;
    const bits = e.and(value, e.i32(mask));
    const placed = r.shift === 0 ? bits : e.shl(bits, e.i32(r.shift));
    const kept = e.and(this.local(r.local), e.i32(~(mask << r.shift)));
    return e.setLocal(r.local, e.pure('i32.or', [kept, placed]));
  }
  /** The local that the next put of a flag slot goes to. */
  private flagLocal(slot: number): number {
    this.arriving = false;
    const left = this.flagPuts.get(slot) ?? 0;
    this.flagPuts.set(slot, left - 1);
    if (left !== 1) return R.registerLocal(slot);
    this.late.add(slot);
    return LATE.get(slot)!;
  }
  field(f: Field): Expr {
    throw new Error(`field ${f.name} in a region`);
  }
  pcrel(delta: Operand): Expr {
    return R.linearAt(this.e, this.e.i32(this.at + (delta as number)));
  }
  get dataTlb(): DataTlb {
    return this.plan.dataTlb;
  }
  tlb(): Expr {
    return this.local(R.TLB);
  }
  /** Leaves for `eip`. */
  private exit(eip: Expr, uncharged: number, result: number): Expr {
    const { e } = this;
    return e.block(null, [
      ...this.settleFlags(),
      e.setLocal(R.EIP, eip),
      ...charge(e, uncharged),
      ...(result === RETURNS.lookup ? [] : [e.setLocal(R.RESULT, e.i32(result))]),
      e.br('leave'),
    ]);
  }
  /** Leaves in front of the current instruction, by the way out that all these share. */
  private giveUp(label: string, result: number): Expr {
    const { e } = this;
    const packed = packExit(this.at, this.before);
    if (packed === undefined) return this.exit(this.pcrel(0), this.before, result);
    return e.block(null, [...this.settleFlags(), e.setLocal(R.EIP, e.i32(packed)), e.br(label)]);
  }
  fault(): Expr {
    return this.giveUp('fault', RETURNS.left);
  }
  miss(): Expr | undefined {
    return this.plan.missing.has(this.at) ? undefined : this.giveUp('miss', RETURNS.missed);
  }
  fuel(): Expr {
    return this.local(R.FUEL);
  }
  setFuel(value: Expr): Expr {
    return this.e.setLocal(R.FUEL, value);
  }
  clock(): Expr {
    const { e } = this;
    return e.call('clock', [e.sub(this.local(R.FUEL), e.i32(this.before))], 'i64');
  }
  beforeCall({ fuel, registers }: FunctionTraits): Expr[] {
    const { e } = this;
    const out: Expr[] = [];
    if (fuel) out.push(e.store(32, e.i32(0), this.local(R.FUEL), L.FUEL));
    if (registers) out.push(...R.storeRegisters(e, this.use));
    return out;
  }
  afterCall({ fuel, registers }: FunctionTraits): Expr[] {
    const { e } = this;
    const out: Expr[] = [];
    if (fuel) out.push(e.setLocal(R.FUEL, e.load(32, e.i32(0), L.FUEL)));
    if (registers) out.push(...R.loadRegisters(e, this.use));
    // Bulk stores of a function may have hit code too.
    out.push(...this.afterSlowStore());
    return out;
  }
  afterSlowStore(): Expr[] {
    this.storesDone = true;
    return [this.e.setLocal(R.CHANGED, this.e.load(32, this.e.i32(0), L.CODE_CHANGED))];
  }
  /** Leaves for `eip` if the instruction's stores hit code. */
  private ifChanged(eip: () => Expr, uncharged: number): Expr[] {
    if (!this.storesDone) return [];
    this.storesDone = false;
    return [this.e.if(this.local(R.CHANGED), this.exit(eip(), uncharged, RETURNS.lookup))];
  }
  instruction(index: number): Expr[] {
    this.mark = index;
    return this.ifChanged(() => this.pcrel(0), this.before);
  }
  private eipOf(place: number): Expr {
    return R.linearAt(this.e, this.e.i32(place));
  }
  /** At the end of the block: goes to a place. */
  private transfer(place: number): Expr[] {
    return [...this.ifChanged(() => this.eipOf(place), this.atEnd), ...this.go(place, this.atEnd)];
  }
  private go(place: number, uncharged: number): Expr[] {
    const isLeft = this.lateFlags.leftTo.has(place);
    return [...(isLeft ? [] : this.settleFlags()), ...this.edges.go(place, uncharged)];
  }
  goto(delta: Operand): Expr[] {
    return this.transfer(this.at + (delta as number));
  }
  branch(condition: Expr, taken: Operand, fallThrough: Operand): Expr[] {
    const { e, edges } = this;
    const to = this.at + (taken as number);
    const otherwise = this.at + (fallThrough as number);
    const out: Expr[] = [];
    let decides = condition;
    if (this.storesDone) {
      out.push(e.setLocal(R.CONDITION, condition));
      decides = this.local(R.CONDITION);
      const eip = (): Expr =>
        e.pure('i32.select', [this.local(R.CONDITION), this.eipOf(to), this.eipOf(otherwise)]);
      out.push(...this.ifChanged(eip, this.atEnd));
    }
    let uncharged = this.atEnd;
    if (!edges.isInline(to) && !edges.isInline(otherwise)) {
      out.push(...charge(e, uncharged));
      uncharged = 0;
    }
    out.push(
      e.if(decides, e.block(null, this.go(to, uncharged)), e.block(null, this.go(otherwise, uncharged))),
    );
    return out;
  }
  jump(eip: Expr, kind: number): Expr[] {
    const { e } = this;
    const out = [e.setLocal(R.EIP, eip), ...charge(e, this.atEnd)];
    if (kind === 3) {
      const stop = e.call(L.MODE_CHANGED, [], 'i32');
      const slot = (at: number): Expr => e.load(32, e.i32(0), at);
      out.push(
        e.if(stop, e.block(null, [e.setLocal(R.RESULT, e.i32(RETURNS.resolve)), e.br('leave')])),
        // At another privilege, or with other segments, this is not the code to go on with.
        e.br('leave', e.ne(slot(L.TLB_BASE), this.local(R.TLB))),
        e.br('leave', slot(L.CODE_CHANGED)),
        e.br('indirect'),
      );
    } else {
      out.push(...this.ifChanged(() => this.local(R.EIP), 0));
      if (kind === RETURN) out.push(...this.edges.returns());
      out.push(e.br('indirect'));
    }
    return out;
  }
  leave(reason: number, detail: Expr): Expr[] {
    const { e } = this;
    const next = this.pcrel(this.block.ir.marks[this.mark]!.length);
    return [
      e.store(32, e.i32(0), detail, S.EXIT_DETAIL),
      e.store(32, e.i32(0), next, S.EXIT_NEXT),
      e.store(32, e.i32(0), e.i32(reason), S.EXIT_REASON),
      this.fault(),
    ];
  }
  /** The block ends without a terminator: goes on behind it. */
  fallThrough(): Expr[] {
    return this.transfer(this.block.end);
  }
  return(): Expr {
    throw new Error('return outside an IR function');
  }
}

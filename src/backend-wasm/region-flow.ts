/** A region's control flow: its blocks as structured code below a dispatcher, and the edges between them. */
import type { CallTarget, Operand } from '../ir/ir.js';
import { OPS } from '../ir/ops.js';
import { groupAccesses } from './access-groups.js';
import type { Emitter, Expr, Locals } from './binaryen.js';
import { type EntryMap, entryMapOf, executionEntry, pageDataOffset } from './entry-map.js';
import { type FuelPlan, planFuel } from './fuel-plan.js';
import { canWait, changedBeforeFlags, type FlagRecipe, recipeOf } from './late-flags.js';
import { Lowering } from './lower.js';
import type { Traits } from './function-traits.js';
import * as L from './memory-layout.js';
import * as R from './region-locals.js';
import { charge, type Edges, type RegionBlock, RegionTarget, setArrivingFlags } from './region-target.js';
import { returnPoints } from './return-points.js';
import { isIrreducible, type Structure, structure } from './structure.js';
import type { RegionPlan } from './region.js';
import { PAGE } from '../frontend-x86/limits.js';
import { pageOf } from '../frontend-x86/discover.js';

/** Counts a way out. */
export function countExit(e: Emitter, cause: L.RegionExitCause): Expr {
  const at = L.exitCounter(cause);
  return e.store(32, e.i32(0), e.add(e.load(32, e.i32(0), at), e.i32(1)), at);
}

/** Blocks that a block goes to inside the region, by number; nothing where its IR does not name them. */
function successorsOf(block: RegionBlock, numberAt: ReadonlyMap<number, number>): number[] {
  const { ir } = block;
  const last = ir.ops[ir.ops.length - 1];
  const mark = ir.marks[ir.marks.length - 1]!;
  const place = (delta: Operand): number => block.start + mark.delta + (delta as number);
  const places: number[] = [];
  if (last?.name === 'goto') places.push(place(last.imm as Operand));
  else if (last?.name === 'branch') places.push(...(last.imm as readonly [Operand, Operand]).map(place));
  else if (last === undefined || OPS[last.name].effect !== 'end') places.push(block.end);
  return places.map((p) => numberAt.get(p)).filter((n) => n !== undefined);
}

/** By node: where flags arrive late, by which recipe from which node, and the places that a node leaves its flags to. */
interface LateEdges {
  readonly arriving: Map<number, Map<number, FlagRecipe>>;
  readonly leftTo: Map<number, Set<number>>;
}

/** Whether the block reads or takes fuel itself, as repeated string operations do. */
function usesFuel({ ir }: RegionBlock, traits: Traits): boolean {
  return ir.ops.some(
    (op) =>
      op.name === 'fuel' ||
      op.name === 'charge' ||
      (op.name === 'call' && traits.of((op.imm as CallTarget).name).fuel),
  );
}

/** Node 0 is the dispatcher, block i is node i + 1. */
export class RegionFlow {
  /** Blocks (by number) that can be entered: those asked for, and targets of irreducible edges. */
  readonly entries: readonly number[];
  readonly map: EntryMap;
  private readonly blocks: readonly RegionBlock[];
  private readonly numberAt: ReadonlyMap<number, number>;
  private readonly shape: Structure;
  private readonly fuelPlan: FuelPlan;
  private readonly entryOf = new Map<number, number>();
  private readonly charges: readonly boolean[];
  private readonly returnPoints: ReadonlyMap<number, readonly number[]>;
  private readonly late: LateEdges;

  constructor(
    private readonly e: Emitter,
    private readonly locals: Locals,
    private readonly plan: RegionPlan,
    /** Page deltas of the region, in the order of its data. */
    private readonly pages: readonly number[],
    private readonly traits: Traits,
    private readonly use: R.RegisterUse,
  ) {
    const { blocks, entries } = plan;
    this.blocks = blocks;
    this.numberAt = new Map(blocks.map((b, i) => [b.start, i]));
    const follows = blocks.map((b) => successorsOf(b, this.numberAt));
    this.returnPoints = returnPoints(blocks, follows);
    const edges = follows.map((numbers) => numbers.map((n) => n + 1));
    // Back edges into loops with several entries go through the dispatcher, which makes their targets entries, which
    // may make more such edges.
    const all = [...entries];
    for (;;) {
      const successors = [all.map((n) => n + 1), ...edges];
      const shape = structure({ successors });
      const missing = new Set<number>();
      successors.forEach((targets, from) => {
        if (from === 0 || shape.position[from]! < 0) return;
        for (const to of targets) {
          if (isIrreducible(shape, from, to) && !all.includes(to - 1)) missing.add(to - 1);
        }
      });
      if (missing.size === 0) {
        this.shape = shape;
        this.charges = [false, ...blocks.map((b) => usesFuel(b, traits))];
        this.fuelPlan = planFuel(
          shape,
          successors,
          (node) => blocks[node - 1]!.instructions,
          (node) => this.charges[node]!,
        );
        break;
      }
      all.push(...missing);
    }
    this.late = this.lateEdges(edges);
    this.entries = all;
    this.entries.forEach((block, i) => this.entryOf.set(block, i));
    this.map = entryMapOf(this.entries.map((n) => blocks[n]!.start));
  }

  /** Finds the edges that leave flags to whoever wants them. `edges`: by block, the nodes that it goes to. */
  private lateEdges(edges: readonly (readonly number[])[]): LateEdges {
    const { shape, blocks } = this;
    const late: LateEdges = { arriving: new Map(), leftTo: new Map() };
    const changedBefore = blocks.map(({ ir }, i) => {
      // Where no ways meet V8 computes the flags where they are wanted by itself.
      const waysMeet = shape.isLoopHeader[i + 1] || (shape.position[i + 1]! >= 0 && this.isMerge(i + 1));
      return waysMeet ? changedBeforeFlags(ir) : undefined;
    });
    edges.forEach((targets, from) => {
      if (shape.position[from + 1]! < 0) return;
      const waiting = targets.filter((to) => changedBefore[to - 1] !== undefined);
      const recipe = waiting.length > 0 ? recipeOf(blocks[from]!.ir) : undefined;
      if (recipe === undefined) return;
      for (const to of waiting) {
        const { start } = blocks[to - 1]!;
        if (isIrreducible(shape, from + 1, to) || pageOf(start) !== pageOf(blocks[from]!.start)) continue;
        if (!canWait(recipe, changedBefore[to - 1]!)) continue;
        late.arriving.set(to, (late.arriving.get(to) ?? new Map()).set(from + 1, recipe));
        late.leftTo.set(from + 1, (late.leftTo.get(from + 1) ?? new Set()).add(start));
      }
    });
    return late;
  }

  /** Instructions that may have to be executed once the block is entered. */
  needOf(block: number): number {
    return this.fuelPlan.need[block + 1]!;
  }

  /**
   * The dispatcher and everything below it, with the code for `indirect` jumps; control never runs off its end. One loop
   * for both: V8 keeps few registers in the processor's at each loop's head, and looks there whether to interrupt it.
   */
  body(indirect: readonly Expr[]): Expr {
    const { e } = this;
    return e.loop('dispatch', e.block(null, [e.block('indirect', this.tree(0, 0)), ...indirect]));
  }

  private tree(node: number, uncharged: number): Expr[] {
    const children = [...this.shape.mergeChildren[node]!].sort(
      (a, b) => this.shape.position[b]! - this.shape.position[a]!,
    );
    const inside = this.within(node, children, uncharged);
    if (node !== 0 && this.shape.isLoopHeader[node])
      return [this.e.loop(`L${node}`, this.e.block(null, inside))];
    return inside;
  }

  /** Code of a node with the given merge children behind it, the last in order first. */
  private within(node: number, children: readonly number[], uncharged: number): Expr[] {
    const [last, ...rest] = children;
    if (last !== undefined) {
      return [this.e.block(`B${last}`, this.within(node, rest, uncharged)), ...this.tree(last, 0)];
    }
    return node === 0 ? this.dispatcher() : this.block(node, uncharged);
  }

  private dispatcher(): Expr[] {
    const { e, late } = this;
    const labels = this.entries.map((n) => `B${n + 1}`);
    const enter = e.brTable(labels, 'leave', e.getLocal(R.ENTRY, 'i32'));
    return late.arriving.size === 0 ? [enter] : [e.setLocal(R.PENDING, e.i32(0)), enter];
  }

  private eipOf(place: number): Expr {
    return R.linearAt(this.e, this.e.i32(place));
  }

  private leaveFor(place: number, cause: L.RegionExitCause): Expr {
    const { e } = this;
    return e.block(null, [e.setLocal(R.EIP, this.eipOf(place)), countExit(e, cause), e.br('leave')]);
  }

  /** Leaves for the start of the node unless it can be paid. */
  private check(node: number): Expr {
    const { e } = this;
    const short = e.ltU(e.getLocal(R.FUEL, 'i32'), e.i32(this.fuelPlan.need[node]!));
    const leave = this.leaveFor(this.blocks[node - 1]!.start, 'fuel');
    const flags = setArrivingFlags(e, this.late.arriving.get(node) ?? new Map());
    return e.if(short, flags.length === 0 ? leave : e.block(null, [...flags, leave]));
  }

  private block(node: number, uncharged: number): Expr[] {
    const { e } = this;
    const block = this.blocks[node - 1]!;
    const out: Expr[] = [];
    if (this.fuelPlan.checks[node]) out.push(this.check(node));
    let pending = uncharged;
    if (this.charges[node]) {
      // What reads the fuel wants to know what is left behind the block.
      out.push(...charge(e, pending + block.instructions));
      pending = -block.instructions;
    }
    const edges: Edges = {
      go: (place, left) => this.edge(node, place, left),
      isInline: (place) => this.isInline(node, place),
      returns: () => this.returns(node),
    };
    const late = {
      arriving: this.late.arriving.get(node) ?? new Map(),
      leftTo: this.late.leftTo.get(node) ?? new Set(),
    };
    const target = new RegionTarget(e, block, this.plan, this.use, edges, pending, late);
    const { ir } = block;
    const prefix = `n${node}_`;
    out.push(...new Lowering(e, this.locals, target, this.traits, ir, prefix, 0, groupAccesses(ir)).run());
    const last = ir.ops[ir.ops.length - 1];
    if (last === undefined || OPS[last.name].effect !== 'end') out.push(...target.fallThrough());
    return out;
  }

  private isBackward(from: number, to: number): boolean {
    return this.shape.position[to]! <= this.shape.position[from]!;
  }
  private isMerge(to: number): boolean {
    return this.shape.mergeChildren[this.shape.dominator[to]!]!.includes(to);
  }
  private isInline(from: number, place: number): boolean {
    const number = this.numberAt.get(place);
    if (number === undefined) return false;
    const to = number + 1;
    return !this.isBackward(from, to) && !this.isMerge(to) && !this.fuelPlan.checks[to];
  }

  private edge(from: number, place: number, uncharged: number): Expr[] {
    const { e, shape } = this;
    const number = this.numberAt.get(place);
    const inline = this.isInline(from, place);
    const out = inline ? [] : charge(e, uncharged);
    if (number === undefined) return [...out, this.leaveFor(place, 'direct jump')];
    const to = number + 1;
    const arriving = this.late.arriving.get(to);
    if (arriving) out.push(e.setLocal(R.PENDING, e.i32(arriving.has(from) ? from : 0)));
    const page = pageOf(place);
    if (page !== pageOf(this.blocks[from - 1]!.start))
      out.push(...this.samePage(place, inline ? uncharged : 0));
    if (this.isBackward(from, to)) {
      if (!isIrreducible(shape, from, to)) return [...out, e.br(`L${to}`)];
      if (!this.fuelPlan.checks[to]) out.push(this.check(to));
      return [...out, e.setLocal(R.ENTRY, e.i32(this.entryOf.get(number)!)), e.br('dispatch')];
    }
    if (this.isMerge(to)) return [...out, e.br(`B${to}`)];
    return [...out, ...this.tree(to, inline ? uncharged : 0)];
  }

  /** Goes to where a return's target, in EIP, is one of those behind its function's calls, and can be paid. */
  private returns(node: number): Expr[] {
    const { e } = this;
    const out: Expr[] = [];
    for (const place of this.returnPoints.get(node - 1) ?? []) {
      const block = this.numberAt.get(place)!;
      const entry = this.entryOf.get(block);
      if (entry === undefined) continue;
      const paid = e.pure('i32.le_u', [e.i32(this.fuelPlan.need[block + 1]!), e.getLocal(R.FUEL, 'i32')]);
      if (out.length === 0) out.push(e.setLocal(R.ENTRY, R.placeOfEip(e)));
      const there = e.and(e.eq(e.getLocal(R.ENTRY, 'i32'), e.i32(place)), paid);
      out.push(e.if(there, e.block(null, [e.setLocal(R.ENTRY, e.i32(entry)), e.br('dispatch')])));
    }
    return out;
  }

  /** Leaves for a place unless its page is the one that was translated. EIP and ROW are not what they were. */
  private samePage(place: number, uncharged: number): Expr[] {
    const { e } = this;
    const page = pageOf(place);
    const get = (local: number): Expr => e.getLocal(local, 'i32');
    const codeMap = e.load(32, e.getLocal(R.MAP, 'i32'), pageDataOffset(this.map, this.pages.indexOf(page)));
    const other = e.pure('i32.or', [
      e.ne(e.load(32, get(R.ROW), L.TLB_DATA_BYTES), get(R.EIP)),
      e.ne(e.load(32, get(R.ROW), L.TLB_DATA_BYTES + 4), codeMap),
    ]);
    return [
      e.setLocal(R.EIP, this.eipOf(page * PAGE)),
      e.setLocal(R.ROW, executionEntry(e, get(R.EIP))),
      e.if(other, e.block(null, [...charge(e, uncharged), this.leaveFor(place, 'other page')])),
    ];
  }
}

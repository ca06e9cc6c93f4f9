/**
 * Translates a region: hot blocks of a few guest pages, as one Wasm function
 *
 *     region(entry, map, delta) → one of RETURNS; EIP and FUEL are stored
 *
 * `entry` is the number of the entry to start at, `map` the address of the region's entry map, `delta` the bytes from the region's first page to the entry's page. General registers and status flags live
 * in locals; every way out stores them. A crossing into another page, and a jump to a computed place, ask the
 * execution TLB whether the page is still the one that was translated.
 */
import * as S from '../frontend-x86/cpu-state.js';
import type { Block, CallTarget, Field, Operand } from '../ir/ir.js';
import { OPS, type Type } from '../ir/ops.js';
import { Emitter, type Expr, Locals, type ResultType, type Width } from './binaryen.js';
import { type FunctionTraits, isRegisterSlot, Lowering, type Target, widthOf } from './lower.js';
import * as L from './memory-layout.js';
import { RETURNS } from './record.js';
import { isIrreducible, type Structure, structure } from './structure.js';

/** A basic block of a region. Places are bytes from the start of the region's first page. */
export interface RegionBlock {
  /** Place of its first byte, and behind its last. */
  readonly start: number;
  readonly end: number;
  /** Its IR; marks tell the instructions. */
  readonly ir: Block;
  readonly instructions: number;
}

export interface RegionPlan {
  readonly blocks: readonly RegionBlock[];
  /** Blocks (by number) that can be entered from outside. */
  readonly entries: readonly number[];
  /** Address of the code map of the page that is `delta` pages behind the first. */
  readonly codeMap: (delta: number) => number;
}

export interface RegionImage {
  readonly wasm: Uint8Array;
  /** Places of the entries, by entry number, and the instructions of their blocks. */
  readonly entries: readonly { readonly place: number; readonly instructions: number }[];
  /** Rows of its entry map. */
  readonly map: readonly L.EntryRow[];
  /** IR functions that it imports (module `env`). */
  readonly imports: readonly string[];
  readonly text?: string;
}

/** Name of the exported function. */
export const REGION_EXPORT = 'region';

// Parameters and locals of a region.
const ENTRY = 0;
const MAP = 1;
const DELTA = 2;
const PARAMS = 3;
const REGISTERS = [0, 4, 8, 12, 16, 20, 24, 28, S.FLAG_RESULT, S.FLAG_AUX];
const FIRST_REGISTER = PARAMS;
const BASE = PARAMS + REGISTERS.length;
const TLB = BASE + 1;
const FUEL = BASE + 2;
const EIP = BASE + 3;
/** Instructions to give back at a way out inside a block. */
const LEFT = BASE + 4;
/** Code was changed by the instruction that runs. */
const CHANGED = BASE + 5;
const RESULT = BASE + 6;
const FIXED_LOCALS = RESULT + 1 - PARAMS;

function registerLocal(slot: number): number {
  return FIRST_REGISTER + REGISTERS.indexOf(slot);
}

const PAGE = 4096;

type Edge = (to: number) => Expr[];

class RegionTarget implements Target {
  private mark = 0;
  private storesDone = false;
  constructor(
    private readonly e: Emitter,
    private readonly block: RegionBlock,
    private readonly use: RegisterUse,
    private readonly edge: Edge,
  ) {}
  private local(local: number): Expr {
    return this.e.getLocal(local, 'i32');
  }
  /** Place of the current instruction. */
  private get at(): number {
    return this.block.start + this.block.ir.marks[this.mark]!.delta;
  }
  /** Instructions from the current one to the block's end. */
  private get left(): number {
    return this.block.instructions - this.mark;
  }
  private register(slot: number): { local: number; shift: number } | undefined {
    const dword = slot & ~3;
    if (!isRegisterSlot(dword) || slot > S.FLAG_AUX) return undefined;
    return { local: registerLocal(dword), shift: 8 * (slot & 3) };
  }
  get(width: Width, slot: Operand): Expr {
    const { e } = this;
    const r = this.register(slot as number);
    if (r === undefined) return e.load(width, e.i32(0), slot as number);
    if (width === 32) return this.local(r.local);
    const shifted = r.shift === 0 ? this.local(r.local) : e.shru(this.local(r.local), e.i32(r.shift));
    return e.and(shifted, e.i32(width === 8 ? 0xff : 0xffff));
  }
  put(width: Width, slot: Operand, value: Expr): Expr {
    const { e } = this;
    const r = this.register(slot as number);
    if (r === undefined) return e.store(width, e.i32(0), value, slot as number);
    if (width === 32) return e.setLocal(r.local, value);
    const mask = width === 8 ? 0xff : 0xffff;
    const bits = e.and(value, e.i32(mask));
    const placed = r.shift === 0 ? bits : e.shl(bits, e.i32(r.shift));
    const kept = e.and(this.local(r.local), e.i32(~(mask << r.shift)));
    return e.setLocal(r.local, e.pure('i32.or', [kept, placed]));
  }
  field(f: Field): Expr {
    throw new Error(`field ${f.name} in a region`);
  }
  pcrel(delta: Operand): Expr {
    return this.e.add(this.local(BASE), this.e.i32(this.at + (delta as number)));
  }
  tlb(): Expr {
    return this.local(TLB);
  }
  private leaveAt(place: number, left: number, result: number): Expr {
    const { e } = this;
    return e.block(null, [
      e.setLocal(EIP, e.add(this.local(BASE), e.i32(place))),
      e.setLocal(LEFT, e.i32(left)),
      e.setLocal(RESULT, e.i32(result)),
      e.br('site'),
    ]);
  }
  fault(): Expr {
    return this.leaveAt(this.at, this.left, RETURNS.left);
  }
  fuel(): Expr {
    return this.local(FUEL);
  }
  setFuel(value: Expr): Expr {
    return this.e.setLocal(FUEL, value);
  }
  clock(): Expr {
    const { e } = this;
    return e.call('clock', [e.add(this.local(FUEL), e.i32(this.left))], 'i64');
  }
  beforeCall({ fuel, registers }: FunctionTraits): Expr[] {
    const { e } = this;
    const out: Expr[] = [];
    if (fuel) out.push(e.store(32, e.i32(0), this.local(FUEL), L.FUEL));
    if (registers) out.push(...storeRegisters(e, this.use));
    return out;
  }
  afterCall({ fuel, registers }: FunctionTraits): Expr[] {
    const { e } = this;
    const out: Expr[] = [];
    if (fuel) out.push(e.setLocal(FUEL, e.load(32, e.i32(0), L.FUEL)));
    if (registers) out.push(...loadRegisters(e, this.use));
    // Bulk stores of a function may have hit code too.
    out.push(...this.afterSlowStore());
    return out;
  }
  afterSlowStore(): Expr[] {
    this.storesDone = true;
    return [this.e.setLocal(CHANGED, this.e.load(32, this.e.i32(0), L.CODE_CHANGED))];
  }
  instruction(index: number): Expr[] {
    const check = this.storesDone;
    this.storesDone = false;
    this.mark = index;
    if (!check) return [];
    return [this.e.if(this.local(CHANGED), this.leaveAt(this.at, this.left, RETURNS.lookup))];
  }
  /** At the end of the block: goes to a place. */
  private transfer(place: number): Expr[] {
    const { e } = this;
    const out: Expr[] = [];
    if (this.storesDone) out.push(e.if(this.local(CHANGED), this.leaveAt(place, 0, RETURNS.lookup)));
    return [...out, ...this.edge(place)];
  }
  goto(delta: Operand): Expr[] {
    return this.transfer(this.at + (delta as number));
  }
  branch(condition: Expr, taken: Operand, fallThrough: Operand): Expr[] {
    const { e } = this;
    const out: Expr[] = [];
    if (this.storesDone) {
      // The condition is taken before the check leaves: it may be all that is left to do.
      return [
        e.setLocal(EIP, e.pure('i32.select', [condition, this.pcrel(taken), this.pcrel(fallThrough)])),
        e.if(this.local(CHANGED), e.br('leave')),
        e.if(
          e.eq(this.local(EIP), this.pcrel(taken)),
          e.block(null, this.edge(this.at + (taken as number))),
          e.block(null, this.edge(this.at + (fallThrough as number))),
        ),
      ];
    }
    out.push(
      e.if(
        condition,
        e.block(null, this.edge(this.at + (taken as number))),
        e.block(null, this.edge(this.at + (fallThrough as number))),
      ),
    );
    return out;
  }
  jump(eip: Expr, kind: number): Expr[] {
    const { e } = this;
    const out = [e.setLocal(EIP, eip)];
    if (kind === 3) {
      const stop = e.call(L.MODE_CHANGED, [], 'i32');
      out.push(
        e.if(stop, e.block(null, [e.setLocal(RESULT, e.i32(RETURNS.resolve)), e.br('out')])),
        e.br('leave'),
      );
    } else if (this.storesDone) out.push(e.if(this.local(CHANGED), e.br('leave')), e.br('indirect'));
    else out.push(e.br('indirect'));
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
/** Counts a way out. */
function countExit(e: Emitter, cause: L.RegionExitCause): Expr {
  const at = L.REGION_EXITS + 4 * L.REGION_EXIT_CAUSES.indexOf(cause);
  return e.store(32, e.i32(0), e.add(e.load(32, e.i32(0), at), e.i32(1)), at);
}

/** Which registers a region has in locals, and which of them it may change. */
interface RegisterUse {
  readonly used: readonly number[];
  readonly changed: readonly number[];
}

function registerUse(
  blocks: readonly RegionBlock[],
  traits: ReadonlyMap<string, FunctionTraits>,
): RegisterUse {
  const used = new Set<number>();
  const changed = new Set<number>();
  for (const { ir } of blocks) {
    for (const op of ir.ops) {
      const { effect } = OPS[op.name];
      if (effect === 'get' || effect === 'put') {
        const slot = (op.imm as number) & ~3;
        if (!REGISTERS.includes(slot)) continue;
        used.add(slot);
        if (effect === 'put') changed.add(slot);
      } else if (op.name === 'call' && traits.get((op.imm as CallTarget).name)?.registers) {
        for (const slot of REGISTERS) {
          used.add(slot);
          changed.add(slot);
        }
      }
    }
  }
  return { used: [...used], changed: [...changed] };
}

function storeRegisters(e: Emitter, { changed }: RegisterUse): Expr[] {
  return changed.map((slot) => e.store(32, e.i32(0), e.getLocal(registerLocal(slot), 'i32'), slot));
}
function loadRegisters(e: Emitter, { used }: RegisterUse): Expr[] {
  return used.map((slot) => e.setLocal(registerLocal(slot), e.load(32, e.i32(0), slot)));
}

/** Successors of each block inside the region; undefined where the IR says nothing of the next place. */
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

class RegionCode {
  private readonly numberAt: ReadonlyMap<number, number>;
  private readonly graph: { successors: number[][] };
  private readonly shape: Structure;
  /** Entry number of each block that has one. */
  private readonly entryOf = new Map<number, number>();
  readonly entries: number[];

  constructor(
    private readonly e: Emitter,
    private readonly locals: Locals,
    private readonly plan: RegionPlan,
    private readonly traits: ReadonlyMap<string, FunctionTraits>,
    private readonly use: RegisterUse,
  ) {
    const { blocks } = plan;
    this.numberAt = new Map(blocks.map((b, i) => [b.start, i]));
    this.entries = [...plan.entries];
    // Node 0 is the dispatcher, block i is node i + 1. Back edges into loops with several entries go through the
    // dispatcher, which makes their targets entries, which may make more such edges.
    const edges = blocks.map((b) => successorsOf(b, this.numberAt).map((n) => n + 1));
    for (;;) {
      this.graph = { successors: [this.entries.map((n) => n + 1), ...edges] };
      const shape = structure(this.graph);
      const missing = new Set<number>();
      this.graph.successors.forEach((targets, from) => {
        if (from === 0 || shape.position[from]! < 0) return;
        for (const to of targets) {
          if (isIrreducible(shape, from, to) && !this.entries.includes(to - 1)) missing.add(to - 1);
        }
      });
      if (missing.size === 0) {
        this.shape = shape;
        break;
      }
      this.entries.push(...missing);
    }
    this.entries.forEach((block, i) => this.entryOf.set(block, i));
  }

  /** The dispatcher and everything below it; control never runs off its end. */
  body(): Expr {
    return this.e.loop('dispatch', this.e.block(null, this.tree(0)));
  }

  private tree(node: number): Expr[] {
    const children = [...this.shape.mergeChildren[node]!].sort(
      (a, b) => this.shape.position[b]! - this.shape.position[a]!,
    );
    const inside = this.within(node, children);
    if (node !== 0 && this.shape.isLoopHeader[node])
      return [this.e.loop(`L${node}`, this.e.block(null, inside))];
    return inside;
  }

  /** Code of a node with the given merge children behind it, the last in order first. */
  private within(node: number, children: readonly number[]): Expr[] {
    const [last, ...rest] = children;
    if (last !== undefined) {
      return [this.e.block(`B${last}`, this.within(node, rest)), ...this.tree(last)];
    }
    return node === 0 ? this.dispatcher() : this.block(node);
  }

  private dispatcher(): Expr[] {
    const labels = this.entries.map((n) => `B${n + 1}`);
    return [this.e.brTable(labels, 'leave', this.e.getLocal(ENTRY, 'i32'))];
  }

  private block(node: number): Expr[] {
    const { e } = this;
    const block = this.plan.blocks[node - 1]!;
    const fuel = (): Expr => e.getLocal(FUEL, 'i32');
    const out: Expr[] = [
      e.if(
        e.ltU(fuel(), e.i32(block.instructions)),
        e.block(null, [e.setLocal(EIP, e.add(e.getLocal(BASE, 'i32'), e.i32(block.start))), e.br('leave')]),
      ),
      e.setLocal(FUEL, e.sub(fuel(), e.i32(block.instructions))),
    ];
    const target = new RegionTarget(e, block, this.use, (offset) => this.edge(node, offset));
    const lowering = new Lowering(e, this.locals, target, this.traits, block.ir, `n${node}_`);
    const code = lowering.run();
    out.push(...code);
    const last = block.ir.ops[block.ir.ops.length - 1];
    if (last === undefined || OPS[last.name].effect !== 'end') out.push(...target.fallThrough());
    return out;
  }

  private edge(from: number, place: number): Expr[] {
    const { e, shape } = this;
    const eip = (): Expr => e.add(e.getLocal(BASE, 'i32'), e.i32(place));
    const number = this.numberAt.get(place);
    if (number === undefined) return [e.setLocal(EIP, eip()), countExit(e, 'direct jump'), e.br('leave')];
    const to = number + 1;
    const out: Expr[] = [];
    const page = Math.floor(place / PAGE);
    if (page !== Math.floor(this.plan.blocks[from - 1]!.start / PAGE)) {
      const linear = (): Expr => e.add(e.getLocal(BASE, 'i32'), e.i32(page * PAGE));
      const entry = (): Expr => executionEntry(e, linear());
      const same = e.and(
        e.eq(e.load(32, entry(), L.TLB_DATA_BYTES), linear()),
        e.eq(e.load(32, entry(), L.TLB_DATA_BYTES + 4), e.i32(this.plan.codeMap(page))),
      );
      const leave = [e.setLocal(EIP, eip()), countExit(e, 'other page'), e.br('leave')];
      out.push(e.if(e.pure('i32.eqz', [same]), e.block(null, leave)));
    }
    if (shape.position[to]! <= shape.position[from]!) {
      if (!isIrreducible(shape, from, to)) return [...out, e.br(`L${to}`)];
      return [...out, e.setLocal(ENTRY, e.i32(this.entryOf.get(number)!)), e.br('dispatch')];
    }
    if (shape.mergeChildren[shape.dominator[to]!]!.includes(to)) return [...out, e.br(`B${to}`)];
    return [...out, ...this.tree(to)];
  }
}

/** Address of the execution TLB's entry for a linear address, less TLB_DATA_BYTES. */
function executionEntry(e: Emitter, linear: Expr): Expr {
  const index = e.and(e.shru(linear, e.i32(9)), e.i32((L.TLB_ENTRIES - 1) << 3));
  return e.add(e.getLocal(TLB, 'i32'), index);
}

/** Where a region's entry map has a place, in rows: the same in generated code. */
function hashOf(place: number, bits: number): number {
  return (Math.imul(place, HASH_FACTOR) >>> (32 - bits)) >>> 0;
}
const HASH_FACTOR = 0x9e3779b1 | 0;

/**
 * The hash table in which a region finds computed places that are its own entries: each stands in its row or the one
 * behind. 2^bits rows and one more; an entry for which there is no room even in the largest table is left out.
 */
function entryMapOf(places: readonly number[]): { bits: number; rows: L.EntryRow[] } {
  for (let bits = Math.max(2, Math.ceil(Math.log2(2 * places.length))); ; bits++) {
    const rows = new Array<L.EntryRow>((1 << bits) + 1).fill(undefined);
    let full = false;
    places.forEach((place, entry) => {
      const row = hashOf(place, bits);
      const free = rows[row] === undefined ? row : row + 1;
      if (rows[free] === undefined) rows[free] = [place, entry];
      else full = true;
    });
    if (!full || bits >= MAX_ENTRY_MAP_BITS) return { bits, rows };
  }
}
const MAX_ENTRY_MAP_BITS = 10;

/** A computed place (in EIP): an entry of this region if its page is still the one that was translated. */
function indirectJump(e: Emitter, bits: number): Expr[] {
  const get = (local: number): Expr => e.getLocal(local, 'i32');
  const place = (): Expr => e.sub(get(EIP), get(BASE));
  const hash = e.shru(e.pure('i32.mul', [place(), e.i32(HASH_FACTOR)]), e.i32(32 - bits));
  const page = (): Expr => e.and(get(EIP), e.i32(-PAGE));
  // LEFT holds the row.
  return [
    e.setLocal(LEFT, e.add(get(MAP), e.shl(hash, e.i32(4)))),
    e.if(
      e.ne(e.load(32, get(LEFT)), place()),
      e.setLocal(LEFT, e.add(get(LEFT), e.i32(L.ENTRY_MAP_ROW_BYTES))),
    ),
    e.if(e.ne(e.load(32, get(LEFT)), place()), e.block(null, [countExit(e, 'no entry'), e.br('leave')])),
    e.setLocal(ENTRY, executionEntry(e, get(EIP))),
    e.if(
      e.pure('i32.or', [
        e.ne(e.load(32, get(ENTRY), L.TLB_DATA_BYTES), page()),
        e.ne(e.load(32, get(ENTRY), L.TLB_DATA_BYTES + 4), e.load(32, get(LEFT), 8)),
      ]),
      e.block(null, [countExit(e, 'other page'), e.br('leave')]),
    ),
    e.setLocal(ENTRY, e.load(32, get(LEFT), 4)),
    e.br('again'),
  ];
}

/** Translates the region. `functions`: all IR functions its blocks may call, with what they touch. */
export function generateRegion(
  plan: RegionPlan,
  traits: ReadonlyMap<string, FunctionTraits>,
  options: { validate: boolean; text?: boolean },
): RegionImage {
  const e = new Emitter();
  const use = registerUse(plan.blocks, traits);
  const locals = new Locals(['i32', 'i32', 'i32']);
  for (let i = 0; i < FIXED_LOCALS; i++) locals.take('i32');
  const code = new RegionCode(e, locals, plan, traits, use);
  const get = (local: number): Expr => e.getLocal(local, 'i32');
  const slot = (at: number): Expr => e.load(32, e.i32(0), at);
  const imports = declareImports(e, plan.blocks);
  const map = entryMapOf(code.entries.map((n) => plan.blocks[n]!.start));

  const body = e.block(null, [
    ...loadRegisters(e, use),
    e.setLocal(BASE, e.sub(slot(L.PAGE_BASE), get(DELTA))),
    e.setLocal(TLB, slot(L.TLB_BASE)),
    e.setLocal(FUEL, slot(L.FUEL)),
    e.block('out', [
      e.block('leave', [
        e.block('site', [
          e.loop('again', e.block(null, [e.block('indirect', [code.body()]), ...indirectJump(e, map.bits)])),
        ]),
        e.setLocal(FUEL, e.add(get(FUEL), get(LEFT))),
        e.br('out'),
      ]),
    ]),
    ...storeRegisters(e, use),
    e.store(32, e.i32(0), get(EIP), S.EIP),
    e.store(32, e.i32(0), get(FUEL), L.FUEL),
    e.return(get(RESULT)),
  ]);
  e.addFunction(REGION_EXPORT, ['i32', 'i32', 'i32'], 'i32', locals, body);
  e.addExport(REGION_EXPORT);
  const text = options.text ? e.text() : undefined;
  const wasm = e.finish({ validate: options.validate });
  const entries = code.entries.map((n) => {
    const { start, instructions } = plan.blocks[n]!;
    return { place: start, instructions };
  });
  return { wasm, entries, map: map.rows, imports, ...(text === undefined ? {} : { text }) };
}

/** Declares what the blocks call; returns the names of the functions that are not JavaScript's. */
function declareImports(e: Emitter, blocks: readonly RegionBlock[]): string[] {
  const names = new Map<string, { params: readonly Type[]; result: ResultType }>();
  const word = 'i32' as const;
  for (const { ir } of blocks) {
    for (const op of ir.ops) {
      if (op.name === 'call') {
        const { name, params, result } = op.imm as CallTarget;
        names.set(name, { params, result });
      } else if (op.name === 'probe') names.set(L.SLOW_PATH.probe, { params: [word, word], result: 'void' });
      else if (op.name === 'span') names.set(L.SLOW_PATH.span, { params: [word, word], result: word });
      else if (op.name === 'jump') names.set(L.MODE_CHANGED, { params: [], result: word });
      else if (OPS[op.name].effect === 'load' || OPS[op.name].effect === 'store') {
        const width = widthOf(op.name);
        const type: Type = width === 64 ? 'i64' : 'i32';
        if (OPS[op.name].effect === 'load')
          names.set(L.SLOW_PATH.load[width], { params: [word, word], result: type });
        else names.set(L.SLOW_PATH.store[width], { params: [word, type], result: 'void' });
      }
    }
  }
  for (const [name, { params, result }] of names) e.addImport(name, params, result);
  e.addImport('clock', L.IMPORTS.clock.params, L.IMPORTS.clock.result);
  return [...names.keys()];
}

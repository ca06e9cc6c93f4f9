/**
 * Generates the interpreter: one Wasm function `run` with the hot handlers in a `br_table` loop, and further functions
 * with one for every form. Each handler is the IR of an instruction form, or of a sequence of them, lowered like
 * everything else.
 *
 * What is hot makes no calls: where the TLB does not have a page, the instruction starts again in its other handler.
 * So the interpreter's registers stay in the processor's, and a handler is small; functions of more than about twice as
 * much code get V8's lesser register allocator, which makes all of it slower.
 */
import * as S from '../frontend-x86/cpu-state.js';
import { type Block, Field, type IrFunction, type Operand } from '../ir/ir.js';
import { groupAccesses } from './access-groups.js';
import { Emitter, type Expr, Locals, type Width } from './binaryen.js';
import { OPS, type Effect } from '../ir/ops.js';
import { Lowering } from './lower.js';
import type { Target } from './target.js';
import { type FunctionTraits, traitsOf } from './function-traits.js';
import { FunctionTarget } from './function-target.js';
import * as L from './memory-layout.js';
import { countExit, exitCounter } from './region-flow.js';
import { withFunctionName } from './name-section.js';
import {
  CROSS_BYTES,
  HANDLER,
  fieldNameOf,
  layoutOf,
  NEXT_FIELD,
  RECORD_HANDLER,
  RECORD_LEFT,
  RECORD_ENTRY,
  RECORD_HEAT,
  RECORD_OFFSET,
  RECORD_PLAIN,
  RETURNS,
  type RecordLayout,
} from './record.js';

/** An instruction form to be given a handler. */
export interface Form {
  /** The decoder's number of the form. */
  readonly id: number;
  readonly name: string;
  readonly block: Block;
}

export interface InterpreterForm {
  readonly id: number;
  readonly handler: number;
  /** The handler that serves what the other cannot, if they are two. */
  readonly slow?: number;
  readonly layout: RecordLayout;
}

/** Forms that follow each other often enough to have a handler for all of them. */
export interface FormSequence {
  /** Numbers of the forms, in order. */
  readonly forms: readonly number[];
  readonly name: string;
  /** All instructions; fields of the one number k are named by `fieldNameOf(name, k)`. */
  readonly block: Block;
}

export interface InterpreterSequence {
  readonly forms: readonly number[];
  readonly handler: number;
}

export interface InterpreterImage {
  readonly wasm: Uint8Array;
  /** Forms, the hottest first. */
  readonly forms: readonly InterpreterForm[];
  readonly sequences: readonly InterpreterSequence[];
  readonly text?: string;
}

export interface InterpreterOptions {
  /** Let Binaryen check the module. */
  readonly validate: boolean;
  /** Also give the module's text. */
  readonly text?: boolean;
}

/** Handlers in one of the functions behind `run`: 2^this. */
const FUNCTION_BITS = 7;

/** Ends that a handler can have; labels in `run`, return codes elsewhere. */
interface Exits {
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
interface Registers {
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

class HandlerTarget implements Target {
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

/** Registers as locals of `run`. */
const PC = 0;
const BASE = 1;
const TLB = 2;
const FUEL = 3;
const EIP = 4;
const LINK = 5;
const REC = 6;
const ENTRY = 7;
/** Entry number of the region that runs. */
const FROM = 8;
/** Instructions of the block in REC. */
const LEFT = 9;
const RUN_LOCALS = 10;

function hotRegisters(e: Emitter): Registers {
  return {
    pc: () => e.getLocal(PC, 'i32'),
    base: () => e.getLocal(BASE, 'i32'),
    tlb: () => e.getLocal(TLB, 'i32'),
    fuel: () => e.getLocal(FUEL, 'i32'),
    setFuel: (v) => e.setLocal(FUEL, v),
    setTlb: (v) => e.setLocal(TLB, v),
    publishFuel: () => [e.store(32, e.i32(0), e.getLocal(FUEL, 'i32'), L.FUEL)],
    adoptFuel: () => [e.setLocal(FUEL, e.load(32, e.i32(0), L.FUEL))],
  };
}

function hotExits(e: Emitter): Exits {
  return {
    next: (bytes) => [e.setLocal(PC, e.add(e.getLocal(PC, 'i32'), e.i32(bytes))), e.br('next')],
    transfer: (at) => [e.setLocal(PC, e.add(e.getLocal(PC, 'i32'), e.i32(at))), e.br('transfer')],
    lookup: (eip) => [e.setLocal(EIP, eip), e.br('lookup')],
    resolve: () => noWay('resolve'),
    exit: () => noWay('exit'),
    restart: (at) =>
      at === 0
        ? e.br('miss')
        : e.block(null, [e.setLocal(PC, e.add(e.getLocal(PC, 'i32'), e.i32(at))), e.br('miss')]),
  };
}

/** Handlers that need it have no place in `run`; see `canBeHot`. */
function noWay(name: string): never {
  throw new Error(`a hot handler cannot ${name}`);
}

/** Registers of a handler outside `run`: the record's address is the first parameter, the rest in memory. */
function rareRegisters(e: Emitter): Registers {
  const slot = (at: number) => (): Expr => e.load(32, e.i32(0), at);
  return {
    pc: () => e.getLocal(0, 'i32'),
    base: slot(L.PAGE_BASE),
    tlb: slot(L.TLB_BASE),
    fuel: slot(L.FUEL),
    setFuel: (v) => e.store(32, e.i32(0), v, L.FUEL),
    setTlb: (v) => e.drop(v),
    publishFuel: () => [],
    adoptFuel: () => [],
  };
}

function rareExits(e: Emitter): Exits {
  const lookup = (eip: Expr): Expr[] => [e.store(32, e.i32(0), eip, S.EIP), e.return(e.i32(RETURNS.lookup))];
  return {
    next: (bytes) => [e.return(e.add(e.getLocal(0, 'i32'), e.i32(bytes)))],
    transfer: (at) => lookup(e.add(e.load(32, e.i32(0), L.PAGE_BASE), e.load(32, e.getLocal(0, 'i32'), at))),
    lookup,
    resolve: () => e.return(e.i32(RETURNS.resolve)),
    exit: () => e.return(e.i32(RETURNS.exit)),
    restart: () => undefined,
  };
}

/** Bodies inside nested blocks, so that `br_table` reaches each: block h(n-1) { … block h0 { table } body0 } body1 … */
function table(e: Emitter, prefix: string, bodies: readonly Expr[][], index: Expr, fallback: string): Expr {
  const labels = bodies.map((_, i) => `${prefix}${i}`);
  let inner: Expr = e.block(labels[0]!, [e.brTable(labels, fallback, index)]);
  for (let i = 0; i < bodies.length; i++) {
    const body = [inner, ...bodies[i]!];
    inner = e.block(i + 1 < bodies.length ? labels[i + 1]! : null, body);
  }
  return inner;
}

function endsItself(block: Block): boolean {
  const last = block.ops[block.ops.length - 1];
  return last !== undefined && ['goto', 'branch', 'jump', 'leave'].includes(last.name);
}

interface Handler {
  readonly name: string;
  readonly block: Block;
  /** Records of its instructions, one behind the other. */
  readonly layouts: readonly RecordLayout[];
}

/** The functions, and all that they and the blocks call. Imported functions have no body and are left out. */
function reachable(blocks: Iterable<Block>, functions: readonly IrFunction[]): IrFunction[] {
  const found = new Set<IrFunction>();
  const visit = (block: Block): void => {
    for (const op of block.ops) {
      const callee = op.imm as IrFunction;
      if (op.name === 'call' && 'body' in callee && !found.has(callee)) {
        found.add(callee);
        visit(callee.body);
      }
    }
  };
  for (const f of functions) found.add(f);
  for (const f of functions) visit(f.body);
  for (const block of blocks) visit(block);
  return [...found];
}

/** Effects of ops that `run` has no place for: its calls are all out of the way, so that its registers stay registers. */
const NOT_HOT: ReadonlySet<Effect> = new Set(['call', 'fault', 'env']);

/** Whether the form can have a handler in `run`. */
export function canBeHot({ ops }: Block): boolean {
  return !ops.some(
    (op) =>
      NOT_HOT.has(OPS[op.name].effect) ||
      ['leave', 'probe', 'loop'].includes(op.name) ||
      (op.name === 'jump' && op.imm === 3),
  );
}

/**
 * Generates the module. `forms`: hottest first, the first `hotCount` have a handler in `run`; `runtime`: the IR functions
 * that lowered code calls by name.
 */
export function generateInterpreter(
  forms: readonly Form[],
  hotCount: number,
  sequences: readonly FormSequence[],
  runtime: readonly IrFunction[],
  options: InterpreterOptions,
): InterpreterImage {
  const e = new Emitter();
  for (const [name, { params, result }] of Object.entries(L.IMPORTS)) e.addImport(name, params, result);
  const functions = reachable(
    [...forms, ...sequences].map((f) => f.block),
    runtime,
  );
  e.addTable(L.REGION_TABLE, L.MAX_REGIONS);
  const traits = traitsOf(functions);
  for (const f of functions) addIrFunction(e, f, traits);

  const layouts = new Map(forms.map((form) => [form.id, layoutOf(form.block)]));
  const single = (f: Form): Handler => ({ name: f.name, block: f.block, layouts: [layouts.get(f.id)!] });
  // Handler numbers: those of `run`, its special ones first, then one for every form.
  const sequenceHandlers = sequences.map((s) => ({
    name: s.name,
    block: s.block,
    layouts: s.forms.map((form) => layouts.get(form)!),
  }));
  const hotForms = forms.slice(0, hotCount);
  const hot = [...sequenceHandlers, ...hotForms.map(single)];
  const runHandlers = HANDLER.first + hot.length;
  const body = (h: Handler, number: number, locals: Locals, r: Registers, exits: Exits): Expr[] => {
    const target = new HandlerTarget(e, r, exits, h.layouts);
    try {
      const groups = number < runHandlers ? groupAccesses(h.block) : undefined;
      const out = new Lowering(e, locals, target, traits, h.block, `f${number}_`, 0, groups).run();
      const bytes = h.layouts.reduce((sum, layout) => sum + layout.bytes, 0);
      return endsItself(h.block) ? out : [...out, ...exits.next(bytes)];
    } catch (error) {
      throw new Error(`form ${h.name}: ${(error as Error).message}`, { cause: error });
    }
  };

  const perFunction = 1 << FUNCTION_BITS;
  let chunks = 0;
  for (let from = 0; from < forms.length; from += perFunction) {
    const locals = new Locals(['i32', 'i32']);
    const bodies = forms
      .slice(from, from + perFunction)
      .map((f, i) => body(single(f), runHandlers + from + i, locals, rareRegisters(e), rareExits(e)));
    const index = e.and(e.getLocal(1, 'i32'), e.i32(perFunction - 1));
    const code = e.block(null, [e.block('bad', [table(e, 'h', bodies, index, 'bad')]), e.unreachable()]);
    e.addFunction(`rare${chunks++}`, ['i32', 'i32'], 'i32', locals, code);
  }
  addRun(e, runHandlers, chunks, (locals) =>
    hot.map((h, i) => body(h, HANDLER.first + i, locals, hotRegisters(e), hotExits(e))),
  );
  e.addExport('run');
  for (const f of functions) e.addExport(f.name);
  const text = options.text ? e.text() : undefined;
  const wasm = withFunctionName(e.finish({ validate: options.validate }), 'run', 'interpreter');
  const firstForm = HANDLER.first + sequences.length;
  return {
    wasm,
    forms: forms.map(({ id }, i) => {
      const rest = { id, layout: layouts.get(id)! };
      const slow = runHandlers + i;
      return i < hotCount ? { ...rest, handler: firstForm + i, slow } : { ...rest, handler: slow };
    }),
    sequences: sequences.map((s, i) => ({ forms: s.forms, handler: HANDLER.first + i })),
    ...(text === undefined ? {} : { text }),
  };
}

/** Lowers an out-of-line IR function into the module. */
export function addIrFunction(e: Emitter, f: IrFunction, traits: ReadonlyMap<string, FunctionTraits>): void {
  const locals = new Locals(f.params);
  const target = new FunctionTarget(e, f.result, L.TLB_BASE, L.FUEL);
  const code = new Lowering(e, locals, target, traits, f.body, `${f.name}_`, f.params.length).run();
  if (f.result !== 'void') code.push(e.unreachable());
  e.addFunction(
    f.name,
    f.params,
    f.result,
    locals,
    e.block(null, code, f.result === 'void' ? 'void' : f.result),
  );
}

function addRun(
  e: Emitter,
  runHandlers: number,
  chunks: number,
  makeBodies: (locals: Locals) => Expr[][],
): void {
  const locals = new Locals([]);
  for (let i = 0; i < RUN_LOCALS; i++) locals.take('i32');
  const get = (local: number): Expr => e.getLocal(local, 'i32');
  const slot = (at: number): Expr => e.load(32, e.i32(0), at);
  const setSlot = (at: number, v: Expr): Expr => e.store(32, e.i32(0), v, at);
  const recordEip = (): Expr => e.add(get(BASE), e.load(16, get(PC), RECORD_OFFSET));
  /** An abandoned block gives back what it claimed from the current record on. */
  const refund = (): Expr => e.setLocal(FUEL, e.add(get(FUEL), e.load(8, get(PC), RECORD_LEFT)));
  const executionEntry = (address: Expr): Expr => {
    const index = e.and(e.shru(address, e.i32(9)), e.i32((L.TLB_ENTRIES - 1) << 3));
    return e.add(get(TLB), index);
  };

  const resume: Expr[] = [refund(), e.setLocal(EIP, recordEip()), e.br('lookup')];
  const nextLinear = (): Expr => e.add(get(ENTRY), e.i32(4096));
  const cross: Expr[] = [
    e.setLocal(ENTRY, e.add(get(BASE), slot(S.SEGMENT_BASE + 4 * S.CS))),
    e.setLocal(EIP, nextLinear()),
    e.setLocal(ENTRY, executionEntry(get(EIP))),
    e.if(
      e.pure('i32.or', [
        e.ne(e.load(32, get(ENTRY), L.TLB_DATA_BYTES), get(EIP)),
        e.ne(e.load(32, get(ENTRY), L.TLB_DATA_BYTES + 4), e.load(32, get(PC), 8)),
      ]),
      e.block(null, [refund(), e.setLocal(EIP, recordEip()), e.br('resolve')]),
    ),
    e.setLocal(PC, e.add(get(PC), e.i32(CROSS_BYTES))),
    e.br('next'),
  ];
  // What a region returns is what functions of rare handlers return.
  const regionEntry = (at: number): Expr => e.load(32, get(ENTRY), L.REGION_ENTRY_TABLE + at);
  /** The record in the code map at EIP, into REC; goes to `missing` if the page is not in the execution TLB. */
  const recordAt = (missing: string): Expr[] => [
    e.setLocal(ENTRY, executionEntry(get(EIP))),
    e.br(missing, e.ne(e.load(32, get(ENTRY), L.TLB_DATA_BYTES), e.and(get(EIP), e.i32(-4096)))),
    e.setLocal(
      ENTRY,
      e.add(e.load(32, get(ENTRY), L.TLB_DATA_BYTES + 4), e.shl(e.and(get(EIP), e.i32(4095)), e.i32(2))),
    ),
    e.setLocal(REC, e.load(32, get(ENTRY))),
  ];
  const isRegion = (): Expr => e.eq(e.load(16, get(REC), RECORD_HANDLER), e.i32(HANDLER.region));
  const needed = (): Expr => e.and(regionEntry(12), e.i32(L.REGION_NEED_MASK));
  const instructionsLeft = (): Expr => e.load(8, get(REC), RECORD_LEFT);
  const entryNumber = (): Expr => e.load(16, get(REC), RECORD_ENTRY);
  /** Runs the region of REC, and those that it goes on in; then, or if none of it can be paid, to `called` or `short`. */
  const chain: Expr[] = [
    e.setLocal(FROM, entryNumber()),
    e.setLocal(ENTRY, e.shl(get(FROM), e.i32(4))),
    e.br('short', e.ltU(get(FUEL), needed())),
    setSlot(L.FUEL, get(FUEL)),
    setSlot(L.CODE_CHANGED, e.i32(0)),
    setSlot(L.REGION_ENTRIES, e.add(slot(L.REGION_ENTRIES), e.i32(1))),
    e.setLocal(
      REC,
      e.callIndirect(
        L.REGION_TABLE,
        regionEntry(0),
        [regionEntry(4), regionEntry(8), regionEntry(12)],
        ['i32', 'i32', 'i32'],
        'i32',
      ),
    ),
    e.br('called', e.and(get(REC), e.ne(get(REC), e.i32(RETURNS.missed)))),
    e.if(
      get(REC),
      e.block(null, [
        countExit(e, 'TLB miss'),
        e.if(
          e.pure('i32.eqz', [e.and(slot(exitCounter('TLB miss')), e.i32(L.MISS_SAMPLE - 1))]),
          e.call('missed', [get(FROM)], 'void'),
        ),
      ]),
    ),
    e.setLocal(FUEL, slot(L.FUEL)),
    e.setLocal(TLB, slot(L.TLB_BASE)),
    e.setLocal(EIP, slot(S.EIP)),
    e.br('plain', get(REC)),
    // It goes on at EIP: often in another region.
    ...recordAt('called'),
    e.if(
      get(REC),
      e.if(
        isRegion(),
        e.block(null, [
          e.setLocal(BASE, e.and(get(EIP), e.i32(-4096))),
          setSlot(L.PAGE_BASE, get(BASE)),
          e.setLocal(ENTRY, e.add(slot(L.TRANSITIONS), e.i32(1))),
          setSlot(L.TRANSITIONS, get(ENTRY)),
          e.if(
            e.pure('i32.eqz', [e.and(get(ENTRY), e.i32(L.TRANSITION_SAMPLE - 1))]),
            e.call('transition', [get(FROM), entryNumber()], 'void'),
          ),
          e.br('chain'),
        ]),
      ),
    ),
    e.setLocal(REC, e.i32(RETURNS.lookup)),
    e.br('called'),
  ];
  // Too little fuel for the region: its block as instructions, if that has been made. The record that the code map
  // names knows where; the one that was patched does not.
  const short: Expr[] = [e.setLocal(EIP, e.add(get(BASE), e.load(16, get(REC), RECORD_OFFSET)))];
  // Instructions at EIP, whether or not a region starts there.
  const plain: Expr[] = [
    setSlot(L.PLAIN_WANTED, e.i32(1)),
    ...recordAt('resolve'),
    e.br('resolve', e.pure('i32.eqz', [get(REC)])),
    e.if(isRegion(), e.setLocal(REC, e.load(32, get(REC), RECORD_PLAIN))),
    e.br('resolve', e.pure('i32.eqz', [get(REC)])),
    e.br('resolve', e.ltU(get(FUEL), instructionsLeft())),
    setSlot(L.PLAIN_WANTED, e.i32(0)),
    e.setLocal(BASE, e.and(get(EIP), e.i32(-4096))),
    setSlot(L.PAGE_BASE, get(BASE)),
    e.setLocal(FUEL, e.sub(get(FUEL), instructionsLeft())),
    e.setLocal(PC, get(REC)),
    e.br('next'),
  ];
  /** Code with calls, out of the way: registers are saved there, and nowhere else. PC is never 0. */
  const aside = (body: readonly Expr[]): Expr[] => [e.if(get(PC), e.block(null, body)), e.unreachable()];
  const region: Expr[] = aside([
    refund(),
    e.setLocal(REC, get(PC)),
    e.block('plain', [e.block('short', [e.loop('chain', e.block(null, chain))]), ...short]),
    ...plain,
  ]);
  const bodies = [resume, cross, region, ...makeBodies(locals)];
  if (bodies.length !== runHandlers) throw new Error('handler numbering');

  // A handler of another function, number REC among those: by function, then by what it returned.
  const handlerHere = (): Expr => e.load(16, get(PC), RECORD_HANDLER);
  const rare: Expr[] = aside([e.setLocal(REC, e.sub(handlerHere(), e.i32(runHandlers))), e.br('slow')]);
  const slowOf = (): Expr => e.load(16, e.shl(handlerHere(), e.i32(1)), L.SLOW_HANDLERS);
  const miss: Expr[] = [e.setLocal(REC, slowOf())];
  const calls = Array.from({ length: chunks }, (_, i) => [
    e.setLocal(REC, e.call(`rare${i}`, [get(PC), get(REC)], 'i32')),
    e.br('called'),
  ]);
  const slow: Expr[] = [
    setSlot(L.FUEL, get(FUEL)),
    table(e, 'chunk', calls, e.shru(get(REC), e.i32(FUNCTION_BITS)), 'called'),
  ];
  const afterCall: Expr[] = [
    e.setLocal(FUEL, slot(L.FUEL)),
    e.setLocal(TLB, slot(L.TLB_BASE)),
    e.br('exit', e.eq(get(REC), e.i32(RETURNS.exit))),
    e.br('left', e.eq(get(REC), e.i32(RETURNS.left))),
    e.if(
      e.eq(get(REC), e.i32(RETURNS.resolve)),
      e.block(null, [e.setLocal(EIP, slot(S.EIP)), e.br('resolve')]),
    ),
    e.if(
      get(REC),
      e.block(null, [e.setLocal(PC, get(REC)), e.br('next')]),
      e.block(null, [e.setLocal(EIP, slot(S.EIP)), e.br('lookup')]),
    ),
  ];
  const dispatch: Expr[] = [
    e.block('called', [
      e.block('slow', [
        e.block('miss', [e.block('rare', [table(e, 'h', bodies, handlerHere(), 'rare')]), ...rare]),
        ...miss,
      ]),
      ...slow,
    ]),
    ...afterCall,
  ];

  const heat = (): Expr => e.add(get(REC), e.i32(RECORD_HEAT));
  const claim = (): Expr[] => [
    e.setLocal(ENTRY, e.sub(e.load(32, heat()), e.i32(1))),
    e.store(32, heat(), get(ENTRY)),
    e.if(e.pure('i32.eqz', [get(ENTRY)]), e.call('hot', [get(REC)], 'void')),
    e.setLocal(FUEL, e.sub(get(FUEL), get(LEFT))),
    e.setLocal(PC, get(REC)),
    e.br('next'),
  ];
  const measure = (): Expr => e.setLocal(LEFT, e.load(8, get(REC), RECORD_LEFT));
  const expensive = (): Expr => e.ltU(get(FUEL), get(LEFT));
  const transfer: Expr[] = [
    e.setLocal(REC, e.load(32, get(PC), 4)),
    e.if(get(REC), e.block('unpaid', [measure(), e.if(expensive(), e.br('unpaid')), ...claim()])),
    e.setLocal(LINK, e.add(get(PC), e.i32(4))),
    e.setLocal(EIP, e.add(get(BASE), e.load(32, get(PC), 0))),
  ];
  // The page offset of the linear address; REC serves as a temporary.
  const pageOffset = (): Expr => e.and(get(REC), e.i32(4095));
  const resolveIf = (condition: Expr): Expr => e.if(condition, e.br('resolve'));
  const lookup: Expr[] = [
    e.setLocal(REC, e.add(get(EIP), slot(S.SEGMENT_BASE + 4 * S.CS))),
    e.setLocal(ENTRY, executionEntry(get(REC))),
    e.if(e.ne(e.load(32, get(ENTRY), L.TLB_DATA_BYTES), e.and(get(REC), e.i32(-4096))), e.br('fill')),
    e.setLocal(ENTRY, e.add(e.load(32, get(ENTRY), L.TLB_DATA_BYTES + 4), e.shl(pageOffset(), e.i32(2)))),
    e.setLocal(REC, e.sub(get(EIP), pageOffset())),
    // A link is good as long as both ends are in one page: they are dropped together.
    e.setLocal(LINK, e.pure('i32.select', [e.eq(get(REC), get(BASE)), get(LINK), e.i32(0)])),
    e.setLocal(BASE, get(REC)),
    e.setLocal(REC, e.load(32, get(ENTRY))),
    resolveIf(e.pure('i32.eqz', [get(REC)])),
    setSlot(L.PAGE_BASE, get(BASE)),
    e.if(get(LINK), e.store(32, get(LINK), get(REC))),
    e.setLocal(LINK, e.i32(0)),
    measure(),
    resolveIf(expensive()),
    ...claim(),
  ];
  const refresh = (): Expr[] => [e.setLocal(BASE, slot(L.PAGE_BASE)), e.setLocal(TLB, slot(L.TLB_BASE))];
  /** Starts over at EIP = PAGE_BASE + an offset, with what the slots say: no register outlives the call before. */
  const startAt = (offset: Expr): Expr[] => [
    e.store(16, e.i32(0), offset, L.START_RECORD + RECORD_OFFSET),
    e.setLocal(LINK, e.i32(0)),
    e.setLocal(FUEL, slot(L.FUEL)),
    ...refresh(),
    e.setLocal(PC, e.i32(L.START_RECORD)),
    e.br('next'),
  ];
  // The page at REC is not in the execution TLB. At the end of a budget nothing may happen any more.
  const fill: Expr[] = [
    e.br('resolve', e.pure('i32.eqz', [get(FUEL)])),
    setSlot(S.EIP, get(EIP)),
    setSlot(L.FUEL, get(FUEL)),
    setSlot(L.PAGE_BASE, e.sub(get(EIP), pageOffset())),
    e.if(
      e.call(L.EXECUTION_FILL, [get(REC)], 'i32'),
      e.block(null, startAt(e.sub(slot(S.EIP), slot(L.PAGE_BASE)))),
    ),
    e.setLocal(FUEL, slot(L.FUEL)),
    e.setLocal(EIP, slot(S.EIP)),
  ];
  const resolve: Expr[] = [
    e.setLocal(LINK, e.i32(0)),
    setSlot(S.EIP, get(EIP)),
    setSlot(L.FUEL, get(FUEL)),
    setSlot(L.CODE_LOOKUPS, e.add(slot(L.CODE_LOOKUPS), e.i32(1))),
    e.setLocal(REC, e.call('resolve', [], 'i32')),
    ...refresh(),
    e.br('left', e.pure('i32.eqz', [get(REC)])),
    measure(),
    ...claim(),
  ];
  const leave: Expr[] = [refund(), setSlot(S.EIP, recordEip()), setSlot(L.FUEL, get(FUEL))];
  // EIP and FUEL are right, EXIT_* tell why: the guest's own handler may be entered at once, or the owner may serve it.
  const left: Expr[] = [
    e.if(
      e.pure('i32.eqz', [e.call(L.DIRECT_TRAP, [], 'i32')]),
      e.if(e.pure('i32.eqz', [e.call('serve', [], 'i32')]), e.return(slot(S.EXIT_REASON))),
    ),
    setSlot(L.PAGE_BASE, e.and(slot(S.EIP), e.i32(-4096))),
    ...startAt(e.and(slot(S.EIP), e.i32(4095))),
  ];

  const code = e.block(null, [
    e.setLocal(FUEL, slot(L.FUEL)),
    ...refresh(),
    e.setLocal(PC, e.i32(L.START_RECORD)),
    e.loop(
      'next',
      e.block(null, [
        e.block('left', [
          e.block('exit', [
            e.block('resolve', [
              e.block('fill', [e.block('lookup', [e.block('transfer', dispatch), ...transfer]), ...lookup]),
              ...fill,
            ]),
            ...resolve,
          ]),
          ...leave,
        ]),
        ...left,
      ]),
    ),
    e.unreachable(),
  ]);
  e.addFunction('run', [], 'i32', locals, code);
}

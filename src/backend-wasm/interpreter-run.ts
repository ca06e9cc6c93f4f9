/**
 * The interpreter's main function `run`: a `br_table` loop with the hot handlers, and around it what runs the others and
 * gets from one block to the next. Nothing but code out of the way calls anything while registers are alive.
 */
import * as S from '../frontend-x86/cpu-state.js';
import { type Emitter, type Expr, Locals } from './binaryen.js';
import { branchTable } from './branch-table.js';
import {
  BASE,
  EIP,
  ENTRY,
  FUEL,
  PC,
  REC,
  RUN_LOCALS,
  type RunCode,
  runCode,
  TLB,
} from './interpreter-locals.js';
import { callRare } from './interpreter-rare-handlers.js';
import { regionHandler } from './interpreter-regions.js';
import {
  exit,
  fill,
  left,
  lookup,
  refresh,
  resolve,
  serve,
  start,
  transfer,
} from './interpreter-transfers.js';
import * as L from './memory-layout.js';
import { CROSS_BYTES, HANDLER, RECORD_CROSS_MAP, RECORD_HANDLER, RETURNS } from './record.js';

/** Handler of `resume` records. */
function resumeHandler({ e, refund, recordEip }: RunCode): Expr[] {
  return [refund(), e.setLocal(EIP, recordEip()), e.br('lookup')];
}

/** Handler of `cross` records: goes on to the record behind it if the next page is the one that was decoded. */
function crossHandler({ e, get, slot, refund, recordEip, executionEntry }: RunCode): Expr[] {
  const nextLinear = (): Expr => e.add(get(ENTRY), e.i32(4096));
  return [
    e.setLocal(ENTRY, e.add(get(BASE), slot(S.SEGMENT_BASE + 4 * S.CS))),
    e.setLocal(EIP, nextLinear()),
    e.setLocal(ENTRY, executionEntry(get(EIP))),
    e.if(
      e.pure('i32.or', [
        e.ne(e.load(32, get(ENTRY), L.TLB_DATA_BYTES), get(EIP)),
        e.ne(e.load(32, get(ENTRY), L.TLB_DATA_BYTES + 4), e.load(32, get(PC), RECORD_CROSS_MAP)),
      ]),
      e.block(null, [refund(), e.setLocal(EIP, recordEip()), e.br('resolve')]),
    ),
    e.setLocal(PC, e.add(get(PC), e.i32(CROSS_BYTES))),
    e.br('next'),
  ];
}

/**
 * Runs the handler of the record PC, and goes to where it leads. `bodies`: those that stand in `run`, by number; the
 * others, which follow them in number, are in so many functions.
 */
function dispatch(code: RunCode, bodies: readonly Expr[][], rareFunctions: number): Expr[] {
  const { e, get, slot, setSlot, aside } = code;
  const handlerHere = (): Expr => e.load(16, get(PC), RECORD_HANDLER);
  // A handler of another function, number REC among those: by function, then by what it returned.
  const rare: Expr[] = aside([e.setLocal(REC, e.sub(handlerHere(), e.i32(bodies.length))), e.br('slow')]);
  const slowOf = (): Expr => e.load(16, e.shl(handlerHere(), e.i32(1)), L.SLOW_HANDLERS);
  const miss: Expr[] = [e.setLocal(REC, slowOf())];
  const slow: Expr[] = [
    setSlot(L.FUEL, get(FUEL)),
    callRare(
      e,
      rareFunctions,
      () => get(PC),
      () => get(REC),
      (returned) => [e.setLocal(REC, returned), e.br('called')],
      'called',
    ),
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
  return [
    e.block('called', [
      e.block('slow', [
        e.block('miss', [e.block('rare', [branchTable(e, 'h', bodies, handlerHere(), 'rare')]), ...rare]),
        ...miss,
      ]),
      ...slow,
    ]),
    ...afterCall,
  ];
}

/**
 * Adds `run` to the module: () → EXIT_REASON.
 * @param rareFunctions how many functions there are with the handlers that `run` does not have
 * @param lowerHot the code of the forms and sequences in `run`, by handler from `HANDLER.first` on
 */
export function addRun(e: Emitter, rareFunctions: number, lowerHot: (locals: Locals) => Expr[][]): void {
  const locals = new Locals([]);
  for (let i = 0; i < RUN_LOCALS; i++) locals.take('i32');
  const code = runCode(e);
  // In the order of `HANDLER`.
  const special = [resumeHandler(code), crossHandler(code), regionHandler(code)];
  if (special.length !== HANDLER.first) throw new Error('handler numbering');
  const handlers = dispatch(code, [...special, ...lowerHot(locals)], rareFunctions);
  const body = e.block(null, [
    e.setLocal(FUEL, code.slot(L.FUEL)),
    ...refresh(code),
    e.setLocal(PC, e.i32(L.START_RECORD)),
    e.loop(
      'next',
      e.block(null, [
        e.block('start', [
          e.block('serve', [
            e.block('left', [
              e.block('exit', [
                e.block('resolve', [
                  e.block('fill', [
                    e.block('lookup', [e.block('transfer', handlers), ...transfer(code)]),
                    ...lookup(code),
                  ]),
                  ...fill(code),
                ]),
                ...resolve(code),
              ]),
              ...exit(code),
            ]),
            ...left(code),
          ]),
          ...serve(code),
        ]),
        ...start(code),
      ]),
    ),
    e.unreachable(),
  ]);
  e.addFunction('run', [], 'i32', locals, body);
}

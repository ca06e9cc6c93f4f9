/**
 * How the interpreter gets from one block to the next, and out of `run` and in again: by a link between records, by the
 * execution TLB and a code map, or by asking the runtime. Each part is what stands behind the label of its name in
 * `run` and, unless it says otherwise, ends with a branch to another label.
 */
import * as S from '../frontend-x86/cpu-state.js';
import type { Expr } from './binaryen.js';
import { BASE, EIP, ENTRY, FUEL, LEFT, LINK, PC, REC, type RunCode, TLB } from './interpreter-locals.js';
import * as L from './memory-layout.js';
import { RECORD_HEAT, RECORD_LEFT, RECORD_OFFSET } from './record.js';

/** Instructions of the block at record REC, into LEFT. */
function measure({ e, get }: RunCode): Expr {
  return e.setLocal(LEFT, e.load(8, get(REC), RECORD_LEFT));
}

/** Whether the budget cannot pay the block. */
function expensive({ e, get }: RunCode): Expr {
  return e.ltU(get(FUEL), get(LEFT));
}

/** Enters the block at REC: takes its LEFT instructions from the budget, and from what it may execute until it is hot. */
function claim({ e, get }: RunCode): Expr[] {
  const heat = (): Expr => e.add(get(REC), e.i32(RECORD_HEAT));
  return [
    e.setLocal(ENTRY, e.load(32, heat())),
    e.store(32, heat(), e.sub(get(ENTRY), get(LEFT))),
    // From more than none to none or less: once, until somebody sets it anew.
    e.if(e.ltU(e.sub(get(ENTRY), e.i32(1)), get(LEFT)), e.call('hot', [get(REC), get(FUEL)], 'void')),
    e.setLocal(FUEL, e.sub(get(FUEL), get(LEFT))),
    e.setLocal(PC, get(REC)),
    e.br('next'),
  ];
}

/** Reads the registers that say where the guest is mapped. */
export function refresh({ e, slot }: RunCode): Expr[] {
  return [e.setLocal(BASE, slot(L.PAGE_BASE)), e.setLocal(TLB, slot(L.TLB_BASE))];
}

/** Starts over at EIP = PAGE_BASE + an offset, with what the slots say: no register outlives the call before. */
function startAt(code: RunCode, offset: Expr): Expr[] {
  const { e, slot } = code;
  return [
    e.store(16, e.i32(0), offset, L.START_RECORD + RECORD_OFFSET),
    e.setLocal(LINK, e.i32(0)),
    e.setLocal(FUEL, slot(L.FUEL)),
    ...refresh(code),
    e.setLocal(PC, e.i32(L.START_RECORD)),
    e.br('next'),
  ];
}

/** Through the {target, link} pair at PC: to the linked record, or on to `lookup`, which stands behind it, with EIP. */
export function transfer(code: RunCode): Expr[] {
  const { e, get } = code;
  return [
    e.setLocal(REC, e.load(32, get(PC), 4)),
    e.if(get(REC), e.block('unpaid', [measure(code), e.if(expensive(code), e.br('unpaid')), ...claim(code)])),
    e.setLocal(LINK, e.add(get(PC), e.i32(4))),
    e.setLocal(EIP, e.add(get(BASE), e.load(32, get(PC), 0))),
  ];
}

/** The page offset of the linear address in REC. */
function pageOffset({ e, get }: RunCode): Expr {
  return e.and(get(REC), e.i32(4095));
}

/** To EIP by the execution TLB and the page's code map; sets LINK's dword where it may. */
export function lookup(code: RunCode): Expr[] {
  const { e, get, slot, setSlot, executionEntry } = code;
  const resolveIf = (condition: Expr): Expr => e.if(condition, e.br('resolve'));
  return [
    // The linear address, and then the eip of the page's first byte.
    e.setLocal(REC, e.add(get(EIP), slot(S.SEGMENT_BASE + 4 * S.CS))),
    e.setLocal(ENTRY, executionEntry(get(REC))),
    e.if(e.ne(e.load(32, get(ENTRY), L.TLB_DATA_BYTES), e.and(get(REC), e.i32(-4096))), e.br('fill')),
    e.setLocal(ENTRY, e.add(e.load(32, get(ENTRY), L.TLB_DATA_BYTES + 4), e.shl(pageOffset(code), e.i32(2)))),
    e.setLocal(REC, e.sub(get(EIP), pageOffset(code))),
    // A link is good as long as both ends are in one page: they are dropped together.
    e.setLocal(LINK, e.pure('i32.select', [e.eq(get(REC), get(BASE)), get(LINK), e.i32(0)])),
    e.setLocal(BASE, get(REC)),
    e.setLocal(REC, e.load(32, get(ENTRY))),
    resolveIf(e.pure('i32.eqz', [get(REC)])),
    setSlot(L.PAGE_BASE, get(BASE)),
    e.if(get(LINK), e.store(32, get(LINK), get(REC))),
    e.setLocal(LINK, e.i32(0)),
    measure(code),
    resolveIf(expensive(code)),
    ...claim(code),
  ];
}

/**
 * The page of the linear address REC is not in the execution TLB: fills it and starts over, takes the page fault, or
 * goes on to `resolve`, which stands behind it. At the end of a budget nothing may happen any more.
 */
export function fill(code: RunCode): Expr[] {
  const { e, get, slot, setSlot } = code;
  return [
    e.br('resolve', e.pure('i32.eqz', [get(FUEL)])),
    setSlot(S.EIP, get(EIP)),
    setSlot(L.FUEL, get(FUEL)),
    setSlot(L.PAGE_BASE, e.sub(get(EIP), pageOffset(code))),
    e.setLocal(REC, e.call(L.EXECUTION_FILL, [get(REC)], 'i32')),
    e.if(
      e.eq(get(REC), e.i32(L.FILL_DONE)),
      e.block(null, startAt(code, e.sub(slot(S.EIP), slot(L.PAGE_BASE)))),
    ),
    e.br('left', e.eq(get(REC), e.i32(L.FILL_FAULTED))),
    e.setLocal(FUEL, slot(L.FUEL)),
    e.setLocal(EIP, slot(S.EIP)),
  ];
}

/** To EIP as the runtime says, which may also say to leave. */
export function resolve(code: RunCode): Expr[] {
  const { e, get, slot, setSlot } = code;
  return [
    e.setLocal(LINK, e.i32(0)),
    setSlot(S.EIP, get(EIP)),
    setSlot(L.FUEL, get(FUEL)),
    setSlot(L.CODE_LOOKUPS, e.add(slot(L.CODE_LOOKUPS), e.i32(1))),
    e.setLocal(REC, e.call('resolve', [], 'i32')),
    ...refresh(code),
    e.br('left', e.pure('i32.eqz', [get(REC)])),
    measure(code),
    ...claim(code),
  ];
}

/** Leaves from the record that runs: EXIT_* are set. Goes on to `left`, which stands behind it. */
export function exit({ get, setSlot, refund, recordEip }: RunCode): Expr[] {
  return [refund(), setSlot(S.EIP, recordEip()), setSlot(L.FUEL, get(FUEL))];
}

/**
 * EIP and FUEL are right, EXIT_* tell why: the guest's own handler may be entered at once, or a hypercall be performed; then
 * to `start`. Else on to `serve`, which stands behind it: each is asked once, for a hypercall may empty a part of the ring.
 */
export function left({ e }: RunCode): Expr[] {
  return [
    e.br('start', e.call(L.DIRECT_TRAP, [], 'i32')),
    e.br('start', e.call(L.DIRECT_HYPERCALL, [], 'i32')),
  ];
}

/** The owner may serve it; if not, `run` returns. Else on to `start`, which stands behind it. */
export function serve({ e, slot }: RunCode): Expr[] {
  return [e.br('start', e.call('serve', [], 'i32')), e.return(slot(S.EXIT_REASON))];
}

/** Starts over at the EIP in its slot. */
export function start(code: RunCode): Expr[] {
  const { e, slot, setSlot } = code;
  return [
    setSlot(L.PAGE_BASE, e.and(slot(S.EIP), e.i32(-4096))),
    ...startAt(code, e.and(slot(S.EIP), e.i32(4095))),
  ];
}

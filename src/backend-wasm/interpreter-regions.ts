/**
 * The interpreter's handler of `region` records: runs a translated region, and those that it goes on in, without a way
 * through records in between.
 */
import * as S from '../frontend-x86/cpu-state.js';
import type { Expr } from './binaryen.js';
import { BASE, ENTRY, EIP, FROM, FUEL, PC, REC, type RunCode, TLB } from './interpreter-locals.js';
import * as L from './memory-layout.js';
import {
  HANDLER,
  RECORD_ENTRY,
  RECORD_HANDLER,
  RECORD_LEFT,
  RECORD_OFFSET,
  RECORD_PLAIN,
  RETURNS,
} from './record.js';
import { countExit } from './region-flow.js';

/**
 * The handler's code. It goes to `called` with what the last region returned in REC, as after a rare handler; to `next`
 * with the instructions of a block that the rest of the budget cannot pay as a region; to `resolve`; or to `serve` with
 * what only the owner can do.
 */
export function regionHandler({ e, get, slot, setSlot, refund, executionEntry, aside }: RunCode): Expr[] {
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
  /** Counts what the region has executed: FUEL still has what there was before. */
  const countInstructions = (): Expr => {
    const executed = e.pure('i64.extend_i32_u', [e.sub(get(FUEL), slot(L.FUEL))]);
    const sum = e.pure('i64.add', [e.load(64, e.i32(0), L.REGION_INSTRUCTIONS), executed]);
    return e.store(64, e.i32(0), sum, L.REGION_INSTRUCTIONS);
  };
  /** What a call may have changed, and where it goes on. */
  const adopt = (): Expr[] => [
    e.setLocal(FUEL, slot(L.FUEL)),
    e.setLocal(TLB, slot(L.TLB_BASE)),
    e.setLocal(EIP, slot(S.EIP)),
  ];
  /** It goes on at EIP, often in another region: there, after `before`; else to `called`, to look EIP up. */
  const goOn = (before: readonly Expr[]): Expr[] => [
    e.setLocal(REC, e.i32(RETURNS.lookup)),
    ...recordAt('called'),
    e.if(
      get(REC),
      e.if(
        isRegion(),
        e.block(null, [
          e.setLocal(BASE, e.and(get(EIP), e.i32(-4096))),
          setSlot(L.PAGE_BASE, get(BASE)),
          ...before,
          e.br('chain'),
        ]),
      ),
    ),
    e.setLocal(REC, e.i32(RETURNS.lookup)),
    e.br('called'),
  ];
  // Runs the region of REC, and those that it goes on in; then, or if it cannot be paid, to `called` or `short`.
  const chain: Expr[] = [
    e.setLocal(FROM, entryNumber()),
    e.setLocal(ENTRY, e.shl(get(FROM), e.i32(4))),
    e.br('short', e.ltU(get(FUEL), needed())),
    setSlot(L.FUEL, get(FUEL)),
    setSlot(L.CODE_CHANGED, e.i32(0)),
    setSlot(L.REGION_ENTRIES, e.add(slot(L.REGION_ENTRIES), e.i32(1))),
    e.store(8, regionEntry(0), e.i32(1), L.REGION_USED),
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
    countInstructions(),
    // Behind a trap that enters the guest's handler at once, or a hypercall that is performed, there is a region, most often.
    e.if(
      e.eq(get(REC), e.i32(RETURNS.left)),
      e.block(null, [
        e.if(
          e.pure('i32.eqz', [e.call(L.DIRECT_TRAP, [], 'i32')]),
          e.br('serve', e.pure('i32.eqz', [e.call(L.DIRECT_HYPERCALL, [], 'i32')])),
        ),
        ...adopt(),
        ...goOn([]),
      ]),
    ),
    e.br('called', e.and(e.ne(get(REC), e.i32(RETURNS.lookup)), e.ne(get(REC), e.i32(RETURNS.missed)))),
    e.if(
      get(REC),
      e.block(null, [
        countExit(e, 'TLB miss'),
        e.if(
          e.pure('i32.eqz', [e.and(slot(L.exitCounter('TLB miss')), e.i32(L.MISS_SAMPLE - 1))]),
          e.call('missed', [get(FROM)], 'void'),
        ),
      ]),
    ),
    ...adopt(),
    e.br('plain', get(REC)),
    ...goOn([
      e.setLocal(ENTRY, e.add(slot(L.TRANSITIONS), e.i32(1))),
      setSlot(L.TRANSITIONS, get(ENTRY)),
      e.if(
        e.pure('i32.eqz', [e.and(get(ENTRY), e.i32(L.TRANSITION_SAMPLE - 1))]),
        e.call('transition', [get(FROM), entryNumber()], 'void'),
      ),
    ]),
  ];
  // Too little fuel for the region: its block as instructions, if that has been made. The record that the code map
  // names knows where; the one that was patched does not.
  const short: Expr[] = [
    e.setLocal(EIP, e.add(get(BASE), e.load(16, get(REC), RECORD_OFFSET))),
    e.br('resolve', slot(L.ROUGH_BUDGETS)),
  ];
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
  return aside([
    refund(),
    e.setLocal(REC, get(PC)),
    e.block('plain', [e.block('short', [e.loop('chain', e.block(null, chain))]), ...short]),
    ...plain,
  ]);
}

/** The IR function that jumps of kind 3 call, when privilege or segments may have changed. */
import * as S from '../frontend-x86/cpu-state.js';
import {
  FLAT_CODE,
  FLAT_CODE_SEGMENTS,
  FLAT_DATA,
  FLAT_DATA_SEGMENTS,
} from '../frontend-x86/flat-segments.js';
import { defineFunction } from '../ir/builder.js';
import type { CallTarget, IrFunction, Value } from '../ir/ir.js';
import * as L from '../backend-wasm/memory-layout.js';

const ALL = [...FLAT_CODE_SEGMENTS, ...FLAT_DATA_SEGMENTS];

const notFlat: CallTarget = { name: 'segments_not_flat', params: [], result: 'void', faults: false };

/**
 * Points TLB_BASE at the TLB of the current privilege; tells the engine if flat records no longer fit. Returns nonzero
 * if the engine has to stop at the next instruction: TF is set, and the owner steps.
 */
export const MODE_CHANGED_FUNCTION: IrFunction = defineFunction(L.MODE_CHANGED, [], 'i32', false, (b) => {
  const k = (n: number): Value => b.const32(n);
  const user = b.pure('i32.eq', b.get32(S.CPL), k(3));
  const offset = b.pure('i32.select', user, k(0), k(L.TLB_BYTES));
  b.put32(L.TLB_BASE, b.pure('i32.add', b.get32(L.TLB_CONTEXT), offset));
  b.if(b.get32(L.FLAT_MODE), () => {
    const all = (name: 'i32.and' | 'i32.or', slot: number, segments: readonly number[]): Value =>
      segments.map((s) => b.get32(slot + 4 * s)).reduce((a, c) => b.pure(name, a, c));
    const differs = (v: Value, mask: number): Value =>
      b.pure('i32.xor', b.pure('i32.and', v, k(mask)), k(mask));
    const wrong = [
      all('i32.or', S.SEGMENT_BASE, ALL),
      b.pure('i32.xor', all('i32.and', S.SEGMENT_LIMIT, ALL), k(-1)),
      differs(all('i32.and', S.SEGMENT_ATTR, FLAT_DATA_SEGMENTS), FLAT_DATA.must),
      b.pure('i32.and', all('i32.or', S.SEGMENT_ATTR, FLAT_DATA_SEGMENTS), k(FLAT_DATA.mustNot)),
      differs(all('i32.and', S.SEGMENT_ATTR, FLAT_CODE_SEGMENTS), FLAT_CODE.must),
    ].reduce((a, c) => b.pure('i32.or', a, c));
    b.if(wrong, () => {
      b.call(notFlat);
    });
  });
  b.return(b.pure('i32.and', b.get32(S.FLAGS_SYSTEM), k(S.F_TF)));
});

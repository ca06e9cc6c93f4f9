/** Flat segments: what records are decoded for, in TypeScript and as the IR function that jumps of kind 3 call. */
import * as S from '../frontend-x86/cpu-state.js';
import { FLAT_DATA } from '../frontend-x86/lift/functions-segment.js';
import { defineFunction } from '../ir/builder.js';
import type { CallTarget, IrFunction, Value } from '../ir/ir.js';
import * as L from '../backend-wasm/memory-layout.js';
import type { CpuState } from './cpu.js';

// Attribute bits (descriptor bits 8..): type bit 1 writable, bit 2 expand-down, bit 3 code; bit 14 D/B.
const { must: DATA_MUST, mustNot: DATA_MUST_NOT } = FLAT_DATA;
const CODE_MUST = 0x4008;
const CODE = [S.CS];
const DATA = [S.ES, S.SS, S.DS];
const ALL = [...CODE, ...DATA];

/** CS, DS, ES, SS all have base 0, limit 4 GiB, 32-bit size, and the data segments are writable. */
export function segmentsAreFlat(cpu: CpuState): boolean {
  for (const s of ALL) {
    if (cpu.get(S.SEGMENT_BASE + 4 * s) !== 0 || cpu.get(S.SEGMENT_LIMIT + 4 * s) !== 0xffffffff)
      return false;
  }
  for (const s of DATA) {
    const attr = cpu.get(S.SEGMENT_ATTR + 4 * s);
    if ((attr & DATA_MUST) !== DATA_MUST || (attr & DATA_MUST_NOT) !== 0) return false;
  }
  return (cpu.get(S.SEGMENT_ATTR + 4 * S.CS) & CODE_MUST) === CODE_MUST;
}

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
      differs(all('i32.and', S.SEGMENT_ATTR, DATA), DATA_MUST),
      b.pure('i32.and', all('i32.or', S.SEGMENT_ATTR, DATA), k(DATA_MUST_NOT)),
      differs(all('i32.and', S.SEGMENT_ATTR, CODE), CODE_MUST),
    ].reduce((a, c) => b.pure('i32.or', a, c));
    b.if(wrong, () => {
      b.call(notFlat);
    });
  });
  b.return(b.pure('i32.and', b.get32(S.FLAGS_SYSTEM), k(S.F_TF)));
});

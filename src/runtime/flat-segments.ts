/** Whether segments are what records are decoded for. `mode.ts` has the same as an IR function. */
import * as S from '../frontend-x86/cpu-state.js';
import {
  FLAT_CODE,
  FLAT_CODE_SEGMENTS,
  FLAT_DATA,
  FLAT_DATA_SEGMENTS,
} from '../frontend-x86/flat-segments.js';
import type { CpuState } from './cpu.js';

const ALL = [...FLAT_CODE_SEGMENTS, ...FLAT_DATA_SEGMENTS];

/** CS, DS, ES, SS all have base 0, limit 4 GiB, 32-bit size, and the data segments are writable. */
export function segmentsAreFlat(cpu: CpuState): boolean {
  for (const s of ALL) {
    if (cpu.get(S.SEGMENT_BASE + 4 * s) !== 0 || cpu.get(S.SEGMENT_LIMIT + 4 * s) !== 0xffffffff)
      return false;
  }
  for (const s of FLAT_DATA_SEGMENTS) {
    const attr = cpu.get(S.SEGMENT_ATTR + 4 * s);
    if ((attr & FLAT_DATA.must) !== FLAT_DATA.must || (attr & FLAT_DATA.mustNot) !== 0) return false;
  }
  for (const s of FLAT_CODE_SEGMENTS) {
    if ((cpu.get(S.SEGMENT_ATTR + 4 * s) & FLAT_CODE.must) !== FLAT_CODE.must) return false;
  }
  return true;
}

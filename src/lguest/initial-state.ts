/** The CPU state that a guest starts in. */
import * as S from '../frontend-x86/cpu-state.js';
import type { CpuState } from '../runtime/cpu.js';

/** CR0 as a guest that asks natively sees it: PG AM WP NE ET MP PE (Intel SDM vol. 3, 2.5). */
const CR0 = 0x80050033;
/** Where descriptor tables seem to stand: in the part of the virtual space that guests must not use. */
const REPORTED_TABLES = 0xfffde000;
const IDT_REPORTED_LIMIT = 256 * 8 - 1;
const TSS_SELECTOR = 16 << 3;
/** x87 and SSE control as after fninit and reset. */
const FPU_CONTROL = 0x37f;
const MXCSR = 0x1f80;

/**
 * Registers 0, interrupts on at `entry`, and what a guest sees that asks the CPU instead of the Host. Segments and page
 * tables are left to others.
 */
export function setInitialState(cpu: CpuState, entry: number): void {
  for (let slot = 0; slot < S.CPU_STATE_BYTES; slot += 4) cpu.set(slot, 0);
  cpu.eflags = S.F_IF | 2;
  cpu.eip = entry >>> 0;
  cpu.set(S.INTERRUPT_SHADOW, 0xffffffff);
  cpu.set(S.GDT_REPORTED_BASE, REPORTED_TABLES);
  cpu.set(S.IDT_REPORTED_BASE, REPORTED_TABLES + 0x1000);
  cpu.set(S.IDT_REPORTED_LIMIT, IDT_REPORTED_LIMIT);
  cpu.set(S.TR_SELECTOR, TSS_SELECTOR);
  cpu.set(S.CR0_REPORTED, CR0);
  cpu.set(S.FPU_CONTROL, FPU_CONTROL);
  cpu.set(S.MXCSR, MXCSR);
}

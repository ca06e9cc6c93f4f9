/** Test cases and what came of them, independent of who ran them. */

/** x87 state as FXSAVE has it: `tags` bit r = physical register r in use; `st` ST(0)..ST(7), 10 bytes each. */
export interface X87 {
  readonly control: number;
  /** With TOP. */
  readonly status: number;
  readonly tags: number;
  readonly st: Uint8Array;
}

/** Bytes at an address of the window. */
export interface Patch {
  readonly address: number;
  readonly bytes: Uint8Array;
}

export interface Case {
  /** Where execution starts (offset in CS), and the bytes there. */
  readonly eip: number;
  readonly code: Uint8Array;
  /** Index into SEGMENT_SETS. */
  readonly segments: number;
  /** eax ecx edx ebx esp ebp esi edi, uint32. */
  readonly regs: readonly number[];
  readonly eflags: number;
  readonly patches: readonly Patch[];
  /** Absent: as after FNINIT. */
  readonly x87?: X87 | undefined;
}

/**
 * The end of a case: the exception that it ended with (3 at `eip` if the int3 behind the code was reached: then `eip` is
 * that of the int3 itself), and all state.
 */
export interface Outcome {
  readonly regs: readonly number[];
  readonly eflags: number;
  readonly eip: number;
  readonly selectors: readonly number[];
  readonly x87: X87;
  readonly vector: number;
  readonly error: number;
  /** Of page faults. */
  readonly cr2: number;
  /** What the window holds where it differs from what it held at the start, in order, not adjacent. */
  readonly changes: readonly Patch[];
}

/** EFLAGS that cases look at: CF PF AF ZF SF DF OF NT AC ID. */
export const FLAGS = 0x244cd5;

export const VECTOR = {
  divide: 0,
  debug: 1,
  breakpoint: 3,
  overflow: 4,
  stackFault: 12,
  generalProtection: 13,
  pageFault: 14,
  stuck: 255,
} as const;

const INITIAL_CONTROL = 0x37f;
export const INITIAL_X87: X87 = {
  control: INITIAL_CONTROL,
  status: 0,
  tags: 0,
  st: new Uint8Array(80),
};

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((v, i) => v === b[i]);
}

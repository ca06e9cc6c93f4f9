/**
 * What differs between lguest guests. "lguest" is several guest interfaces under one name without a version number:
 * each is one row of this shape, and the Host reads the row.
 */

/** What a hypercall asks for; the numbers are the row's. */
export type HypercallName =
  | 'FLUSH_ASYNC'
  | 'LGUEST_INIT'
  | 'SHUTDOWN'
  | 'CRASH'
  | 'LOAD_GDT'
  | 'NEW_PGTABLE'
  | 'FLUSH_TLB'
  | 'LOAD_IDT_ENTRY'
  | 'SET_STACK'
  | 'TS'
  | 'SET_CLOCKEVENT'
  | 'HALT'
  | 'SET_PMD'
  | 'SET_PTE'
  | 'SET_PGD'
  | 'LOAD_TLS'
  | 'NOTIFY'
  | 'LOAD_GDT_ENTRY'
  | 'SEND_INTERRUPTS';

/** Byte offsets in `struct lguest_data`; -1 where the ABI has no such field. */
export interface LguestDataLayout {
  readonly irqEnabled: number;
  readonly blockedInterrupts: number;
  readonly cr2: number;
  /** Seconds, nanoseconds: two dwords. */
  readonly time: number;
  readonly irqPending: number;
  /** 64 bytes, 0xff = free. */
  readonly hcallStatus: number;
  readonly hcalls: number;
  readonly reserveMem: number;
  readonly tscKhz: number;
  /** Where the Host tells the page directory it built. */
  readonly pgdir: number;
  readonly noirqStart: number;
  readonly noirqEnd: number;
  /** The one address, instead of a range, of the `iret` that must not be interrupted. */
  readonly noirqIret: number;
  readonly kernelAddress: number;
  readonly syscallVec: number;
  readonly size: number;
}

export interface GuestAbi {
  readonly name: string;
  /** The hypercall instruction is `vmcall` (else `int $0x1f`; that is understood always). */
  readonly vmcall: boolean;
  /** Number of the general registers that hold arguments 1..4 (-1: there is no fourth); the call number is in eax. */
  readonly argumentRegisters: readonly [number, number, number, number];
  /** Ring entries: their size, and the byte offsets of number and arguments 1..4 in them (-1: no fourth). */
  readonly ringEntryBytes: number;
  readonly ringOffsets: readonly [number, number, number, number, number];
  readonly hypercalls: Readonly<Record<number, HypercallName>>;
  readonly data: LguestDataLayout;
  /** Bytes at the top of the virtual space that the guest must not use: without and with PAE. */
  readonly reserveMem: readonly [number, number];
  /** `cli` that raised #GP is skipped by the Host. */
  readonly emulatesCli: boolean;
  /** `in al` that raised #GP sets this many low bits of eax. */
  readonly inByteBits: 8 | 16;
  /** How the guest starts: virtual = physical, or with page tables built for it, see `initial-page-tables.ts`. */
  readonly start: 'linear' | 'identity-and-kernel' | 'identity';
  /** How the guest talks to devices. */
  readonly bus: 'lguest' | 'lguest-2.6.24' | 'pci';
}

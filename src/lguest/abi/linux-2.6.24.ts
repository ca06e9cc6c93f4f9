/** Linux 2.6.24, the first with virtio: three arguments, other registers, the GDT as a whole, no irq_pending. */
import type { GuestAbi } from './abi.js';

export const LINUX_2_6_24: GuestAbi = {
  name: '2.6.24',
  vmcall: false,
  argumentRegisters: [2, 3, 1, -1], // edx ebx ecx
  ringEntryBytes: 16,
  ringOffsets: [0, 12, 4, 8, -1], // eax ebx ecx edx
  hypercalls: {
    0: 'FLUSH_ASYNC',
    1: 'LGUEST_INIT',
    2: 'CRASH',
    3: 'LOAD_GDT',
    4: 'NEW_PGTABLE',
    5: 'FLUSH_TLB',
    6: 'LOAD_IDT_ENTRY',
    7: 'SET_STACK',
    8: 'TS',
    9: 'SET_CLOCKEVENT',
    10: 'HALT',
    14: 'SET_PTE',
    15: 'SET_PGD', // under the name of SET_PMD: without PAE its top level is all there is
    16: 'LOAD_TLS',
    17: 'NOTIFY',
  },
  data: {
    irqEnabled: 0,
    blockedInterrupts: 4,
    cr2: 8,
    time: 12,
    irqPending: -1,
    hcallStatus: 20,
    hcalls: 84,
    reserveMem: 1108,
    tscKhz: 1112,
    pgdir: 1116,
    noirqStart: 1120,
    noirqEnd: 1124,
    noirqIret: -1,
    kernelAddress: 1128,
    syscallVec: 1132,
    size: 1136,
  },
  reserveMem: [0x400000, 0x400000],
  emulatesCli: false,
  inByteBits: 16,
  start: 'identity',
  bus: 'lguest-2.6.24',
};

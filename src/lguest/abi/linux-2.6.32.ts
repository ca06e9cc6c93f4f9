/** Linux 2.6.30 to 2.6.32: hypercalls by `vmcall`, page tables built by the Launcher. */
import type { GuestAbi } from './abi.js';
import { LINUX_3_10 } from './linux-3.10.js';

export const LINUX_2_6_32: GuestAbi = {
  ...LINUX_3_10,
  name: '2.6.32',
  vmcall: true,
  data: {
    ...LINUX_3_10.data,
    pgdir: 1376,
    noirqStart: 1380,
    noirqEnd: 1384,
    kernelAddress: 1388,
    syscallVec: 1392,
    size: 1396,
  },
  reserveMem: [0x400000, 0x200000],
  emulatesCli: false,
  inByteBits: 16,
  start: 'identity-and-kernel',
};

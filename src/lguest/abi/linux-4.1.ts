/** Linux 4.1 to 4.13: devices on a PCI bus, and one `iret` instead of a range that must not be interrupted. */
import type { GuestAbi } from './abi.js';
import { LINUX_3_10 } from './linux-3.10.js';

const { 17: _notify, ...hypercalls } = LINUX_3_10.hypercalls;

export const LINUX_4_1: GuestAbi = {
  ...LINUX_3_10,
  name: '4.1',
  hypercalls,
  data: {
    ...LINUX_3_10.data,
    noirqStart: -1,
    noirqEnd: -1,
    noirqIret: 1376,
    kernelAddress: 1380,
    syscallVec: 1384,
    size: 1388,
  },
  reserveMem: [0x20000, 0x20000],
  bus: 'pci',
};

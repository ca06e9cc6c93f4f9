/** Which guest ABI is talking, judged by what the guest put into its lguest_data before the first hypercall. */
import type { GuestMemory } from '../../runtime/guest-memory.js';
import type { GuestAbi } from './abi.js';
import { LINUX_2_6_24 } from './linux-2.6.24.js';
import { LINUX_2_6_32 } from './linux-2.6.32.js';
import { LINUX_3_10 } from './linux-3.10.js';
import { LINUX_4_1 } from './linux-4.1.js';

/** All rows. What they ask of lguest_data excludes each other. */
export const GUEST_ABIS: readonly GuestAbi[] = [LINUX_3_10, LINUX_4_1, LINUX_2_6_32, LINUX_2_6_24];

/** The row named `name`, or undefined. */
export function abiByName(name: string): GuestAbi | undefined {
  return GUEST_ABIS.find((abi) => abi.name === name);
}

/** True if the structure at `address` is initialised as a guest of this ABI does. */
function matches(memory: GuestMemory, abi: GuestAbi, address: number): boolean {
  const layout = abi.data;
  if (!memory.contains(address, layout.size)) return false;
  const status = memory.view(address + layout.hcallStatus, 64);
  for (let i = 0; i < 64; i++) if (status[i] !== 0xff) return false;
  const kernelAddress = memory.read32(address + layout.kernelAddress);
  if (kernelAddress < 0x40000000 || (kernelAddress & 0xfff) !== 0) return false;
  const vector = memory.read32(address + layout.syscallVec);
  return vector === 0x80 || vector === 0x40;
}

/**
 * Finds the ABI of the guest that makes its first hypercall. `argument(register)` reads a general register by number;
 * a row's first argument register holds the address of lguest_data. Undefined if no row fits.
 */
export function detectAbi(memory: GuestMemory, argument: (register: number) => number): GuestAbi | undefined {
  return GUEST_ABIS.find((abi) => matches(memory, abi, argument(abi.argumentRegisters[0])));
}

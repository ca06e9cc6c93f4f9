/** lguest-jit as a library: a machine that runs an lguest guest, its options and its errors. */
export {
  Machine,
  type DiskOption,
  type MachineExit,
  type MachineOptions,
  type RunForResult,
} from './launcher/machine.js';
export { MemoryDisk, FileDisk, type Disk } from './launcher/disk.js';
export { EXIT_STATUS, UserError } from './launcher/errors.js';
export type { MachineStats } from './launcher/stats.js';

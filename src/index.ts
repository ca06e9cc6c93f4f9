/** lguest-jit as a library: a machine that runs an lguest guest, its options and its errors. */
import './runtime/offer-reference-engine.js';

export { Machine, type MachineExit, type RunForResult } from './launcher/machine.js';
export type { DiskOption, MachineOptions } from './launcher/machine-options.js';
export { MemoryDisk, FileDisk, type Disk } from './launcher/disk.js';
export { EXIT_STATUS, UserError } from './launcher/errors.js';
export type { MachineStats } from './launcher/stats.js';

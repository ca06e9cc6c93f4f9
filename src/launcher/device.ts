/** What a virtio device is to the device bus. A device knows its queues and nothing of CPU, bus layout or files. */
import type { GuestMemory } from '../runtime/guest-memory.js';
import type { Virtqueue } from './virtqueue.js';

/** Virtio device ids (virtio 1.0, 5). */
export const VIRTIO_ID = { net: 1, block: 2, console: 3, rng: 4 } as const;

/** What the bus gives a device when the machine starts. */
export interface DeviceContext {
  memory: GuestMemory;
  queues: readonly Virtqueue[];
  /** Raises the irq of a queue, unless the guest asked for none. */
  interrupt(queue: number): void;
}

export interface Device {
  /** As shown to the user: "console", "block0". */
  readonly name: string;
  readonly id: number;
  readonly queueCount: number;
  /** Numbers of the feature bits offered. */
  readonly features: readonly number[];
  /** Bytes of the feature bitmap in the descriptor. */
  readonly featureBytes: number;
  /** Device configuration as the guest reads it. */
  config(): Uint8Array;
  /** Called once per power-on, before anything else. */
  attach(context: DeviceContext): void;
  /** The guest's driver finished feature negotiation (or used a queue); `accepted` are feature bit numbers. */
  start(accepted: ReadonlySet<number>): void;
  /** The guest's driver reset the device; its queues have been reset. */
  reset(): void;
  /** The guest kicked a queue. May throw `DescriptorError`. */
  notify(queue: number): void;
}

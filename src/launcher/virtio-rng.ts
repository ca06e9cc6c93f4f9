/** Virtio entropy device (virtio 1.0, 5.4): fills what the guest offers. */
import { VIRTIO_ID, type Device, type DeviceContext } from './device.js';
import { DescriptorError } from './errors.js';
import { scatter } from './virtqueue.js';

/** Most bytes given for one buffer; the used length tells the guest how many. */
const MOST_BYTES = 4096;

/** Fills an array with random bytes. */
export type RandomSource = (target: Uint8Array) => void;

/** The host's random numbers. */
export function hostRandom(target: Uint8Array): void {
  globalThis.crypto.getRandomValues(target);
}

/** Repeatable numbers for `--clock=virtual`: sfc32 (Chris Doty-Humphrey, PractRand), seeded with one 32-bit number. */
export function seededRandom(seed: number): RandomSource {
  let a = 0;
  let b = seed | 0;
  let c = 0x9e3779b9 | 0;
  let counter = 1;
  const next = (): number => {
    const t = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + t) | 0;
    return t;
  };
  for (let i = 0; i < 12; i++) next();
  return (target) => {
    for (let i = 0; i < target.length; i++) target[i] = next() >>> 24;
  };
}

export class RngDevice implements Device {
  readonly name = 'rng';
  readonly id = VIRTIO_ID.rng;
  readonly queueCount = 1;
  readonly features = [];
  readonly featureBytes = 0;
  private context: DeviceContext | undefined;

  constructor(private readonly random: RandomSource) {}

  config(): Uint8Array {
    return new Uint8Array(0);
  }

  attach(context: DeviceContext): void {
    this.context = context;
  }

  start(): void {}

  reset(): void {}

  notify(): void {
    const { memory, queues, interrupt } = this.context!;
    const queue = queues[0]!;
    let used = false;
    for (let chain = queue.take(); chain; chain = queue.take()) {
      if (chain.readable.length > 0) throw new DescriptorError('an entropy buffer is for the device to read');
      const bytes = new Uint8Array(Math.min(chain.writableBytes, MOST_BYTES));
      this.random(bytes);
      scatter(memory, chain.writable, 0, bytes);
      queue.complete(chain, bytes.length);
      used = true;
    }
    if (used) interrupt(0);
  }
}

/** Virtio console (virtio 1.0, 5.3): queue 0 carries input to the guest, queue 1 its output. No features. */
import { VIRTIO_ID, type Device, type DeviceContext } from './device.js';
import { DescriptorError } from './errors.js';
import { scatter } from './virtqueue.js';

const INPUT = 0;
const OUTPUT = 1;
/** Output is handed on in pieces of at most this many bytes. */
const LARGEST_PIECE = 65536;
/** Most bytes one kick may print: far more than a ring of page-sized buffers holds. */
const MOST_OUTPUT_PER_KICK = 16 * 1024 * 1024;

export class ConsoleDevice implements Device {
  readonly name = 'console';
  readonly id = VIRTIO_ID.console;
  readonly queueCount = 2;
  readonly features = [];
  readonly featureBytes = 0;
  private context: DeviceContext | undefined;

  /** `output` gets a copy of what the guest prints. */
  constructor(private readonly output: (bytes: Uint8Array) => void) {}

  config(): Uint8Array {
    return new Uint8Array(0);
  }

  attach(context: DeviceContext): void {
    this.context = context;
  }

  start(): void {}

  reset(): void {}

  notify(queue: number): void {
    if (queue === OUTPUT) this.print();
  }

  private print(): void {
    const { memory, queues, interrupt } = this.context!;
    const queue = queues[OUTPUT]!;
    let used = false;
    let left = MOST_OUTPUT_PER_KICK;
    for (let chain = queue.take(); chain; chain = queue.take()) {
      if (chain.writable.length > 0) throw new DescriptorError('an output buffer is for the device to write');
      for (const { address, length } of chain.readable) {
        for (let at = 0; at < length && left > 0; at += LARGEST_PIECE) {
          const piece = Math.min(LARGEST_PIECE, length - at, left);
          this.output(memory.view(address + at, piece).slice());
          left -= piece;
        }
      }
      queue.complete(chain, 0);
      used = true;
    }
    if (used) interrupt(OUTPUT);
  }

  /** True if the guest gave a buffer that input can go to. Throws `DescriptorError`. */
  get acceptsInput(): boolean {
    return this.context !== undefined && this.context.queues[INPUT]!.waiting() > 0;
  }

  /** Gives the guest input; returns how many bytes it had buffers for. Throws `DescriptorError`. */
  input(bytes: Uint8Array): number {
    if (!this.context) return 0;
    const { memory, queues, interrupt } = this.context;
    const queue = queues[INPUT]!;
    let done = 0;
    let used = false;
    while (done < bytes.length) {
      const chain = queue.take();
      if (!chain) break;
      if (chain.readable.length > 0) throw new DescriptorError('an input buffer is for the device to read');
      const piece = bytes.subarray(done, done + chain.writableBytes);
      scatter(memory, chain.writable, 0, piece);
      queue.complete(chain, piece.length);
      done += piece.length;
      used = true;
    }
    if (used) interrupt(INPUT);
    return done;
  }
}

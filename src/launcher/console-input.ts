/** Console input on its way to the guest. */
import type { ConsoleDevice } from './virtio-console.js';

/** When this many bytes wait, writers are asked to pause. */
const HIGH_WATER = 65536;
const NEWLINE = 0x0a;
const RETURN = 0x0d;

export class ConsoleInput {
  private readonly queue: Uint8Array[] = [];
  private bytes = 0;

  /** Appends input. Returns false if the writer should pause until `hasRoom`. */
  push(bytes: Uint8Array): boolean {
    if (bytes.length > 0) this.queue.push(bytes.slice());
    this.bytes += bytes.length;
    return this.hasRoom;
  }

  get hasRoom(): boolean {
    return this.bytes < HIGH_WATER;
  }

  get isEmpty(): boolean {
    return this.bytes === 0;
  }

  /** Gives the console what it has buffers for. Returns the number of bytes given. Throws `DescriptorError`. */
  deliver(console: ConsoleDevice): number {
    let total = 0;
    while (this.queue.length > 0) {
      const bytes = this.queue[0]!;
      const count = console.input(bytes);
      this.drop(count);
      total += count;
      if (count < bytes.length) break;
    }
    return total;
  }

  /** As `deliver`, but at most up to the next end of a line. */
  deliverLine(console: ConsoleDevice): number {
    let total = 0;
    while (this.queue.length > 0) {
      const bytes = this.queue[0]!;
      const end = bytes.findIndex((byte) => byte === NEWLINE || byte === RETURN);
      const line = end < 0 ? bytes : bytes.subarray(0, end + 1);
      const count = console.input(line);
      this.drop(count);
      total += count;
      if (count < line.length || end >= 0) break;
    }
    return total;
  }

  private drop(count: number): void {
    const bytes = this.queue[0]!;
    if (count === bytes.length) this.queue.shift();
    else this.queue[0] = bytes.subarray(count);
    this.bytes -= count;
  }
}

/**
 * Legacy split virtqueues (virtio 1.0, 2.4; legacy layout: the used ring at the next page boundary) in guest memory.
 * The guest may write anything there at any time: every value is read once, checked on the copy and used from the copy;
 * the device's own indices are never read back.
 */
import type { GuestMemory } from '../runtime/guest-memory.js';
import { DescriptorError, hex } from './errors.js';
import { PAGE } from '../frontend-x86/limits.js';

export const QUEUE_ENTRIES = 256;
const DESCRIPTOR_BYTES = 16;
const DESC_NEXT = 1;
const DESC_WRITE = 2;
const DESC_INDIRECT = 4;
const AVAIL_NO_INTERRUPT = 1;

/** Bytes of a ring of `entries` descriptors: descriptor table, available ring, used ring on its own page. */
export function ringBytes(entries: number): number {
  return usedOffset(entries) + roundUp(6 + 8 * entries);
}

function usedOffset(entries: number): number {
  return roundUp(DESCRIPTOR_BYTES * entries + 6 + 2 * entries);
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / PAGE) * PAGE;
}

/** A piece of guest memory that was checked to lie inside it. */
export interface Buffer {
  address: number;
  length: number;
}

/** A request: what the device may read, then what it may write. */
export interface Chain {
  /** Index of the first descriptor: the request's name. */
  head: number;
  readable: Buffer[];
  writable: Buffer[];
  readableBytes: number;
  writableBytes: number;
}

export class Virtqueue {
  private readonly availAddress: number;
  private readonly usedAddress: number;
  private nextAvailable = 0;
  private nextUsed = 0;

  /** `address`: guest-physical, page-aligned; all `ringBytes(entries)` of it are guest memory. */
  constructor(
    private readonly memory: GuestMemory,
    readonly address: number,
    readonly entries = QUEUE_ENTRIES,
  ) {
    this.availAddress = address + DESCRIPTOR_BYTES * entries;
    this.usedAddress = address + usedOffset(entries);
  }

  /** Back to the state of power-on, ring memory included. */
  reset(): void {
    this.memory.write(this.address, new Uint8Array(ringBytes(this.entries)));
    this.nextAvailable = 0;
    this.nextUsed = 0;
  }

  /** How many requests wait. Throws `DescriptorError` if the index claims more than the ring holds. */
  waiting(): number {
    const index = this.memory.read16(this.availAddress + 2);
    const count = (index - this.nextAvailable) & 0xffff;
    if (count > this.entries)
      throw new DescriptorError(
        `the available index jumped from ${this.nextAvailable} to ${index} in a ring of ${this.entries}`,
      );
    return count;
  }

  /** Takes the next request, or undefined if none waits. Throws `DescriptorError` for a chain no device may follow. */
  take(): Chain | undefined {
    if (this.waiting() === 0) return undefined;
    const slot = this.nextAvailable % this.entries;
    const head = this.memory.read16(this.availAddress + 4 + 2 * slot);
    const chain = this.follow(head);
    this.nextAvailable = (this.nextAvailable + 1) & 0xffff;
    return chain;
  }

  private follow(head: number): Chain {
    const chain: Chain = { head, readable: [], writable: [], readableBytes: 0, writableBytes: 0 };
    let index = head;
    for (let steps = 0; ; steps++) {
      if (index >= this.entries)
        throw new DescriptorError(`descriptor index ${index} is outside the ring of ${this.entries}`);
      if (steps === this.entries) throw new DescriptorError(`the chain at descriptor ${head} is a loop`);
      const at = this.address + DESCRIPTOR_BYTES * index;
      const address = this.memory.read32(at);
      const addressHigh = this.memory.read32(at + 4);
      const length = this.memory.read32(at + 8);
      const flags = this.memory.read16(at + 12);
      const next = this.memory.read16(at + 14);
      if (flags & DESC_INDIRECT)
        throw new DescriptorError(`descriptor ${index} is indirect, which was not offered`);
      if (addressHigh !== 0 || !this.memory.contains(address, length))
        throw new DescriptorError(
          `descriptor ${index} names ${length} bytes at ${hex(addressHigh * 2 ** 32 + address)}, outside guest memory`,
        );
      if (flags & DESC_WRITE) {
        if (length > 0) chain.writable.push({ address, length });
        chain.writableBytes += length;
      } else {
        if (chain.writable.length > 0)
          throw new DescriptorError(`descriptor ${index} is for reading, behind one for writing`);
        if (length > 0) chain.readable.push({ address, length });
        chain.readableBytes += length;
      }
      if (!(flags & DESC_NEXT)) return chain;
      index = next;
    }
  }

  /** Gives a request back; the device wrote `written` bytes into its writable buffers. */
  complete(chain: Chain, written: number): void {
    const slot = this.nextUsed % this.entries;
    this.memory.write32(this.usedAddress + 4 + 8 * slot, chain.head);
    this.memory.write32(this.usedAddress + 8 + 8 * slot, written);
    this.nextUsed = (this.nextUsed + 1) & 0xffff;
    this.memory.write16(this.usedAddress + 2, this.nextUsed);
  }

  /** False while the guest asks not to be interrupted for used buffers. */
  get wantsInterrupt(): boolean {
    return (this.memory.read16(this.availAddress) & AVAIL_NO_INTERRUPT) === 0;
  }
}

/** Copies [offset, offset + target.length) of the buffers' bytes into `target`. The caller knows that they are there. */
export function gather(
  memory: GuestMemory,
  buffers: readonly Buffer[],
  offset: number,
  target: Uint8Array,
): void {
  let done = 0;
  eachPiece(buffers, offset, target.length, (address, length) => {
    target.set(memory.view(address, length), done);
    done += length;
  });
}

/** Copies `source` into the buffers' bytes from `offset` on; what does not fit is not copied. */
export function scatter(
  memory: GuestMemory,
  buffers: readonly Buffer[],
  offset: number,
  source: Uint8Array,
): void {
  let done = 0;
  eachPiece(buffers, offset, source.length, (address, length) => {
    memory.write(address, source.subarray(done, done + length));
    done += length;
  });
}

/** Calls `visit` for every contiguous piece of bytes [offset, offset + length) of the buffers. */
export function eachPiece(
  buffers: readonly Buffer[],
  offset: number,
  length: number,
  visit: (address: number, length: number) => void,
): void {
  let skip = offset;
  let left = length;
  for (const buffer of buffers) {
    if (left <= 0) return;
    if (skip >= buffer.length) {
      skip -= buffer.length;
      continue;
    }
    const piece = Math.min(buffer.length - skip, left);
    visit(buffer.address + skip, piece);
    left -= piece;
    skip = 0;
  }
}

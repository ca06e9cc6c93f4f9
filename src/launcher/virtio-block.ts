/** Virtio block device (virtio 1.0, 5.2; legacy framing: header, data, status byte, split in any way). */
import type { Disk } from './disk.js';
import { SECTOR_BYTES } from './disk.js';
import { VIRTIO_ID, type Device, type DeviceContext } from './device.js';
import { DescriptorError } from './errors.js';
import { eachPiece, gather, scatter, type Chain } from './virtqueue.js';

const FEATURE = { segMax: 2, readOnly: 5, flush: 9 } as const;
const REQUEST = { in: 0, out: 1, flush: 4, getId: 8 } as const;
const STATUS = { ok: 0, ioError: 1, unsupported: 2 } as const;
type Status = (typeof STATUS)[keyof typeof STATUS];

/** Data descriptors in a request: the ring's 256 less header and status. */
const SEG_MAX = 254;
const HEADER_BYTES = 16;
const STATUS_BYTES = 1;
const ID_BYTES = 20;
/**
 * Most bytes one kick may move. A driver whose ring has 256 descriptors of at most 64 KiB stays below; without it a
 * guest could keep us busy for minutes by naming all its memory in every descriptor.
 */
const MOST_BYTES_PER_KICK = 64 * 1024 * 1024;

/** Counters for `--stats`. */
export interface BlockCounters {
  reads: number;
  writes: number;
  flushes: number;
  errors: number;
  bytesRead: number;
  bytesWritten: number;
}

export class BlockDevice implements Device {
  readonly id = VIRTIO_ID.block;
  readonly queueCount = 1;
  readonly features: readonly number[];
  readonly featureBytes = 2;
  readonly counters: BlockCounters = {
    reads: 0,
    writes: 0,
    flushes: 0,
    errors: 0,
    bytesRead: 0,
    bytesWritten: 0,
  };
  private context: DeviceContext | undefined;
  private bytesLeft = 0;

  constructor(
    readonly name: string,
    readonly disk: Disk,
  ) {
    this.features = [FEATURE.segMax, ...(disk.readOnly ? [FEATURE.readOnly] : []), FEATURE.flush];
  }

  /** struct virtio_blk_config up to seg_max: capacity in sectors (64 bits), size_max, seg_max. */
  config(): Uint8Array {
    const bytes = new Uint8Array(16);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(0, BigInt(this.disk.bytes / SECTOR_BYTES), true);
    view.setUint32(12, SEG_MAX, true);
    return bytes;
  }

  attach(context: DeviceContext): void {
    this.context = context;
  }

  start(): void {}

  reset(): void {}

  notify(): void {
    const { queues, interrupt } = this.context!;
    const queue = queues[0]!;
    this.bytesLeft = MOST_BYTES_PER_KICK;
    let used = false;
    for (let chain = queue.take(); chain; chain = queue.take()) {
      queue.complete(chain, this.serve(chain));
      used = true;
    }
    if (used) interrupt(0);
  }

  /** Performs a request and returns how many bytes of its buffers were written, status byte included. */
  private serve(chain: Chain): number {
    const { memory } = this.context!;
    if (chain.readableBytes < HEADER_BYTES)
      throw new DescriptorError(`a request has ${chain.readableBytes} of ${HEADER_BYTES} header bytes`);
    if (chain.writableBytes < STATUS_BYTES)
      throw new DescriptorError('a request has no room for its status byte');
    const header = new Uint8Array(HEADER_BYTES);
    gather(memory, chain.readable, 0, header);
    const view = new DataView(header.buffer);
    const type = view.getUint32(0, true);
    const sector = view.getBigUint64(8, true);
    let status: Status;
    let written = 0;
    try {
      [status, written] = this.perform(type, sector, chain);
    } catch (error) {
      // The host's disk failed: the guest's driver knows what to do with that. Anything else is a bug.
      if (!(error instanceof Error) || error.name === 'DescriptorError' || error.name === 'TypeError')
        throw error;
      status = STATUS.ioError;
    }
    if (status === STATUS.ioError) this.counters.errors++;
    scatter(memory, chain.writable, chain.writableBytes - STATUS_BYTES, Uint8Array.of(status));
    return written + STATUS_BYTES;
  }

  private perform(type: number, sector: bigint, chain: Chain): [Status, number] {
    const { disk, counters } = this;
    switch (type) {
      case REQUEST.in: {
        const length = chain.writableBytes - STATUS_BYTES;
        const offset = this.locate(sector, length);
        if (offset < 0) return [STATUS.ioError, 0];
        this.transfer(chain.writable, 0, length, offset, true);
        counters.reads++;
        counters.bytesRead += length;
        return [STATUS.ok, length];
      }
      case REQUEST.out: {
        const length = chain.readableBytes - HEADER_BYTES;
        const offset = this.locate(sector, length);
        if (offset < 0 || disk.readOnly) return [STATUS.ioError, 0];
        this.transfer(chain.readable, HEADER_BYTES, length, offset, false);
        counters.writes++;
        counters.bytesWritten += length;
        return [STATUS.ok, 0];
      }
      case REQUEST.flush:
        disk.flush();
        counters.flushes++;
        return [STATUS.ok, 0];
      case REQUEST.getId: {
        const id = new Uint8Array(Math.min(ID_BYTES, chain.writableBytes - STATUS_BYTES));
        id.set(Buffer.from(disk.id, 'utf8').subarray(0, id.length));
        scatter(this.context!.memory, chain.writable, 0, id);
        return [STATUS.ok, id.length];
      }
      default:
        return [STATUS.unsupported, 0];
    }
  }

  /** Byte offset of a transfer, or -1 if it is not whole sectors inside the disk (which is not touched then). */
  private locate(sector: bigint, length: number): number {
    const offset = byteRange(sector, length, this.disk.bytes);
    if (offset < 0 || length > this.bytesLeft) return -1;
    this.bytesLeft -= length;
    return offset;
  }

  private transfer(
    buffers: Chain['readable'],
    skip: number,
    length: number,
    offset: number,
    toGuest: boolean,
  ): void {
    const { memory } = this.context!;
    let at = offset;
    eachPiece(buffers, skip, length, (address, bytes) => {
      if (toGuest) {
        this.disk.read(at, memory.writable(address, bytes));
        memory.written(address, bytes);
      } else {
        this.disk.write(at, memory.view(address, bytes));
      }
      at += bytes;
    });
  }
}

/** Byte offset of `length` bytes at `sector` of a disk of `diskBytes`, or -1 if they are not whole sectors inside it. */
export function byteRange(sector: bigint, length: number, diskBytes: number): number {
  if (length % SECTOR_BYTES !== 0) return -1;
  const sectors = BigInt(diskBytes / SECTOR_BYTES);
  if (sector > sectors || BigInt(length / SECTOR_BYTES) > sectors - sector) return -1;
  return Number(sector) * SECTOR_BYTES;
}

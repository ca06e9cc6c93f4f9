/**
 * The lguest device bus: one page of descriptors just above RAM, the rings behind it, and NOTIFY (LHCALL_NOTIFY) as the
 * only signal from the guest. Layout per Linux include/linux/lguest_launcher.h.
 */
import type { GuestMemory } from '../runtime/guest-memory.js';
import { BadPhysicalAddress } from '../runtime/guest-memory.js';
import type { Device } from './device.js';
import { DescriptorError, DeviceError, UserError } from './errors.js';
import { QUEUE_ENTRIES, Virtqueue, ringBytes } from './virtqueue.js';
import { PAGE } from '../frontend-x86/limits.js';

/** Pages above RAM that devices may get, descriptor page included. */
export const DEVICE_PAGES = 256;
/** Guests have 16 irqs, and 0 is the timer's. */
const LAST_IRQ = 15;

/** Descriptor: type, num_vq, feature_len, config_len, status; then queues, features twice, config. */
const HEADER_BYTES = 5;
const STATUS_OFFSET = 4;
const QUEUE_CONFIG_BYTES = 8;
const STATUS_FAILED = 0x80;
interface QueuePlace {
  address: number;
  irq: number;
  device: number;
  index: number;
}

interface DevicePlace {
  device: Device;
  /** Of its descriptor in the device page. */
  offset: number;
  descriptor: Uint8Array;
}

/** Where everything goes: known before there is a machine, so that its memory can be made to measure. */
export interface BusLayout {
  ramBytes: number;
  devices: DevicePlace[];
  queues: QueuePlace[];
  /** Pages above RAM: descriptor page and rings. */
  pages: number;
}

/** Lays the devices out, in order. Throws `UserError` if there are more than irqs, pages or descriptors allow. */
export function layoutDevices(devices: readonly Device[], ramBytes: number): BusLayout {
  const layout: BusLayout = { ramBytes, devices: [], queues: [], pages: 1 };
  let offset = 0;
  devices.forEach((device, number) => {
    const config = device.config();
    const queueBytes = QUEUE_CONFIG_BYTES * device.queueCount;
    const descriptor = new Uint8Array(HEADER_BYTES + queueBytes + 2 * device.featureBytes + config.length);
    const view = new DataView(descriptor.buffer);
    descriptor.set([device.id, device.queueCount, device.featureBytes, config.length, 0]);
    for (let index = 0; index < device.queueCount; index++) {
      const address = ramBytes + layout.pages * PAGE;
      const irq = layout.queues.length + 1;
      layout.queues.push({ address, irq, device: number, index });
      layout.pages += ringBytes(QUEUE_ENTRIES) / PAGE;
      const at = HEADER_BYTES + QUEUE_CONFIG_BYTES * index;
      view.setUint16(at, QUEUE_ENTRIES, true);
      view.setUint16(at + 2, irq, true);
      view.setUint32(at + 4, address / PAGE, true);
    }
    const features = HEADER_BYTES + queueBytes;
    for (const bit of device.features) descriptor[features + (bit >> 3)]! |= 1 << (bit & 7);
    descriptor.set(config, features + 2 * device.featureBytes);
    layout.devices.push({ device, offset, descriptor });
    offset += descriptor.length;
  });
  if (layout.queues.length > LAST_IRQ)
    throw new UserError(
      `These devices need ${layout.queues.length} interrupts, and a guest has ${LAST_IRQ}: use fewer disks.`,
    );
  // One zero byte must follow to end the list.
  if (offset >= PAGE || layout.pages > DEVICE_PAGES)
    throw new UserError('There are more devices than the device page has room for.');
  return layout;
}

export interface BusHost {
  memory: GuestMemory;
  raiseIrq(irq: number): void;
}

export class DeviceBus {
  private readonly queues: Virtqueue[];
  private readonly running: boolean[];

  /** Writes the device page and attaches the devices. `host.memory` has `layout.pages` pages above its RAM. */
  constructor(
    private readonly layout: BusLayout,
    private readonly host: BusHost,
  ) {
    const { memory } = host;
    this.queues = layout.queues.map(({ address }) => new Virtqueue(memory, address));
    this.running = layout.devices.map(() => false);
    layout.devices.forEach(({ device, offset, descriptor }, number) => {
      memory.write(layout.ramBytes + offset, descriptor);
      const own = layout.queues.flatMap((place, i) => (place.device === number ? [i] : []));
      device.attach({
        memory,
        queues: own.map((i) => this.queues[i]!),
        interrupt: (queue) => {
          const i = own[queue]!;
          if (this.queues[i]!.wantsInterrupt) host.raiseIrq(layout.queues[i]!.irq);
        },
      });
    });
  }

  /**
   * LHCALL_NOTIFY of a ring (kick) or a descriptor (status changed). Returns false for other addresses: those of early
   * console strings. Throws `DeviceError` for what a correct guest never does.
   */
  notify(address: number): boolean {
    const queue = this.layout.queues.findIndex((place) => place.address === address);
    if (queue >= 0) {
      this.kick(queue);
      return true;
    }
    const device = this.layout.devices.findIndex(({ offset }) => this.layout.ramBytes + offset === address);
    if (device < 0) return false;
    this.statusChanged(device);
    return true;
  }

  private kick(queue: number): void {
    const { device, index } = this.layout.queues[queue]!;
    // Drivers probe partitions before they set DRIVER_OK: the first kick starts the device as well.
    if (!this.running[device]) this.start(device);
    this.guarded(device, (d) => d.notify(index));
  }

  private statusChanged(number: number): void {
    const { offset } = this.layout.devices[number]!;
    const status = this.host.memory.read8(this.layout.ramBytes + offset + STATUS_OFFSET);
    if (status === 0) this.reset(number);
    else if (status & STATUS_FAILED) this.running[number] = false;
    else if (!this.running[number]) this.start(number);
  }

  private reset(number: number): void {
    const { device, offset } = this.layout.devices[number]!;
    const { memory } = this.host;
    memory.write(this.acceptedAddress(number, offset), new Uint8Array(device.featureBytes));
    this.layout.queues.forEach((place, i) => {
      if (place.device === number) this.queues[i]!.reset();
    });
    this.running[number] = false;
    device.reset();
  }

  private acceptedAddress(number: number, offset: number): number {
    const { device } = this.layout.devices[number]!;
    const header = HEADER_BYTES + QUEUE_CONFIG_BYTES * device.queueCount;
    return this.layout.ramBytes + offset + header + device.featureBytes;
  }

  private start(number: number): void {
    const { device, offset } = this.layout.devices[number]!;
    const bitmap = this.host.memory.view(this.acceptedAddress(number, offset), device.featureBytes).slice();
    const has = (bit: number): boolean => ((bitmap[bit >> 3]! >> (bit & 7)) & 1) === 1;
    // Bits that were not offered mean nothing.
    const accepted = new Set(device.features.filter(has));
    this.running[number] = true;
    this.guarded(number, (d) => d.start(accepted));
  }

  /** Names the device in what its queues complain about. */
  private guarded(number: number, action: (device: Device) => void): void {
    const { device } = this.layout.devices[number]!;
    try {
      action(device);
    } catch (error) {
      if (error instanceof DescriptorError || error instanceof BadPhysicalAddress)
        throw new DeviceError(device.name, error.message);
      throw error;
    }
  }
}

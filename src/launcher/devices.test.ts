import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { MachineMemory } from '../runtime/machine-memory.js';
import { DeviceBus, layoutDevices } from './device-bus.js';
import type { Device } from './device.js';
import { FileDisk, MemoryDisk } from './disk.js';
import { DeviceError, UserError } from './errors.js';
import { BlockDevice, byteRange } from './virtio-block.js';
import { ConsoleDevice } from './virtio-console.js';
import { RngDevice, seededRandom } from './virtio-rng.js';

const RAM = 0x100000;

/** A bus with a driver's view of one queue after the other. */
function machineWith(devices: Device[]) {
  const layout = layoutDevices(devices, RAM);
  const memory = new MachineMemory(RAM, layout.pages);
  const irqs: number[] = [];
  const bus = new DeviceBus(layout, { memory, raiseIrq: (irq) => irqs.push(irq) });
  const slots = layout.queues.map(() => 0);
  let descriptor = 0;
  /** Offers one chain of [address, length, deviceWrites] and kicks. Returns the used length. */
  const request = (queue: number, parts: [number, number, boolean][]): number => {
    const ring = layout.queues[queue]!.address;
    const head = descriptor;
    parts.forEach(([address, length, write], i) => {
      const at = ring + 16 * descriptor;
      memory.write32(at, address);
      memory.write32(at + 4, 0);
      memory.write32(at + 8, length);
      memory.write16(at + 12, (i < parts.length - 1 ? 1 : 0) | (write ? 2 : 0));
      memory.write16(at + 14, (descriptor + 1) % 256);
      descriptor = (descriptor + 1) % 256;
    });
    const slot = slots[queue]!;
    memory.write16(ring + 4096 + 4 + 2 * (slot % 256), head);
    memory.write16(ring + 4096 + 2, (slot + 1) & 0xffff);
    bus.notify(ring);
    const used = memory.read16(ring + 0x2002);
    slots[queue] = (slot + 1) & 0xffff;
    return used === slots[queue] ? memory.read32(ring + 0x2004 + 8 * (slot % 256) + 4) : -1;
  };
  return { layout, memory, bus, irqs, request };
}

const HEADER = 0x2000;
const STATUS = 0x2100;
const DATA = 0x3000;

function blockMachine(disk: MemoryDisk | FileDisk) {
  const device = new BlockDevice('block0', disk);
  const machine = machineWith([device]);
  const { memory, request } = machine;
  const transfer = (type: number, sector: bigint, data: [number, number, boolean][]) => {
    memory.write32(HEADER, type);
    memory.write32(HEADER + 8, Number(sector & 0xffffffffn));
    memory.write32(HEADER + 12, Number(sector >> 32n));
    memory.write8(STATUS, 0xee);
    const used = request(0, [[HEADER, 16, false], ...data, [STATUS, 1, true]]);
    return { status: memory.read8(STATUS), used };
  };
  return { ...machine, device, transfer };
}

describe('device bus', () => {
  const sink = (): void => undefined;

  test('a console alone is laid out as lguest’s Launcher does', () => {
    const layout = layoutDevices([new ConsoleDevice(sink)], 64 << 20);
    expect(((64 << 20) >> 12) + layout.pages).toBe(0x4007);
    expect([...layout.devices[0]!.descriptor]).toEqual([
      ...[3, 2, 0, 0, 0],
      ...[0, 1, 1, 0, 0x01, 0x40, 0, 0],
      ...[0, 1, 2, 0, 0x04, 0x40, 0, 0],
    ]);
  });

  test('block, rng and console', () => {
    const disk = new MemoryDisk(new Uint8Array(0x300 * 512));
    const layout = layoutDevices(
      [new BlockDevice('block0', disk), new RngDevice(sink), new ConsoleDevice(sink)],
      64 << 20,
    );
    expect(((64 << 20) >> 12) + layout.pages).toBe(0x400d);
    expect(layout.devices.map(({ descriptor }) => descriptor.length)).toEqual([33, 13, 21]);
    expect(layout.queues.map(({ irq }) => irq)).toEqual([1, 2, 3, 4]);
    const block = [...layout.devices[0]!.descriptor];
    expect(block.slice(13, 15)).toEqual([0x04, 0x02]); // SEG_MAX, FLUSH
    expect(block.slice(17)).toEqual([0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 254, 0, 0, 0]);
  });

  test('more devices than interrupts', () => {
    const disks = Array.from(
      { length: 14 },
      (_, i) => new BlockDevice(`block${i}`, new MemoryDisk(new Uint8Array(512))),
    );
    expect(() => layoutDevices([...disks, new ConsoleDevice(sink)], RAM)).toThrow(UserError);
    expect(() => layoutDevices([...disks.slice(1), new ConsoleDevice(sink)], RAM)).not.toThrow();
  });

  test('status 0 resets the rings and the accepted features', () => {
    const { layout, memory, bus, request } = blockMachine(new MemoryDisk(new Uint8Array(512)));
    const ring = layout.queues[0]!.address;
    memory.write8(RAM + 15, 4);
    memory.write8(RAM + 4, 3);
    expect(bus.notify(RAM)).toBe(true);
    request(0, [
      [HEADER, 16, false],
      [STATUS, 1, true],
    ]);
    expect(memory.read16(ring + 0x2002)).toBe(1);
    memory.write8(RAM + 4, 0);
    bus.notify(RAM);
    expect(memory.read8(RAM + 15)).toBe(0);
    expect(memory.view(ring, 3 * 4096).every((byte) => byte === 0)).toBe(true);
  });

  test('other addresses are not the bus’s', () => {
    const { bus } = machineWith([new ConsoleDevice(sink)]);
    expect(bus.notify(0x5000)).toBe(false);
    expect(bus.notify(RAM + 1)).toBe(false);
    expect(bus.notify(0xffffffff)).toBe(false);
  });

  test('a bad chain is blamed on its device', () => {
    const { request } = machineWith([new RngDevice(seededRandom(1))]);
    expect(() => request(0, [[0xfffff000, 64, true]])).toThrow(DeviceError);
    expect(() => request(0, [[0x1000, 64, false]])).toThrow(/^rng: an entropy buffer/);
  });
});

describe('console', () => {
  test('prints, and takes input when there are buffers', () => {
    let out = '';
    const console_ = new ConsoleDevice((bytes) => (out += Buffer.from(bytes).toString()));
    const { memory, request, irqs, layout } = machineWith([console_]);
    memory.write(DATA, Buffer.from('hello world'));
    request(1, [
      [DATA, 6, false],
      [DATA + 6, 5, false],
    ]);
    expect(out).toBe('hello world');
    expect(irqs).toEqual([2]);
    expect(console_.acceptsInput).toBe(false);
    expect(console_.input(Buffer.from('x'))).toBe(0);
    request(0, [[DATA, 4, true]]);
    expect(console_.acceptsInput).toBe(true);
    expect(console_.input(Buffer.from('abcdef'))).toBe(4);
    expect(Buffer.from(memory.view(DATA, 4)).toString()).toBe('abcd');
    expect(memory.read32(layout.queues[0]!.address + 0x2008)).toBe(4);
    expect(irqs).toEqual([2, 1]);
  });
});

describe('entropy', () => {
  test('a seed repeats, another does not', () => {
    const bytes = (seed: number): Uint8Array => {
      const target = new Uint8Array(64);
      seededRandom(seed)(target);
      return target;
    };
    expect(bytes(1)).toEqual(bytes(1));
    expect(bytes(1)).not.toEqual(bytes(2));
  });

  test('fills buffers and says how many bytes', () => {
    const { memory, request } = machineWith([new RngDevice((target) => target.fill(7))]);
    expect(request(0, [[DATA, 10, true]])).toBe(10);
    expect([...memory.view(DATA, 12)]).toEqual([...Array<number>(10).fill(7), 0, 0]);
    expect(request(0, [[0, RAM, true]])).toBe(4096);
  });
});

describe('block', () => {
  const SECTORS = 8;

  test('byte ranges agree with a slow model', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.bigInt({ min: 0n, max: 20n }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
        fc.oneof(
          fc.integer({ min: 0, max: 20 }).map((n) => n * 512),
          fc.nat(0xffffffff),
        ),
        fc.integer({ min: 0, max: 16 }),
        (sector, length, sectors) => {
          const end = sector * 512n + BigInt(length);
          const good = length % 512 === 0 && end <= BigInt(sectors * 512);
          expect(byteRange(sector, length, sectors * 512)).toBe(good ? Number(sector) * 512 : -1);
        },
      ),
    );
  });

  test('random requests against an array', () => {
    const data = new Uint8Array(SECTORS * 512);
    const model = new Uint8Array(SECTORS * 512);
    const { memory, transfer } = blockMachine(new MemoryDisk(data));
    let good = 0;
    fc.assert(
      fc.property(
        fc.boolean(),
        fc.oneof(fc.bigInt({ min: 0n, max: 9n }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
        fc.integer({ min: 0, max: 9 * 512 }).chain((n) => fc.constantFrom(n, n - (n % 512))),
        fc.integer({ min: 0, max: 4000 }),
        fc.nat(255),
        (write, sector, length, split, fill) => {
          const first = Math.min(split, length);
          memory.writable(DATA, length).fill(fill);
          const parts: [number, number, boolean][] = [
            [DATA, first, !write],
            [DATA + first, length - first, !write],
          ];
          const { status, used } = transfer(write ? 1 : 0, sector, parts);
          const offset = byteRange(sector, length, SECTORS * 512);
          if (offset < 0) {
            expect({ status, used }).toEqual({ status: 1, used: 1 });
          } else {
            good++;
            expect({ status, used }).toEqual({ status: 0, used: write ? 1 : length + 1 });
            if (write) model.fill(fill, offset, offset + length);
            else expect(memory.view(DATA, length)).toEqual(model.subarray(offset, offset + length));
          }
          expect(data).toEqual(model);
        },
      ),
      { numRuns: 300 },
    );
    expect(good).toBeGreaterThan(30);
  });

  test('get-id, flush, unknown requests', () => {
    const { memory, transfer, device } = blockMachine(new MemoryDisk(new Uint8Array(512), false, 'disk.img'));
    expect(transfer(8, 0n, [[DATA, 20, true]])).toEqual({ status: 0, used: 21 });
    expect(Buffer.from(memory.view(DATA, 9)).toString()).toBe('disk.img\0');
    expect(transfer(4, 0n, []).status).toBe(0);
    expect(device.counters.flushes).toBe(1);
    expect(transfer(99, 0n, [[DATA, 20, true]]).status).toBe(2);
  });

  test('header and status byte may be split or joined with data', () => {
    const data = new Uint8Array(1024).fill(9);
    const { memory, request } = blockMachine(new MemoryDisk(data));
    memory.write(HEADER, new Uint8Array(16));
    memory.write32(HEADER + 8, 1);
    request(0, [
      [HEADER, 5, false],
      [HEADER + 5, 11, false],
      [DATA, 513, true],
    ]);
    expect(memory.read8(DATA + 511)).toBe(9);
    expect(memory.read8(DATA + 512)).toBe(0);
  });

  test('requests without header or status kill', () => {
    const { request } = blockMachine(new MemoryDisk(new Uint8Array(512)));
    expect(() =>
      request(0, [
        [HEADER, 15, false],
        [STATUS, 1, true],
      ]),
    ).toThrow(/block0: .*15 of 16 header/);
    const other = blockMachine(new MemoryDisk(new Uint8Array(512)));
    expect(() => other.request(0, [[HEADER, 16, false]])).toThrow(/status byte/);
  });

  test('a read-only disk offers RO and refuses writes', () => {
    const data = new Uint8Array(512);
    const { transfer, layout } = blockMachine(new MemoryDisk(data, true));
    expect(layout.devices[0]!.descriptor[13]).toBe(0x24);
    expect(transfer(1, 0n, [[0x100, 512, false]]).status).toBe(1);
    expect(data.every((byte) => byte === 0)).toBe(true);
  });

  test('a failing disk gives the guest an error, not us', () => {
    class Broken extends MemoryDisk {
      override read(): void {
        throw new Error('I/O error');
      }
    }
    const { transfer, device } = blockMachine(new Broken(new Uint8Array(512)));
    expect(transfer(0, 0n, [[DATA, 512, true]]).status).toBe(1);
    expect(device.counters.errors).toBe(1);
  });

  test('no kick moves more than a bounded number of bytes', () => {
    const { transfer } = blockMachine(new MemoryDisk(new Uint8Array(512 * 1024)));
    const huge: [number, number, boolean][] = Array.from({ length: 200 }, () => [0x10000, 0x80000, true]);
    expect(transfer(0, 0n, huge).status).toBe(1);
  });
});

describe('disk files', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'lguest-disk-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test('reads and writes in place, whole sectors only', () => {
    const path = join(folder, 'a.img');
    writeFileSync(path, new Uint8Array(1300).fill(5));
    const disk = new FileDisk(path);
    expect(disk.bytes).toBe(1024);
    disk.write(512, new Uint8Array(512).fill(6));
    const back = new Uint8Array(1024);
    disk.read(0, back);
    disk.flush();
    disk.close();
    disk.close();
    expect(back[511]).toBe(5);
    expect(back[512]).toBe(6);
    const file = readFileSync(path);
    expect(file.length).toBe(1300);
    expect(file[1024]).toBe(5);
  });

  test('what cannot be a disk is the user’s error', () => {
    const short = join(folder, 'short');
    writeFileSync(short, 'x');
    expect(() => new FileDisk(folder)).toThrow(/is a directory/);
    expect(() => new FileDisk(join(folder, 'none'))).toThrow(/no such file/);
    expect(() => new FileDisk(short)).toThrow(/less than one sector/);
    expect(() => new FileDisk('/dev/null')).toThrow(/not a regular file/);
    expect(() => new FileDisk(join(short, 'x'))).toThrow(UserError);
  });
});

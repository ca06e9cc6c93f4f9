import fc from 'fast-check';
import { MachineMemory } from '../runtime/machine-memory.js';
import { DescriptorError } from './errors.js';
import { Virtqueue, eachPiece, gather, ringBytes, scatter, type Buffer } from './virtqueue.js';

const RAM = 0x100000;
const ENTRIES = 256;
const memory = new MachineMemory(RAM, 4);
const RING = RAM + 0x1000;
const AVAIL = RING + 16 * ENTRIES;
const USED = RING + 0x2000;

function fresh(): Virtqueue {
  const queue = new Virtqueue(memory, RING, ENTRIES);
  queue.reset();
  return queue;
}

/** The driver's side. */
function describe_(index: number, address: number, length: number, flags: number, next: number): void {
  const at = RING + 16 * index;
  memory.write32(at, address);
  memory.write32(at + 4, 0);
  memory.write32(at + 8, length);
  memory.write16(at + 12, flags);
  memory.write16(at + 14, next);
}
function offer(slot: number, head: number): void {
  memory.write16(AVAIL + 4 + 2 * (slot % ENTRIES), head);
  memory.write16(AVAIL + 2, (slot + 1) & 0xffff);
}

describe('virtqueue', () => {
  test('a ring of 256 takes three pages, with the used ring on the third', () => {
    expect(ringBytes(256)).toBe(3 * 4096);
    expect(ringBytes(128)).toBe(2 * 4096);
  });

  test('requests come out as they were offered, in order, past the wrap of the indices', () => {
    const queue = fresh();
    const bufferArbitrary = fc.record({
      address: fc.integer({ min: 0, max: RAM - 65536 }),
      length: fc.integer({ min: 1, max: 65536 }),
    });
    let slot = 0;
    let used = 0;
    fc.assert(
      fc.property(
        fc.array(bufferArbitrary, { maxLength: 5 }),
        fc.array(bufferArbitrary, { maxLength: 5 }),
        fc.integer({ min: 0, max: ENTRIES - 1 }),
        fc.integer({ min: 1, max: 255 }),
        (readable, writable, first, stride) => {
          const all: (Buffer & { write: boolean })[] = [
            ...readable.map((b) => ({ ...b, write: false })),
            ...writable.map((b) => ({ ...b, write: true })),
          ];
          fc.pre(all.length > 0);
          const step = stride | 1; // odd: visits distinct descriptors
          const index = (i: number): number => (first + i * step) % ENTRIES;
          all.forEach(({ address, length, write }, i) => {
            const flags = (i < all.length - 1 ? 1 : 0) | (write ? 2 : 0);
            describe_(index(i), address, length, flags, index(i + 1));
          });
          // Many rounds per example, so that 16-bit indices wrap within the run.
          let wrong = 0;
          for (let round = 0; round < 700; round++) {
            offer(slot, first);
            slot = (slot + 1) & 0xffff;
            const chain = queue.take()!;
            if (round === 0) {
              expect(chain.readable).toEqual(readable);
              expect(chain.writable).toEqual(writable);
              expect(chain.readableBytes).toBe(readable.reduce((sum, b) => sum + b.length, 0));
            }
            queue.complete(chain, 7);
            const element = USED + 4 + 8 * (used % ENTRIES);
            if (chain.head !== first || memory.read32(element) !== first) wrong++;
            if (memory.read32(element + 4) !== 7) wrong++;
            used = (used + 1) & 0xffff;
            if (memory.read16(USED + 2) !== used) wrong++;
          }
          expect(wrong).toBe(0);
          expect(queue.take()).toBeUndefined();
        },
      ),
      { numRuns: 100 },
    );
  });

  test('whatever the ring holds, only DescriptorError is thrown, and what comes out lies in guest memory', () => {
    let errors = 0;
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            index: fc.integer({ min: 0, max: 7 }),
            address: fc.oneof(fc.integer({ min: 0, max: RAM }), fc.integer({ min: 0, max: 0xffffffff })),
            high: fc.constantFrom(0, 0, 0, 0, 1),
            length: fc.oneof(
              fc.integer({ min: 0, max: 4096 }),
              fc.constantFrom(0xffffffff, RAM, RAM + 0x4001),
            ),
            flags: fc.constantFrom(0, 1, 1, 2, 3, 3, 4, 0xffff),
            next: fc.oneof(fc.integer({ min: 0, max: 7 }), fc.constantFrom(255, 256, 0xffff)),
          }),
          { maxLength: 12 },
        ),
        fc.constantFrom(0, 1, 2, 3, 256, 0xffff),
        fc.constantFrom(0, 1, 8, 256, 257, 0xffff),
        (descriptors, head, available) => {
          const queue = fresh();
          for (const d of descriptors) {
            describe_(d.index, d.address, d.length, d.flags, d.next);
            memory.write32(RING + 16 * d.index + 4, d.high);
          }
          memory.write16(AVAIL + 4, head);
          memory.write16(AVAIL + 2, available);
          try {
            for (let chain = queue.take(); chain; chain = queue.take()) {
              for (const { address, length } of [...chain.readable, ...chain.writable])
                expect(memory.contains(address, length)).toBe(true);
              expect(chain.readable.length + chain.writable.length).toBeLessThanOrEqual(ENTRIES);
            }
          } catch (error) {
            errors++;
            expect(error).toBeInstanceOf(DescriptorError);
          }
        },
      ),
      { numRuns: 1000 },
    );
    expect(errors).toBeGreaterThan(50);
  });

  test.each([
    ['loop', () => [describe_(0, 0, 4, 1, 1), describe_(1, 0, 4, 1, 0)], /loop/],
    ['index beyond the ring', () => describe_(0, 0, 4, 1, 256), /descriptor index 256/],
    ['indirect', () => describe_(0, 0, 4, 4, 0), /indirect/],
    ['beyond memory', () => describe_(0, RAM + 0x4000, 1, 0, 0), /outside guest memory/],
    ['wrapping length', () => describe_(0, 0x1000, 0xffffffff, 0, 0), /outside guest memory/],
    ['direction', () => [describe_(0, 0, 4, 3, 1), describe_(1, 0, 4, 0, 0)], /for reading, behind/],
  ])('%s is named in the error', (_, prepare, message) => {
    const queue = fresh();
    prepare();
    offer(0, 0);
    expect(() => queue.take()).toThrow(message);
  });

  test('an available index that jumps is an error', () => {
    const queue = fresh();
    memory.write16(AVAIL + 2, 257);
    expect(() => queue.waiting()).toThrow(/jumped from 0 to 257/);
  });

  test('gather and scatter agree with one flat array', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 }),
        fc.nat(200),
        fc.uint8Array({ maxLength: 60 }),
        (lengths, offset, bytes) => {
          let address = 0x4000;
          const buffers = lengths.map((length) => {
            const buffer = { address, length };
            address += length + 3;
            return buffer;
          });
          const total = lengths.reduce((a, b) => a + b, 0);
          const at = offset % total;
          const fitting = bytes.subarray(0, total - at);
          const flat = new Uint8Array(total);
          for (const { address: a, length } of buffers) memory.write(a, new Uint8Array(length));
          flat.set(fitting, at);
          scatter(memory, buffers, at, bytes);
          const back = new Uint8Array(total);
          gather(memory, buffers, 0, back);
          expect(back).toEqual(flat);
          let seen = 0;
          eachPiece(buffers, at, fitting.length, (_, length) => (seen += length));
          expect(seen).toBe(fitting.length);
        },
      ),
    );
  });

  test('NO_INTERRUPT is honoured', () => {
    const queue = fresh();
    expect(queue.wantsInterrupt).toBe(true);
    memory.write16(AVAIL, 1);
    expect(queue.wantsInterrupt).toBe(false);
  });
});

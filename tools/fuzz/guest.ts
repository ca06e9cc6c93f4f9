/**
 * Hostile guests, made from a seed: a little kernel skeleton (LGUEST_INIT, gates, stack, descriptors, page tables) around
 * chunks of code in which nearly everything is random.
 */

/** Mulberry32: small, seeded, good enough to fuzz with. */
export class Random {
  private state: number;
  constructor(seed: number) {
    this.state = Math.imul(seed, 0x9e3779b1) >>> 0;
  }
  u32(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let t = this.state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }
  /** 0 .. n - 1. */
  below(n: number): number {
    return Math.floor((this.u32() / 2 ** 32) * n);
  }
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }
}

export const RAM_BYTES = 2 << 20;
const PAGE = 4096;
const KERNEL = 0xc0000000;
const DATA = 0x8000;
const CODE = 0x10000;
const CODE_BYTES = 0x8000;
const CHUNK_BYTES = 256;
const CHUNKS = CODE_BYTES / CHUNK_BYTES;
const STACK = 0x30000;
const SCRATCH = 0x38000;
const TABLES = 0x100000;
const ROOTS = 3;
const HANDLER = 0x20000;
const HANDLER_BYTES = 128;
/** Hypercalls that arguments seldom kill by. */
const QUIET_CALLS = [0, 5, 8, 9, 10, 13, 14, 16, 17, 18, 19, 5, 8, 9, 13, 14, 19, 2, 4, 6, 7, 15, 1];
/** Offsets in lguest_data of Linux 3.10. */
const HCALL_STATUS = 24;
const HCALLS = 88;
const NOIRQ_START = 1376;

export interface HostileGuest {
  readonly ram: Uint8Array;
  readonly entry: number;
  readonly pae: boolean;
  /** The guest can reach its own page tables, so that a TLB may rightly be stale: engines without one differ. */
  readonly loose: boolean;
}

/** A page address that something interesting begins or ends at. */
const EDGES = [
  CODE,
  CODE + PAGE,
  CODE + 2 * PAGE,
  CODE + 7 * PAGE,
  STACK,
  SCRATCH,
  HANDLER,
  DATA,
  DATA + PAGE,
];

class Writer {
  constructor(
    readonly bytes: Uint8Array,
    public at: number,
  ) {}
  put(...bytes: number[]): this {
    for (const b of bytes) this.bytes[this.at++ % this.bytes.length] = b;
    return this;
  }
  dword(n: number): this {
    return this.put(n & 255, (n >>> 8) & 255, (n >>> 16) & 255, (n >>> 24) & 255);
  }
  word(n: number): this {
    return this.put(n & 255, (n >>> 8) & 255);
  }
  /** mov r, imm32 */
  set(register: number, n: number): this {
    return this.put(0xb8 + register).dword(n);
  }
  call(number: number, ...args: readonly number[]): this {
    this.set(0, number);
    [3, 1, 2, 6].forEach((register, i) => args[i] !== undefined && this.set(register, args[i]!));
    return this.put(0xcd, 0x1f);
  }
  /** mov dword [address], imm32 */
  store(address: number, n: number): this {
    return this.put(0xc7, 0x05).dword(address).dword(n);
  }
}

export class GuestMaker {
  private readonly r: Random;
  private readonly ram = new Uint8Array(RAM_BYTES);
  private readonly view = new DataView(this.ram.buffer);
  private readonly roots: number[] = [];
  private pae = false;
  private loose = false;
  /** What addresses of code and data are counted from: 0, or the kernel's part. */
  private alias = 0;

  constructor(
    seed: number,
    /** Guest-physical addresses of rings, and of descriptors, in the device pages. */
    private readonly devices: readonly number[],
  ) {
    this.r = new Random(seed);
  }

  make(): HostileGuest {
    const { r, view } = this;
    this.pae = r.chance(40);
    this.loose = r.chance(15);
    for (let i = 0; i < 0x40000; i += 4) if (r.chance(30)) view.setUint32(i, r.u32(), true);
    const data = DATA + 4096 * (r.chance(5) ? r.below(300) : 0);
    view.setUint32(data + 1388, r.chance(99) ? 0x80 : this.value(), true);
    view.setUint32(data + 1384, r.chance(98) ? KERNEL : this.value(), true);
    view.setUint32(data + NOIRQ_START, r.chance(80) ? 0 : this.address(), true);
    view.setUint32(data + NOIRQ_START + 4, r.chance(80) ? 0 : this.address(), true);
    view.setUint32(data + 4, r.chance(50) ? 0 : r.u32(), true);
    view.setUint32(data, r.chance(70) ? 0x200 : 0, true);
    for (let i = 0; i < 64; i++) view.setUint8(data + HCALL_STATUS + i, r.chance(98) ? 0xff : 0);
    for (let n = 0; n < ROOTS; n++) this.roots.push(this.tables(n));
    this.alias = r.chance(40) ? KERNEL : 0;
    // From the last to the first: one may run into the next, whose beginning is the rest of its last instruction then.
    for (let n = CHUNKS - 1; n >= 0; n--) this.chunk(CODE + n * CHUNK_BYTES);
    for (let n = 0; n < 32; n++) this.handler(HANDLER + n * HANDLER_BYTES);
    return { ram: this.ram, entry: this.prologue(data), pae: this.pae, loose: this.loose };
  }

  private prologue(data: number): number {
    const { r } = this;
    const entry = 0x9000;
    const w = new Writer(this.ram, entry);
    w.set(4, STACK + 0x800);
    if (r.chance(98)) w.call(1, r.chance(98) ? data : this.value());
    for (let vector = 0; vector < 20; vector++) {
      if (!r.chance(99)) continue;
      this.gate(w, vector);
    }
    for (const vector of [32, 33, 34, 35, 36, 0x80]) this.gate(w, vector);
    if (r.chance(90)) w.call(7, 0x69, this.alias + STACK + (r.chance(90) ? 0xff0 : r.below(PAGE)), 1);
    w.call(18, 14, 0xffff, 0x00cffb00).call(18, 15, 0xffff, 0x00cff300);
    for (let n = r.below(6); n > 0; n--) this.descriptor(w);
    if (r.chance(92)) {
      w.call(4, r.pick(this.roots));
      // Into the alias.
      w.put(0xb8).dword(this.code()).put(0xff, 0xe0);
    }
    w.put(0xe9).dword(CODE - (w.at + 4));
    return entry;
  }

  private gate(w: Writer, vector: number): void {
    const { r } = this;
    const to = this.alias + HANDLER + r.below(32) * HANDLER_BYTES;
    const type = r.chance(80) ? 0xee00 : r.chance(50) ? 0xef00 : 0x8e00;
    w.call(6, vector, (to & 0xffff) | 0x610000, (to & 0xffff0000) | type);
  }

  private descriptor(w: Writer): void {
    const { r } = this;
    const base = r.chance(60) ? 0 : this.value();
    const limit = r.chance(50) ? 0xfffff : r.below(0x100000);
    const access = r.chance(80)
      ? r.pick([0x92, 0xf2, 0xb2, 0x9a, 0xfa, 0xba, 0xf6, 0x96, 0xf0, 0x12])
      : r.below(256);
    const flags = r.chance(80) ? r.pick([0xc, 4, 8]) : r.below(16);
    const low = (limit & 0xffff) | (base << 16);
    const high =
      ((base >>> 16) & 0xff) | (access << 8) | (limit & 0xf0000) | (flags << 20) | (base & 0xff000000);
    const index = r.chance(90)
      ? r.pick([6, 7, 8, 18, 19, 20, 27, 28])
      : r.pick([9, 10, 11, 12, 13, 14, 15, 16, 31]);
    if (r.chance(98)) w.call(18, index, low, high);
    else w.call(18, r.pick([12, 13, 14, 15]), low, high);
  }

  /** Page tables: low memory one to one and again at KERNEL, with some entries that are anything. */
  private tables(n: number): number {
    const { r, view } = this;
    const at = TABLES + n * 0x8000;
    const wide = this.pae ? 8 : 4;
    const per = PAGE / wide;
    const span = per * PAGE;
    const wild = r.chance(30) ? 0 : r.below(12);
    const leafs = RAM_BYTES / PAGE + 32;
    const tablePages = Math.ceil(leafs / per);
    const leaf = at + 2 * PAGE;
    for (let i = 0; i < leafs; i++) {
      let flags = 7;
      let page = i * PAGE;
      if (!this.loose && page >= TABLES && page < TABLES + ROOTS * 0x8000) flags = 0;
      else if (i >= 11 && r.below(100) < wild) {
        flags = r.pick([0, 0, 1, 3, 5, 7, 0x27, 0x67]);
        if (r.chance(30)) page = CODE + r.below(40) * PAGE;
        if (r.below(1000) < 5) page = r.u32() & ~0xfff;
        if (r.below(1000) < 5) flags |= 0x80;
      }
      view.setUint32(leaf + i * wide, page | flags, true);
    }
    const directory = this.pae ? at + PAGE : at;
    for (let i = 0; i < tablePages; i++) {
      const entry = (leaf + i * PAGE) | (r.chance(90) ? 7 : 3);
      view.setUint32(directory + i * wide, entry, true);
      if (!this.pae) view.setUint32(directory + (KERNEL / span + i) * wide, entry, true);
    }
    if (!this.pae) return at;
    for (const i of [0, 3]) view.setUint32(at + 8 * i, directory | 1, true);
    return at;
  }

  // Numbers.

  private value(): number {
    const { r } = this;
    switch (r.below(8)) {
      case 0:
        return r.below(64);
      case 1:
        return r.u32();
      case 2:
        return r.pick([0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff]);
      case 3:
        return r.pick([
          0x60, 0x61, 0x68, 0x69, 0x73, 0x7b, 0x33, 0x3b, 0x43, 0x90, 0x98, 0xa3, 0xd8, 0xe0, 3, 0,
        ]);
      case 4:
        return r.chance(50) && this.devices.length > 0
          ? r.pick(this.devices)
          : r.pick(this.roots.concat(TABLES));
      default:
        return this.address();
    }
  }
  private address(): number {
    const { r } = this;
    const page = r.pick(EDGES);
    return (this.alias + page + (r.chance(50) ? r.below(24) - 12 : r.below(PAGE))) >>> 0;
  }
  private code(): number {
    return (this.alias + CODE + this.r.below(CHUNKS) * CHUNK_BYTES) >>> 0;
  }

  // Code.

  /** Known registers and stack, then on in some chunk, often at another level. */
  private handler(at: number): void {
    const { r } = this;
    const w = new Writer(this.ram, at);
    if (r.chance(85)) w.set(4, this.alias + STACK + 0x100 * r.below(16) + (r.chance(80) ? 0 : r.below(8)));
    for (let i = r.below(4); i > 0; i--) w.set(r.pick([0, 1, 2, 3, 5, 6, 7]), this.value());
    if (r.chance(50)) w.store(this.alias + DATA, 0x200);
    if (r.chance(60)) w.put(0x68, 0x69, 0, 0, 0, 0x1f, 0x68, 0x69, 0, 0, 0, 0x07);
    const flags = r.chance(85) ? 0x202 : r.chance(50) ? 0x302 : r.u32() & 0x4ffd7;
    if (r.chance(30)) w.put(0x68).dword(this.code()).put(0xc3);
    else if (r.chance(50))
      w.put(0x68).dword(flags).put(0x68).dword(0x61).put(0x68).dword(this.code()).put(0xcf);
    else {
      w.put(0x68).dword(0x7b).put(0x68).dword(this.address());
      w.put(0x68).dword(flags).put(0x68).dword(0x73).put(0x68).dword(this.code()).put(0xcf);
    }
  }

  private chunk(at: number): void {
    const { r } = this;
    const w = new Writer(this.ram, at);
    const across = (at + CHUNK_BYTES) % PAGE === 0 && r.chance(60);
    const end = at + CHUNK_BYTES - (across ? 0 : r.chance(50) ? 5 : 40);
    while (w.at < end) this.something(w);
    if (w.at <= at + CHUNK_BYTES - 5 && r.chance(80))
      w.put(0xe9).dword(CODE + r.below(CHUNKS) * CHUNK_BYTES - (w.at + 5));
  }

  private something(w: Writer): void {
    const { r } = this;
    switch (r.chance(3) ? 24 : r.below(24)) {
      case 0:
        w.call(
          r.chance(98) ? r.pick(QUIET_CALLS) : this.value(),
          this.value(),
          this.value(),
          this.value(),
          this.value(),
        );
        return;
      case 1:
        this.likelyCall(w);
        return;
      case 2:
        this.ringEntry(w);
        return;
      case 3:
        w.store(this.code() + r.below(CHUNK_BYTES), r.u32());
        return;
      case 4: {
        // 8-, 16-, 64-bit, read-modify-write and string stores to code.
        const to = this.code() + r.below(CHUNK_BYTES);
        const kind = r.below(5);
        if (kind === 0) w.put(0xc6, 0x05).dword(to).put(r.below(256));
        else if (kind === 1) w.put(0x66, 0xc7, 0x05).dword(to).word(r.u32());
        else if (kind === 2)
          w.put(0x80 + r.below(2), 0x05 | (r.below(8) << 3))
            .dword(to)
            .dword(r.u32());
        else if (kind === 3) w.put(0x0f, 0xc7, 0x0d).dword(to);
        else
          w.set(7, to)
            .set(6, this.code())
            .set(1, r.below(80))
            .put(0xf3, r.pick([0xa4, 0xa5, 0xaa, 0xab]));
        return;
      }
      case 5:
        w.set(0, this.value()).put(0x8e, 0xc0 | (r.below(8) << 3));
        return;
      case 6:
        w.put(0x68)
          .dword(this.value())
          .put(...r.pick([[0x07], [0x17], [0x1f], [0x0f, 0xa1], [0x0f, 0xa9]]));
        return;
      case 7:
        w.put(0x9c, 0x81, 0x0c, 0x24)
          .dword(r.chance(60) ? 0x100 : r.u32())
          .put(0x9d);
        return;
      case 8:
        w.set(4, this.address()).put(
          ...r.pick([[0x60], [0xc8, r.below(256), 0, r.below(32)], [0x61], [0xc9], [0xe8, 0, 0, 0, 0]]),
        );
        return;
      case 9:
        w.set(1, r.chance(80) ? r.below(300) : r.u32())
          .set(6, this.address())
          .set(7, this.address());
        w.put(...(r.chance(20) ? [0xfd] : [0xfc]));
        w.put(
          r.pick([0xf2, 0xf3]),
          ...(r.chance(20) ? [0x66] : []),
          r.pick([0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf]),
        );
        return;
      case 10:
        w.put(...r.pick([[0x0f, 0x31], [0x0f, 0xa2], [0x9b], [0xd9, 0xee], [0xfa], [0xec], [0xef], [0xf4]]));
        return;
      case 11: {
        // A short loop.
        w.set(1, r.below(60));
        const top = w.at;
        this.random(w);
        w.put(0x49, 0x75, (top - (w.at + 3)) & 255);
        return;
      }
      case 12:
        w.put(r.pick([0xe8, 0xe9])).dword(
          (CODE + r.below(CHUNKS) * CHUNK_BYTES + (r.chance(20) ? r.below(CHUNK_BYTES) : 0) - (w.at + 4)) | 0,
        );
        return;
      case 13:
        w.set(r.pick([0, 1, 2, 3, 5, 6, 7]), this.value());
        return;
      case 14:
        w.put(r.pick([0xea, 0x9a]))
          .dword(this.code())
          .word(r.chance(70) ? 0x61 : this.value());
        return;
      case 15:
        w.put(0x68)
          .dword(0x61 + (r.chance(20) ? r.below(64) : 0))
          .put(0x68)
          .dword(this.code())
          .put(0xcb);
        return;
      case 16:
        this.deviceRing(w);
        return;
      case 17:
        this.descriptor(w);
        return;
      case 18:
        w.put(0xcd, r.chance(50) ? 0x80 : r.below(256));
        return;
      default:
        for (let n = r.below(4); n >= 0; n--) this.random(w);
    }
  }

  private likelyCall(w: Writer): void {
    const { r } = this;
    switch (r.below(9)) {
      case 0:
        w.call(4, r.pick(this.roots));
        return;
      case 1:
        w.call(5, r.below(2));
        return;
      case 2:
        w.call(9, r.chance(80) ? r.below(5000) : r.u32());
        return;
      case 3:
        w.call(10);
        return;
      case 4:
        w.call(14, r.pick(this.roots), this.address(), this.value());
        return;
      case 5:
        w.call(15, r.pick(this.roots), r.below(this.pae ? 4 : 1024));
        return;
      case 6:
        w.call(17, r.chance(70) && this.devices.length > 0 ? r.pick(this.devices) : this.value());
        return;
      case 7:
        w.call(8, r.below(2));
        return;
      default:
        w.call(r.pick([0, 19, 13]), 0, 0);
    }
  }

  private ringEntry(w: Writer): void {
    const { r } = this;
    const slot = r.below(3);
    const entry = this.alias + DATA + HCALLS + 20 * slot;
    w.store(
      entry,
      r.chance(97) ? r.pick([0, 5, 8, 9, 10, 13, 14, 14, 5, 19]) : r.pick([4, 7, 15, 16, 17, 18, 2, 77]),
    );
    for (let n = 1; n < 5; n++) w.store(entry + 4 * n, this.value());
    w.put(0xc6, 0x05)
      .dword(this.alias + DATA + HCALL_STATUS + slot)
      .put(r.below(4));
    if (r.chance(70)) w.call(0);
  }

  /** Descriptors and an available ring for one of the queues, then its NOTIFY. */
  private deviceRing(w: Writer): void {
    const { r } = this;
    if (this.devices.length === 0) return;
    const ring = r.pick(this.devices);
    const slot = r.below(4);
    const at = (this.alias + (ring & ~0xfff)) >>> 0;
    w.store(at + 16 * slot, r.chance(70) ? SCRATCH + r.below(0x1000) : this.value());
    w.store(at + 16 * slot + 4, r.chance(90) ? 0 : this.value());
    w.store(at + 16 * slot + 8, r.chance(80) ? r.below(600) : this.value());
    w.store(at + 16 * slot + 12, r.pick([0, 1, 2, 3, 3, 4]) | (r.below(5) << 16));
    w.store(at + 4096 + r.below(2), (r.below(6) << 16) | r.below(2));
    w.store(at + 4096 + 4, r.below(5) | (r.below(5) << 16));
    if (r.chance(80)) w.call(17, ring);
  }

  /** One instruction of random bytes: prefixes, opcode, and as many bytes as it may want. */
  private random(w: Writer): void {
    const { r } = this;
    for (let n = r.chance(25) ? r.below(3) : 0; n > 0; n--) {
      w.put(r.pick([0x66, 0x66, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65]));
    }
    if (r.chance(20)) w.put(0x0f, r.below(256));
    else w.put(r.below(256));
    const modrm = r.below(256);
    if (r.chance(40)) {
      // An absolute operand.
      w.put((modrm & 0x38) | 5).dword(this.address());
    } else if (r.chance(50)) {
      w.put(modrm | 0xc0);
    } else {
      w.put(modrm);
      for (let n = r.below(5); n > 0; n--) w.put(r.below(256));
    }
    for (let n = r.below(5); n > 0; n--) w.put(r.chance(50) ? 0 : r.below(256));
  }
}

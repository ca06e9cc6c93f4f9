/**
 * Files of test vectors: what the processor made of each case. gzip'd; inside, little-endian:
 *
 *     "X86V", u16 version, u32 length of a JSON header {cpu, seed, topic, bases, …}, the header, then a record per case.
 *
 * Numbers are varints (LEB128) unless they have a type; signed ones zigzag. A record:
 *
 *     flags: 1 same code, eip and segments as the case before; 2 x87 state loaded; 4 selectors changed;
 *            8 x87 changed; 16 memory changed; 32 the int3 behind the code was reached
 *     unless same: length, code bytes, eip, segments
 *     base: register set that the registers start from; u8 mask of registers that differ, u32 each; eflags
 *     patches: count, each address, length, bytes
 *     if x87: state of the header that st(0)..st(7) start from; as "x87 changed"
 *     u8 mask of changed registers, u32 each; eflags xor those before
 *     unless reached: eip - eip before (signed), vector, error; of page faults u32 cr2
 *     if selectors changed: u16 × 6
 *     if x87 changed: u8 mask of st registers, u16 control, u16 status, u8 tags, 10 bytes each
 *     if memory changed: count, each address, length, bytes
 *
 * State that is not mentioned is as the case set it.
 */
import { gunzipSync, gzipSync } from 'node:zlib';
import { INITIAL_X87, sameBytes, VECTOR, type Case, type Outcome, type Patch, type X87 } from './case.js';
import { SEGMENT_SETS } from './layout.js';

const MAGIC = 'X86V';
const VERSION = 1;
const SAME = 1;
const HAS_X87 = 2;
const SELECTORS = 4;
const X87_CHANGED = 8;
const MEMORY = 16;
const REACHED = 32;
const ST_BYTES = 10;

export interface Vector {
  readonly input: Case;
  readonly outcome: Outcome;
}

export interface VectorHeader {
  /** Processor that the outcomes come from. */
  readonly cpu: string;
  readonly seed: number;
  readonly topic: string;
  readonly count: number;
  /** Register sets that cases start from. */
  readonly bases: readonly (readonly number[])[];
  /** Likewise st(0)..st(7): 80 bytes each, in hexadecimal. */
  readonly x87: readonly string[];
}

class Writer {
  private bytes = new Uint8Array(1 << 20);
  private view = new DataView(this.bytes.buffer);
  length = 0;
  private room(n: number): number {
    if (this.length + n > this.bytes.length) {
      const larger = new Uint8Array(2 * this.bytes.length + n);
      larger.set(this.bytes);
      this.bytes = larger;
      this.view = new DataView(larger.buffer);
    }
    this.length += n;
    return this.length - n;
  }
  u8(v: number): void {
    const at = this.room(1);
    this.bytes[at] = v;
  }
  u16(v: number): void {
    const at = this.room(2);
    this.view.setUint16(at, v, true);
  }
  u32(v: number): void {
    const at = this.room(4);
    this.view.setUint32(at, v, true);
  }
  raw(b: Uint8Array): void {
    const at = this.room(b.length);
    this.bytes.set(b, at);
  }
  varint(v: number): void {
    let rest = v >>> 0;
    for (; rest >= 0x80; rest >>>= 7) this.u8((rest & 0x7f) | 0x80);
    this.u8(rest);
  }
  signed(v: number): void {
    this.varint((v << 1) ^ (v >> 31));
  }
  patches(list: readonly Patch[]): void {
    this.varint(list.length);
    for (const p of list) {
      this.varint(p.address);
      this.varint(p.bytes.length);
      this.raw(p.bytes);
    }
  }
  result(): Uint8Array {
    return this.bytes.subarray(0, this.length);
  }
}

class Reader {
  private readonly view: DataView;
  constructor(
    private readonly bytes: Uint8Array,
    private at = 0,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }
  u8(): number {
    return this.view.getUint8(this.at++);
  }
  u16(): number {
    this.at += 2;
    return this.view.getUint16(this.at - 2, true);
  }
  u32(): number {
    this.at += 4;
    return this.view.getUint32(this.at - 4, true);
  }
  raw(n: number): Uint8Array {
    this.at += n;
    if (this.at > this.bytes.length) throw new RangeError('vector file ends early');
    return this.bytes.slice(this.at - n, this.at);
  }
  varint(): number {
    let v = 0;
    for (let shift = 0; ; shift += 7) {
      const b = this.u8();
      v |= (b & 0x7f) << shift;
      if (b < 0x80) return v >>> 0;
    }
  }
  signed(): number {
    const v = this.varint();
    return (v >>> 1) ^ -(v & 1);
  }
  patches(): Patch[] {
    const list: Patch[] = [];
    for (let n = this.varint(); n > 0; n--) {
      const address = this.varint();
      list.push({ address, bytes: this.raw(this.varint()) });
    }
    return list;
  }
}

/** A mask of the entries where the lists differ, then the second list's entries there. */
function writeRegs(w: Writer, from: readonly number[], to: readonly number[]): void {
  let mask = 0;
  to.forEach((v, n) => (mask |= v === from[n] ? 0 : 1 << n));
  w.u8(mask);
  to.forEach((v, n) => {
    if ((mask >> n) & 1) w.u32(v);
  });
}
function readRegs(r: Reader, from: readonly number[]): number[] {
  const mask = r.u8();
  return from.map((v, n) => ((mask >> n) & 1 ? r.u32() : v));
}

/** The set with the fewest differing registers. */
function nearest<T>(bases: readonly (readonly T[])[], regs: readonly T[]): number {
  let best = 0;
  let most = -1;
  bases.forEach((base, n) => {
    let alike = 0;
    for (let k = 0; k < regs.length; k++) if (base[k] === regs[k]) alike++;
    if (alike > most) [best, most] = [n, alike];
  });
  return best;
}

const st = (x: X87, n: number): Uint8Array => x.st.subarray(ST_BYTES * n, ST_BYTES * (n + 1));

function writeX87(w: Writer, before: X87, after: X87): void {
  let mask = 0;
  for (let n = 0; n < 8; n++) if (!sameBytes(st(before, n), st(after, n))) mask |= 1 << n;
  w.u8(mask);
  w.u16(after.control);
  w.u16(after.status);
  w.u8(after.tags);
  for (let n = 0; n < 8; n++) if ((mask >> n) & 1) w.raw(st(after, n));
}
function readX87(r: Reader, before: X87): X87 {
  const mask = r.u8();
  const [control, status, tags] = [r.u16(), r.u16(), r.u8()];
  const bytes = before.st.slice();
  for (let n = 0; n < 8; n++) if ((mask >> n) & 1) bytes.set(r.raw(ST_BYTES), ST_BYTES * n);
  return { control, status, tags, st: bytes };
}

function sameX87(a: X87, b: X87): boolean {
  return a.control === b.control && a.status === b.status && a.tags === b.tags && sameBytes(a.st, b.st);
}

/** The header's starting points, in the shapes that are wanted. */
interface Starts {
  readonly bases: VectorHeader['bases'];
  readonly x87: readonly X87[];
  /** The registers of `x87` as text, for comparisons. */
  readonly x87Text: readonly (readonly string[])[];
}
const stText = (x: X87): string[] =>
  Array.from({ length: 8 }, (_, n) => Buffer.from(st(x, n)).toString('hex'));
function startsOf(header: Pick<VectorHeader, 'bases' | 'x87'>): Starts {
  const x87 = header.x87.map((text) => ({ ...INITIAL_X87, st: new Uint8Array(Buffer.from(text, 'hex')) }));
  return { bases: header.bases, x87, x87Text: x87.map(stText) };
}

function writeVector(w: Writer, v: Vector, previous: Case | undefined, starts: Starts): void {
  const { bases } = starts;
  const { input: c, outcome: o } = v;
  const same =
    previous !== undefined &&
    previous.eip === c.eip &&
    previous.segments === c.segments &&
    sameBytes(previous.code, c.code);
  const selectors = SEGMENT_SETS[c.segments]!;
  const x87 = c.x87 ?? INITIAL_X87;
  const reached = o.vector === VECTOR.breakpoint && o.eip === c.eip + c.code.length;
  const flags =
    (same ? SAME : 0) |
    (c.x87 ? HAS_X87 : 0) |
    (o.selectors.every((s, n) => s === selectors[n]) ? 0 : SELECTORS) |
    (sameX87(x87, o.x87) ? 0 : X87_CHANGED) |
    (o.changes.length > 0 ? MEMORY : 0) |
    (reached ? REACHED : 0);
  w.u8(flags);
  if (!same) {
    w.varint(c.code.length);
    w.raw(c.code);
    w.varint(c.eip);
    w.varint(c.segments);
  }
  const base = nearest(bases, c.regs);
  w.varint(base);
  writeRegs(w, bases[base]!, c.regs);
  w.varint(c.eflags);
  w.patches(c.patches);
  if (c.x87) {
    const start = nearest(starts.x87Text, stText(c.x87));
    w.varint(start);
    writeX87(w, starts.x87[start]!, c.x87);
  }
  writeRegs(w, c.regs, o.regs);
  w.varint(c.eflags ^ o.eflags);
  if (!reached) {
    w.signed((o.eip - c.eip) | 0);
    w.varint(o.vector);
    w.varint(o.error);
    if (o.vector === VECTOR.pageFault) w.u32(o.cr2);
  }
  if (flags & SELECTORS) o.selectors.forEach((s) => w.u16(s));
  if (flags & X87_CHANGED) writeX87(w, x87, o.x87);
  if (flags & MEMORY) w.patches(o.changes);
}

function readVector(r: Reader, previous: Case | undefined, starts: Starts): Vector {
  const flags = r.u8();
  if (flags & SAME && previous === undefined) throw new RangeError('vector file: the first case repeats');
  const code = flags & SAME ? previous!.code : r.raw(r.varint());
  const eip = flags & SAME ? previous!.eip : r.varint();
  const segments = flags & SAME ? previous!.segments : r.varint();
  const regs = readRegs(r, starts.bases[r.varint()]!);
  const eflags = r.varint();
  const patches = r.patches();
  const x87 = flags & HAS_X87 ? readX87(r, starts.x87[r.varint()]!) : undefined;
  const input: Case = { eip, code, segments, regs, eflags, patches, x87 };
  const after = readRegs(r, regs);
  const flagsAfter = (r.varint() ^ eflags) >>> 0;
  const reached = (flags & REACHED) !== 0;
  const end = reached ? eip + code.length : (eip + r.signed()) >>> 0;
  const vector = reached ? VECTOR.breakpoint : r.varint();
  const error = reached ? 0 : r.varint();
  const cr2 = vector === VECTOR.pageFault ? r.u32() : 0;
  const selectors = flags & SELECTORS ? Array.from({ length: 6 }, () => r.u16()) : SEGMENT_SETS[segments]!;
  const x87After = flags & X87_CHANGED ? readX87(r, x87 ?? INITIAL_X87) : (x87 ?? INITIAL_X87);
  const changes = flags & MEMORY ? r.patches() : [];
  return {
    input,
    outcome: {
      regs: after,
      eflags: flagsAfter,
      eip: end,
      selectors,
      x87: x87After,
      vector,
      error,
      cr2,
      changes,
    },
  };
}

export function encodeVectors(header: Omit<VectorHeader, 'count'>, vectors: readonly Vector[]): Uint8Array {
  const w = new Writer();
  const json = Buffer.from(JSON.stringify({ ...header, count: vectors.length }));
  w.raw(Buffer.from(MAGIC));
  w.u16(VERSION);
  w.u32(json.length);
  w.raw(json);
  const starts = startsOf(header);
  vectors.forEach((v, n) => writeVector(w, v, vectors[n - 1]?.input, starts));
  return gzipSync(w.result(), { level: 9 });
}

/** Reads a file's bytes. Throws RangeError for anything that `encodeVectors` did not write. */
export function decodeVectors(file: Uint8Array): { header: VectorHeader; vectors: Generator<Vector> } {
  const bytes = new Uint8Array(gunzipSync(file));
  const r = new Reader(bytes);
  const magic = Buffer.from(r.raw(MAGIC.length)).toString();
  const version = r.u16();
  if (magic !== MAGIC || version !== VERSION) throw new RangeError('not a vector file of this version');
  const header = JSON.parse(Buffer.from(r.raw(r.u32())).toString()) as VectorHeader;
  return { header, vectors: all(r, header) };
}
function* all(r: Reader, header: VectorHeader): Generator<Vector> {
  let previous: Case | undefined;
  const starts = startsOf(header);
  for (let n = 0; n < header.count; n++) {
    const v = readVector(r, previous, starts);
    previous = v.input;
    yield v;
  }
}

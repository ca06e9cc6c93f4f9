/** Runs cases on an engine: state set directly, its own page tables with the window at its addresses. */
import * as S from '../../src/frontend-x86/cpu-state.js';
import { LEAVE } from '../../src/frontend-x86/leave.js';
import {
  exitCounter,
  GDT,
  MISS_SAMPLE,
  TRANSITION_SAMPLE,
  TRANSITIONS,
} from '../../src/backend-wasm/memory-layout.js';
import type { Engine } from '../../src/runtime/engine.js';
import { InterpreterEngine } from '../../src/runtime/interpreter-engine.js';
import {
  FLAGS,
  INITIAL_X87,
  sameBytes,
  VECTOR,
  type Case,
  type Outcome,
  type Patch,
  type X87,
} from './case.js';
import {
  background,
  descriptor,
  imageOffset,
  PAGE,
  READ_ONLY,
  SEGMENTS,
  SEGMENT_SETS,
  WINDOW,
} from './layout.js';

/** Guest RAM: the window's pages (see `physicalOf`), then a page directory and a page table. */
export const RAM_BYTES = 0x20000;
const DIRECTORY = 0x10000;
const TABLE = 0x11000;
const USER_PAGE = 5;
const WRITABLE = 2;
const GDT_ENTRIES = 16;
/** What IF and IOPL are for a process. */
const FIXED_FLAGS = 0x202;
/** Instructions that any case ends within. */
const BUDGET = 200_000;

const ACCESSED = 0x20;
const DIRTY = 0x40;
/**
 * Guest-physical address of a window address: neighbouring pages are none in memory, so that an access that runs on
 * from one into the next without looking finds the wrong bytes.
 */
const physicalOf = (address: number): number => (address < READ_ONLY ? address ^ PAGE : address);
/** Address of a page's table entry. */
const entryOf = (page: number): number => TABLE + (page >>> 12) * 4;
/** `clean`: without accessed and dirty bits. */
function entry(page: number, clean: boolean): number {
  const writable = page !== READ_ONLY;
  return (
    physicalOf(page) | USER_PAGE | (writable ? WRITABLE : 0) | (clean ? 0 : ACCESSED | (writable ? DIRTY : 0))
  );
}

interface Cached {
  readonly base: number;
  readonly limit: number;
  readonly attr: number;
}

export class EngineRunner {
  private readonly base = background();
  /** What the window of the engine holds. */
  private readonly image = background();
  private readonly segments = new Map<number, Cached>();
  /** Instructions that the last case executed, the final int3 not counted. */
  instructions = 0;
  /** Instructions that the engine had executed when the case began. */
  startedAt = 0;
  /** The code that stands in the window: it stays for the next case, which often has the same. */
  private placed: Patch | undefined;

  constructor(readonly engine: Engine) {
    const { memory, mmu, cpu } = engine;
    memory.write32(DIRECTORY, TABLE | USER_PAGE | WRITABLE);
    let at = 0;
    for (const [start, bytes] of WINDOW) {
      this.write(start, this.base.subarray(at, at + bytes));
      at += bytes;
      for (let page = start; page < start + bytes; page += PAGE) {
        memory.write32(entryOf(page), entry(page, true));
      }
    }
    for (const s of SEGMENTS) {
      const [low, high] = descriptor(s);
      this.segments.set(s.selector, { base: s.base, limit: s.limit, attr: (high >>> 8) & 0xf0ff });
      if (s.selector & 4) continue;
      cpu.view.setUint32(GDT + (s.selector & ~7), low, true);
      cpu.view.setUint32(GDT + (s.selector & ~7) + 4, high, true);
    }
    cpu.set(S.GDT_ADDRESS, GDT);
    cpu.set(S.GDT_LIMIT, 8 * GDT_ENTRIES - 1);
    cpu.set(S.CPL, 3);
    mmu.setPageTable(DIRECTORY, false);
  }

  private write(address: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) {
      const part = Math.min(bytes.length - done, PAGE - ((address + done) & (PAGE - 1)));
      this.engine.memory.write(physicalOf(address + done), bytes.subarray(done, done + part));
      done += part;
    }
  }
  /** What is at a window address; all of it has to be mapped. A view where it is in one page. */
  read(address: number, length: number): Uint8Array {
    const { memory } = this.engine;
    const here = PAGE - (address & (PAGE - 1));
    if (length <= here) return memory.view(physicalOf(address), length);
    return Buffer.concat([this.read(address, here), this.read(address + here, length - here)]);
  }

  private setBytes(address: number, bytes: Uint8Array): void {
    const offset = imageOffset(address);
    if (sameBytes(this.image.subarray(offset, offset + bytes.length), bytes)) return;
    this.image.set(bytes, offset);
    this.write(address, bytes);
  }
  private restore(address: number, length: number): void {
    const offset = imageOffset(address);
    this.setBytes(address, this.base.subarray(offset, offset + length));
  }

  private codeAddress(c: Case): number {
    return c.eip + this.segments.get(SEGMENT_SETS[c.segments]![1]!)!.base;
  }

  private prepare(c: Case): void {
    const { cpu } = this.engine;
    const address = this.codeAddress(c);
    const { placed } = this;
    if (placed && (placed.address !== address || placed.bytes !== c.code)) {
      this.restore(placed.address, placed.bytes.length);
    }
    this.setBytes(address, c.code);
    this.placed = { address, bytes: c.code };
    for (const p of c.patches) this.setBytes(p.address, p.bytes);
    c.regs.forEach((v, n) => cpu.setReg(n, v));
    cpu.eflags = c.eflags | FIXED_FLAGS;
    cpu.eip = c.eip;
    SEGMENT_SETS[c.segments]!.forEach((selector, n) => {
      const s = this.segments.get(selector)!;
      cpu.set(S.SELECTOR + 4 * n, selector);
      cpu.set(S.SEGMENT_BASE + 4 * n, s.base);
      cpu.set(S.SEGMENT_LIMIT + 4 * n, s.limit);
      cpu.set(S.SEGMENT_ATTR + 4 * n, s.attr);
    });
    cpu.set(S.CPL, 3);
    cpu.set(S.INTERRUPT_SHADOW, 0xffffffff);
    cpu.set(S.FAULT_ADDRESS, 0);
    this.setX87(c.x87 ?? INITIAL_X87);
    this.engine.segmentsChanged();
  }

  private setX87(x: X87): void {
    const { cpu } = this.engine;
    const top = (x.status >> 11) & 7;
    cpu.set(S.FPU_CONTROL, x.control);
    cpu.set(S.FPU_STATUS, x.status & ~0x3800);
    cpu.set(S.FPU_TOP, top);
    cpu.set(S.FPU_TAGS, x.tags);
    const st = new DataView(x.st.buffer, x.st.byteOffset, 80);
    for (let i = 0; i < 8; i++) {
      const r = (top + i) & 7;
      cpu.view.setBigUint64(S.FPU_MANTISSA + 8 * r, st.getBigUint64(10 * i, true), true);
      cpu.set(S.FPU_EXPONENT + 4 * r, st.getUint16(10 * i + 8, true));
    }
    for (const slot of [S.FPU_LAST_EIP, S.FPU_LAST_CS, S.FPU_LAST_DATA, S.FPU_LAST_DS, S.FPU_LAST_OPCODE])
      cpu.set(slot, 0);
  }

  private x87(): X87 {
    const { cpu } = this.engine;
    const top = cpu.get(S.FPU_TOP);
    const bytes = new Uint8Array(80);
    const st = new DataView(bytes.buffer);
    for (let i = 0; i < 8; i++) {
      const r = (top + i) & 7;
      st.setBigUint64(10 * i, cpu.view.getBigUint64(S.FPU_MANTISSA + 8 * r, true), true);
      st.setUint16(10 * i + 8, cpu.get(S.FPU_EXPONENT + 4 * r), true);
    }
    return {
      control: cpu.get(S.FPU_CONTROL),
      status: cpu.get(S.FPU_STATUS) | (top << 11),
      tags: cpu.get(S.FPU_TAGS),
      st: bytes,
    };
  }

  /** The runs of bytes that the case changed. */
  private changes(): Patch[] {
    const changes: Patch[] = [];
    let offset = 0;
    for (const [start, length] of WINDOW) {
      const now = this.read(start, length);
      const was = this.image.subarray(offset, offset + length);
      offset += length;
      if (Buffer.compare(now, was) === 0) continue;
      for (let i = 0; i < length; i++) {
        if (now[i] === was[i]) continue;
        let end = i + 1;
        while (end < length && now[end] !== was[end]) end++;
        changes.push({ address: start + i, bytes: now.slice(i, end) });
        i = end;
      }
    }
    for (const p of changes) this.image.set(p.bytes, imageOffset(p.address));
    return changes;
  }

  /** Sets the state up, for an owner who runs the engine. */
  begin(c: Case): void {
    this.prepare(c);
    this.startedAt = this.engine.instructions;
  }
  /** The owner's next access to each page walks the tables; `clean`: and finds it neither accessed nor dirty. */
  coolTlb(clean: boolean): void {
    const { memory, mmu } = this.engine;
    for (const [start, bytes] of WINDOW) {
      for (let page = start; page < start + bytes; page += PAGE)
        memory.write32(entryOf(page), entry(page, clean));
    }
    memory.write32(DIRECTORY, TABLE | USER_PAGE | WRITABLE | (clean ? 0 : ACCESSED));
    mmu.flushAll();
  }
  /** Drops predecoded and translated code. */
  forgetCode(): void {
    if (this.engine instanceof InterpreterEngine) this.engine.code.flush();
  }
  /** The engine is told of the next transition between regions, and of the next TLB miss of one, as of one of many else. */
  sampleNext(): void {
    if (!(this.engine instanceof InterpreterEngine)) return;
    const { i32 } = this.engine.memory;
    i32[TRANSITIONS >> 2] = TRANSITION_SAMPLE - 1;
    i32[exitCounter('TLB miss') >> 2] = MISS_SAMPLE - 1;
  }
  /** How often a block is entered before it is translated. */
  set heat(entries: number) {
    if (this.engine instanceof InterpreterEngine) this.engine.code.heat.threshold = entries;
  }
  /** All of guest memory, page tables included. */
  get ram(): Uint8Array {
    return this.engine.memory.view(0, RAM_BYTES);
  }
  /** What the case that was begun has come to, `reason` being why the engine left. The window is as it was then. */
  finish(c: Case, reason: number): Outcome {
    this.instructions = this.engine.instructions - this.startedAt;
    const outcome = this.outcome(reason);
    for (const p of outcome.changes) this.restore(p.address, p.bytes.length);
    for (const p of c.patches) this.restore(p.address, p.bytes.length);
    return outcome;
  }
  poke(address: number, bytes: Uint8Array): void {
    this.image.set(bytes, imageOffset(address));
    this.write(address, bytes);
  }
  /** Back to the window as it was. */
  end(): void {
    this.changes();
    this.placed = undefined;
    const { base } = this;
    let offset = 0;
    for (const [start, length] of WINDOW) {
      this.setBytes(start, base.subarray(offset, offset + length));
      offset += length;
    }
  }

  /** `slice`: budgets to run with, one after the other; without, the case runs in one go. */
  run(c: Case, slice?: () => number): Outcome {
    this.begin(c);
    let reason: number = LEAVE.budget;
    while (reason === LEAVE.budget && this.engine.instructions - this.startedAt < BUDGET) {
      reason = this.engine.run(slice === undefined ? BUDGET : slice());
    }
    return this.finish(c, reason);
  }

  private outcome(reason: number): Outcome {
    const { cpu } = this.engine;
    const trap = reason === LEAVE.trap || reason === LEAVE.icebp;
    const fault = reason === LEAVE.fault;
    const vector = fault || trap ? cpu.get(S.EXIT_DETAIL) : VECTOR.stuck;
    const changes = this.changes();
    return {
      regs: Array.from({ length: 8 }, (_, n) => cpu.reg(n)),
      eflags: (cpu.eflags & FLAGS) >>> 0,
      // As the processor tells it: behind the instruction, where a one-byte int3 or into ended.
      eip: trap ? cpu.get(S.EXIT_NEXT) - (reason === LEAVE.trap ? 1 : 0) : cpu.eip,
      selectors: Array.from({ length: 6 }, (_, n) => cpu.selector(n)),
      x87: this.x87(),
      vector: reason === LEAVE.icebp ? VECTOR.debug : vector,
      error: fault ? cpu.get(S.EXIT_ERROR) : 0,
      cr2: fault && vector === VECTOR.pageFault ? cpu.get(S.FAULT_ADDRESS) : 0,
      changes,
    };
  }
}

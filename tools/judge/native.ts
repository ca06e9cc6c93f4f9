/** Runs cases on the processor, through the program `native/capture.c`. Linux on x86-64 with 32-bit support only. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../src/runtime/load-interpreter.js';
import { FLAGS, INITIAL_X87, VECTOR, type Case, type Outcome, type Patch, type X87 } from './case.js';
import { background, imageOffset, layoutHeader, SEGMENTS, SEGMENT_SETS } from './layout.js';

// Struct offsets of native/capture.c.
const STATE_BYTES = 140;
const EFLAGS = 32;
const EIP = 36;
const SELECTORS = 40;
const X87_AT = 52;
const ST_AT = 60;
const REQUEST_BYTES = STATE_BYTES + 4;
const RESPONSE_BYTES = STATE_BYTES + 12;
/** Cases in flight at once. */
const BATCH = 4000;

/** This machine's processor cannot be asked; the message is one sentence. */
export class NoNativeCpu extends Error {}

/** Compiles the capture program into the folder. Throws {@link NoNativeCpu} if there is no compiler that can. */
function compile(folder: string): void {
  writeFileSync(join(folder, 'layout.h'), layoutHeader());
  const { error, status } = spawnSync('gcc', [
    ...[
      '-m32',
      '-O2',
      '-nostdlib',
      '-static',
      '-ffreestanding',
      '-fno-pie',
      '-no-pie',
      '-fno-stack-protector',
    ],
    ...[
      '-fno-strict-aliasing',
      '-mgeneral-regs-only',
      '-fcf-protection=none',
      '-fno-tree-loop-distribute-patterns',
    ],
    ...['-Wall', '-Wl,-Ttext-segment=0x5a000000,--build-id=none,-z,noexecstack', `-I${folder}`],
    ...['-o', join(folder, 'capture'), join(packageRoot(), 'tools/judge/native/capture.c')],
  ]);
  if (error ?? status !== 0) throw new NoNativeCpu('gcc -m32 does not compile the capture program here.');
}

function writeX87(out: DataView, at: number, x: X87): void {
  out.setUint16(at, x.control, true);
  out.setUint16(at + 2, x.status, true);
  out.setUint8(at + 4, x.tags);
  new Uint8Array(out.buffer, out.byteOffset + at + 8, 80).set(x.st);
}

function encode(c: Case): Uint8Array {
  const patches = [{ address: linearEip(c), bytes: c.code }, ...c.patches];
  const bytes = new Uint8Array(REQUEST_BYTES + patches.reduce((n, p) => n + 8 + p.bytes.length, 8));
  const out = new DataView(bytes.buffer);
  c.regs.forEach((v, n) => out.setUint32(4 * n, v, true));
  // IF and the fixed bit are as ever.
  out.setUint32(EFLAGS, c.eflags | 0x202, true);
  out.setUint32(EIP, c.eip, true);
  SEGMENT_SETS[c.segments]!.forEach((v, n) => out.setUint16(SELECTORS + 2 * n, v, true));
  writeX87(out, X87_AT, c.x87 ?? INITIAL_X87);
  out.setUint32(STATE_BYTES, c.x87 ? 1 : 0, true);
  let at = REQUEST_BYTES;
  for (const p of patches) {
    out.setUint32(at, p.address, true);
    out.setUint32(at + 4, p.bytes.length, true);
    bytes.set(p.bytes, at + 8);
    at += 8 + p.bytes.length;
  }
  return bytes;
}

/** Linear address of a case's first byte. */
export function linearEip(c: Pick<Case, 'eip' | 'segments'>): number {
  return c.eip + codeBase(c.segments);
}
function codeBase(set: number): number {
  const selector = SEGMENT_SETS[set]![1]!;
  return SEGMENTS.find((s) => s.selector === selector)!.base;
}

function decodeOutcome(bytes: Uint8Array, at: number, changes: Patch[]): Outcome {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, RESPONSE_BYTES);
  const vector = view.getUint32(STATE_BYTES, true);
  const eip = view.getUint32(EIP, true);
  const x = new Uint8Array(bytes.subarray(at + ST_AT, at + ST_AT + 80));
  // Traps are reported behind the instruction. One-byte int3 and into are all that cases hold.
  const isTrap = vector === VECTOR.breakpoint || vector === VECTOR.overflow;
  return {
    regs: Array.from({ length: 8 }, (_, n) => view.getUint32(4 * n, true)),
    eflags: (view.getUint32(EFLAGS, true) & FLAGS) >>> 0,
    eip: isTrap ? (eip - 1) >>> 0 : eip,
    selectors: Array.from({ length: 6 }, (_, n) => view.getUint16(SELECTORS + 2 * n, true)),
    x87: {
      control: view.getUint16(X87_AT, true),
      status: view.getUint16(X87_AT + 2, true),
      tags: view.getUint8(X87_AT + 4),
      st: x,
    },
    vector,
    error: view.getUint32(STATE_BYTES + 4, true),
    cr2: vector === VECTOR.pageFault ? view.getUint32(STATE_BYTES + 8, true) : 0,
    changes,
  };
}

/** Splits the results' stream into outcomes; `before` gives the bytes that a case started with. */
function* parse(bytes: Uint8Array, cases: readonly Case[]): Generator<Outcome> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const base = background();
  let at = 0;
  for (const c of cases) {
    if (at + RESPONSE_BYTES > bytes.length) throw new CaptureFailed('the capture program ended early');
    const start = at;
    at += RESPONSE_BYTES;
    const words: Patch[] = [];
    for (;;) {
      const address = view.getUint32(at, true);
      const length = view.getUint32(at + 4, true);
      at += 8;
      if (length === 0) break;
      words.push({ address, bytes: new Uint8Array(bytes.subarray(at, at + length)) });
      at += length;
    }
    yield decodeOutcome(bytes, start, words.length === 0 ? words : trim(words, base, c));
  }
}

/** Changes come in words; leaves the bytes that differ. */
function trim(words: readonly Patch[], base: Uint8Array, c: Case): Patch[] {
  const before = initialImage(c, base);
  const changes: Patch[] = [];
  for (const { address, bytes } of words) {
    const offset = imageOffset(address);
    for (let i = 0; i < bytes.length; i++) {
      if (bytes[i] === before[offset + i]) continue;
      let end = i + 1;
      while (end < bytes.length && bytes[end] !== before[offset + end]) end++;
      changes.push({ address: address + i, bytes: bytes.slice(i, end) });
      i = end;
    }
  }
  return changes;
}

/** The window's bytes at the start of a case. */
export function initialImage(c: Case, base: Uint8Array): Uint8Array {
  const image = base.slice();
  image.set(c.code, imageOffset(linearEip(c)));
  for (const p of c.patches) image.set(p.bytes, imageOffset(p.address));
  return image;
}

class CaptureFailed extends Error {}

const STUCK: Outcome = {
  regs: new Array<number>(8).fill(0),
  eflags: 0,
  eip: 0,
  selectors: new Array<number>(6).fill(0),
  x87: INITIAL_X87,
  vector: VECTOR.stuck,
  error: 0,
  cr2: 0,
  changes: [],
};

export class NativeCpu {
  private constructor(private readonly folder: string) {}

  /**
   * Compiles the capture program and lets it run no case, for a kernel or hypervisor without 32-bit programs would make
   * each case one that does not end. Throws {@link NoNativeCpu}.
   */
  static async start(): Promise<NativeCpu> {
    const cpu = new NativeCpu(mkdtempSync(join(tmpdir(), 'judge-')));
    try {
      compile(cpu.folder);
      await cpu.pipe(background());
    } catch (error) {
      cpu.close();
      const cannotRun = error instanceof CaptureFailed || (error as NodeJS.ErrnoException).syscall;
      if (!cannotRun) throw error;
      throw new NoNativeCpu(
        `This machine does not run the 32-bit capture program: ${(error as Error).message}.`,
      );
    }
    return cpu;
  }

  /** Outcomes of the cases, in order. Cases that do not end have the vector 255. */
  async run(cases: readonly Case[]): Promise<Outcome[]> {
    const outcomes: Outcome[] = [];
    for (let at = 0; at < cases.length; at += BATCH) {
      const batch = cases.slice(at, at + BATCH);
      outcomes.push(...(await this.batch(batch)));
    }
    return outcomes;
  }

  /** A case can hit the capture program itself by a wild address; then it counts as one that does not end. */
  private async batch(cases: readonly Case[]): Promise<Outcome[]> {
    try {
      const bytes = await this.pipe(Buffer.concat([background(), ...cases.map(encode)]));
      return [...parse(bytes, cases)];
    } catch (error) {
      if (!(error instanceof CaptureFailed)) throw error;
      if (cases.length === 1) return [STUCK];
      const half = cases.length >> 1;
      return [...(await this.batch(cases.slice(0, half))), ...(await this.batch(cases.slice(half)))];
    }
  }

  private pipe(input: Uint8Array): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      const child = spawn(join(this.folder, 'capture'), { stdio: ['pipe', 'pipe', 'ignore'] });
      const parts: Buffer[] = [];
      child.stdout.on('data', (part: Buffer) => parts.push(part));
      child.on('error', reject);
      // A child that dies early is told of by its end.
      child.stdin.on('error', () => undefined);
      child.on('close', (code, signal) => {
        if (code === 0) resolve(new Uint8Array(Buffer.concat(parts)));
        else reject(new CaptureFailed(`the capture program ended with ${signal ?? `status ${code}`}`));
      });
      child.stdin.end(input);
    });
  }

  close(): void {
    rmSync(this.folder, { recursive: true });
  }
}

/** Name, family, model and stepping of this machine's processor. */
export function cpuName(): string {
  const info = readFileSync('/proc/cpuinfo', 'utf8');
  const field = (name: string): string => new RegExp(`^${name}\\s*: (.*)$`, 'm').exec(info)?.[1] ?? '?';
  const family = `family ${field('cpu family')}, model ${field('model')}, stepping ${field('stepping')}`;
  return `${field('vendor_id')} ${field('model name')}, ${family}`;
}

/**
 * x87 instructions against a real processor. A case is `control status tag-word ST0 ST1 … [m memory] [f flags] > result`,
 * all in hexadecimal: registers as sign-exponent.significand, the ones left out hold FILLER; memory without trailing
 * zeros. A result names what differs: `k=` ST(k), m memory, f ZF PF CF, a ax; `!` is a pending #MF.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { IMAGE_BYTES, runX87 } from './x87-fixture.js';

interface Vectors {
  readonly cpu: string;
  readonly ops: Record<string, { readonly code: string; readonly cases: readonly string[] }>;
}
interface Register {
  readonly m: bigint;
  readonly se: number;
}

function load(name: string): Vectors {
  return JSON.parse(readFileSync(join('test', 'vectors', `${name}.json`), 'utf8')) as Vectors;
}
function register(text: string): Register {
  const [se, m] = text.split('.');
  return { m: BigInt(`0x${m!}`), se: parseInt(se!, 16) };
}
const FILLER = Array.from({ length: 8 }, (_, k) => ({
  m: (1n << 63n) + BigInt(k) * 0x0101010101010101n,
  se: 0x3ff0 + k,
}));
/** Numbers of a sign as consecutive integers. */
function ordinal(r: Register): bigint {
  const v = (BigInt(r.se & 0x7fff) << 63n) + (r.m & ((1n << 63n) - 1n));
  return r.se & 0x8000 ? -v : v;
}
function near(a: Register, b: Register): boolean {
  if (a.m === b.m && a.se === b.se) return true;
  const d = ordinal(a) - ordinal(b);
  return d >= -1n && d <= 1n && (a.se & 0x7fff) !== 0x7fff && (b.se & 0x7fff) !== 0x7fff;
}

const FLAGS = 0x45;
const C1 = 0x200;

/** What is wrong with a case, in words; empty if nothing. */
function check(code: Uint8Array, text: string, tolerant: boolean): string {
  const [before, after] = text.split(' > ').map((part) => part.split(' ')) as [string[], string[]];
  const image = new Uint8Array(IMAGE_BYTES);
  const view = new DataView(image.buffer);
  [0, 4, 8].forEach((at, k) => view.setUint16(at, parseInt(before[k]!, 16), true));
  const registers = [...FILLER];
  const memory = new Uint8Array(16);
  let flags = 0;
  let st = 0;
  const fill = (hex: string): void => {
    memory.fill(0);
    memory.set(Buffer.from(hex, 'hex'));
  };
  for (const field of before.slice(3)) {
    if (field.startsWith('m')) fill(field.slice(1));
    else if (field.startsWith('f') && !field.includes('.')) flags = parseInt(field.slice(1), 16);
    else registers[st++] = register(field);
  }
  registers.forEach((r, k) => {
    view.setBigUint64(28 + 10 * k, r.m, true);
    view.setUint16(36 + 10 * k, r.se, true);
  });
  const got = runX87(code, image, memory, flags);
  if (after[0] === '!') return got.vector === 16 ? '' : `vector ${got.vector}, not 16`;
  if (got.vector !== -1) return `vector ${got.vector}`;

  const out = new DataView(got.image.buffer);
  const wrong: string[] = [];
  const differ = (what: string, a: number, b: number): void => {
    if (a !== b) wrong.push(`${what} ${a.toString(16)}, not ${b.toString(16)}`);
  };
  const status = parseInt(after[1]!, 16);
  const shift = (status >> 11) - (parseInt(before[1]!, 16) >> 11);
  const expected = registers.map((_, k) => registers[(k + shift) & 7]!);
  let expectedFlags: number | undefined;
  let ax = 0;
  for (const field of after.slice(3)) {
    if (field[1] === '=') expected[Number(field[0])] = register(field.slice(2));
    else if (field.startsWith('m')) fill(field.slice(1));
    else if (field.startsWith('f')) expectedFlags = parseInt(field.slice(1), 16);
    else ax = parseInt(field.slice(1), 16);
  }
  expected.forEach((e, k) => {
    const r = { m: out.getBigUint64(28 + 10 * k, true), se: out.getUint16(36 + 10 * k, true) };
    if (tolerant ? near(r, e) : r.m === e.m && r.se === e.se) return;
    wrong.push(
      `st${k} ${r.se.toString(16)}.${r.m.toString(16)}, not ${e.se.toString(16)}.${e.m.toString(16)}`,
    );
  });
  differ('control', out.getUint16(0, true), parseInt(after[0]!, 16));
  // Which way a transcendental result was rounded depends on its error.
  const mask = tolerant ? ~C1 : -1;
  differ('status', out.getUint16(4, true) & mask, status & mask);
  differ('tags', out.getUint16(8, true), parseInt(after[2]!, 16));
  if (expectedFlags !== undefined) differ('flags', got.flags & FLAGS, expectedFlags);
  differ('ax', got.ax, ax);
  if (Buffer.compare(got.memory, memory) !== 0) {
    wrong.push(`memory ${Buffer.from(got.memory).toString('hex')}`);
  }
  return wrong.join('; ');
}

describe.each([
  ['x87-exact', false],
  ['x87-transcendental', true],
])('%s', (file, tolerant) => {
  const { ops } = load(file);
  test.each(Object.keys(ops))('%s', (name) => {
    const { code, cases } = ops[name]!;
    const bytes = new Uint8Array(Buffer.from(code, 'hex'));
    for (const text of cases) {
      const wrong = check(bytes, text, tolerant);
      if (wrong) throw new Error(`${text}\n${wrong}`);
    }
  });
});

/** Says where an engine and the processor differ, apart from what the manual leaves open. */
import { decode } from '../../src/frontend-x86/decode.js';
import type { DecodedInstruction } from '../../src/frontend-x86/decoded-instruction.js';
import { disassemble } from '../../src/frontend-x86/disassemble.js';
import { formName } from '../../src/frontend-x86/forms.js';
import { undefinedFlags, undefinedResult } from '../../src/frontend-x86/lift/undefined-flags.js';
import { FLAGS, sameBytes, VECTOR, type Case, type Outcome, type Patch, type X87 } from './case.js';
import { background, imageOffset } from './layout.js';
import { initialImage } from './native.js';

const hex = (n: number): string => (n >>> 0).toString(16);
const hexBytes = (b: Uint8Array): string => Buffer.from(b).toString('hex');
const NAMES = ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'];
const SEGMENT_NAMES = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];
/** The fetch bit: only page tables with an execute-disable bit report it. */
const ERROR_FETCH = 0x10;
/**
 * Operations of several accesses, whose order is the model's own: a page fault in the middle names another of them,
 * earlier stores stay, and (AMD) earlier loads of popa too.
 */
const SEVERAL_ACCESSES = new Set([
  'pusha',
  'popa',
  'callf',
  'enter',
  'retf',
  'iret',
  'fnsave',
  'fnstenv',
  'frstor',
  'fldenv',
]);

/** x87 operations whose last bit, and so C1, is each processor's own. */
const TRANSCENDENTAL = new Set(['f2xm1', 'fyl2x', 'fyl2xp1', 'fpatan', 'fptan', 'fsin', 'fcos', 'fsincos']);
const C1 = 0x200;

export interface Masks {
  /** EFLAGS bits that are compared. */
  readonly flags: number;
  /** The destination is undefined. */
  readonly result: boolean;
  /** After a page fault, what depends on the order of the instruction's accesses is not compared. */
  readonly order: boolean;
  /** x87 registers may differ by one in the last place, and C1. */
  readonly lastPlace: boolean;
}

export function instructionOf(c: Case): DecodedInstruction {
  const insn = decode(c.code, 0, c.code.length, c.segments === 0);
  if (insn === 'more') throw new Error('a case with half an instruction');
  return insn;
}

/** What is not compared after the one instruction of a case. */
export function masksOf(c: Case): Masks {
  const insn = instructionOf(c);
  const last = insn.shown.at(-1);
  const counted = last?.kind === 'imm' ? (last.value as number) & 0xff : c.regs[1]! & 0xff;
  const bits = 8 * insn.operandSize;
  const undefinedBits = undefinedFlags(insn.op, counted, bits);
  return {
    flags: FLAGS & ~undefinedBits,
    result: undefinedResult(insn.op, counted, bits),
    order: SEVERAL_ACCESSES.has(insn.op),
    lastPlace: TRANSCENDENTAL.has(insn.op),
  };
}

/** The masks under which engines are compared with each other. */
export const EXACT: Masks = { flags: FLAGS, result: false, order: false, lastPlace: false };

function changedBytes(changes: readonly Patch[]): Map<number, number> {
  const out = new Map<number, number>();
  for (const p of changes) p.bytes.forEach((v, i) => out.set(p.address + i, v));
  return out;
}

/** Same sign and exponent, significands one apart at most (or equal in all). */
function nearlySame(a: Uint8Array, b: Uint8Array): boolean {
  const bits = (v: Uint8Array): bigint => {
    const view = new DataView(v.buffer, v.byteOffset, 10);
    return (BigInt(view.getUint16(8, true)) << 64n) | view.getBigUint64(0, true);
  };
  const distance = bits(a) - bits(b);
  return distance >= -1n && distance <= 1n;
}

function compareX87(expected: X87, actual: X87, lastPlace: boolean, out: string[]): void {
  const scalar = (name: 'control' | 'tags'): void => {
    if (expected[name] !== actual[name])
      out.push(`fpu ${name}: ${hex(expected[name])}, got ${hex(actual[name])}`);
  };
  scalar('control');
  if ((expected.status ^ actual.status) & (lastPlace ? ~C1 : -1)) {
    out.push(`fpu status: ${hex(expected.status)}, got ${hex(actual.status)}`);
  }
  scalar('tags');
  for (let i = 0; i < 8; i++) {
    const [a, b] = [expected.st.subarray(10 * i, 10 * i + 10), actual.st.subarray(10 * i, 10 * i + 10)];
    const text = (v: Uint8Array): string => hexBytes(v.slice().reverse()).replace(/^(....)/, '$1:');
    if (!sameBytes(a, b) && !(lastPlace && nearlySame(a, b))) out.push(`st${i}: ${text(a)}, got ${text(b)}`);
  }
}

/** Differences in words, none if the outcomes agree. */
export function differences(expected: Outcome, actual: Outcome, masks: Masks): string[] {
  const out: string[] = [];
  if (expected.vector !== actual.vector) out.push(`vector: ${expected.vector}, got ${actual.vector}`);
  if (expected.eip !== actual.eip) out.push(`eip: ${hex(expected.eip)}, got ${hex(actual.eip)}`);
  const bothFault = expected.vector === VECTOR.pageFault && actual.vector === VECTOR.pageFault;
  const skip = masks.result || (masks.order && bothFault);
  if ((expected.error ^ actual.error) & ~ERROR_FETCH && !skip)
    out.push(`error code: ${hex(expected.error)}, got ${hex(actual.error)}`);
  if (expected.cr2 !== actual.cr2 && !skip) out.push(`cr2: ${hex(expected.cr2)}, got ${hex(actual.cr2)}`);
  if (!skip) {
    expected.regs.forEach((v, n) => {
      if (v !== actual.regs[n]) out.push(`${NAMES[n]!}: ${hex(v)}, got ${hex(actual.regs[n]!)}`);
    });
  }
  expected.selectors.forEach((v, n) => {
    if (v !== actual.selectors[n])
      out.push(`${SEGMENT_NAMES[n]!}: ${hex(v)}, got ${hex(actual.selectors[n]!)}`);
  });
  if ((expected.eflags ^ actual.eflags) & masks.flags)
    out.push(
      `eflags: ${hex(expected.eflags & masks.flags)}, got ${hex(actual.eflags & masks.flags)} (compared: ${hex(masks.flags)})`,
    );
  if (!skip) {
    const [want, got] = [changedBytes(expected.changes), changedBytes(actual.changes)];
    const places = [...new Set([...want.keys(), ...got.keys()])].sort((a, b) => a - b);
    const wrong = places.filter((at) => want.get(at) !== got.get(at));
    if (wrong.length > 0) {
      const show = (m: Map<number, number>): string =>
        wrong
          .slice(0, 16)
          .map((at) => m.get(at)?.toString(16).padStart(2, '0') ?? '--')
          .join(' ');
      out.push(`memory from ${hex(wrong[0]!)} (${wrong.length} bytes): ${show(want)}, got ${show(got)}`);
    }
  }
  compareX87(expected.x87, actual.x87, masks.lastPlace, out);
  return out;
}

/** Everything about a case that went wrong, for people. */
export function describe(c: Case, lines: readonly string[]): string {
  const insn = instructionOf(c);
  const image = initialImage(c, background());
  const at = memoryAddress(insn, c);
  const regs = c.regs.map((v, n) => `${NAMES[n]!}=${hex(v)}`).join(' ');
  const x87 = c.x87
    ? `\n  fpu control=${hex(c.x87.control)} status=${hex(c.x87.status)} tags=${hex(c.x87.tags)} st0=${hexBytes(c.x87.st.slice(0, 10).reverse())} st1=${hexBytes(c.x87.st.slice(10, 20).reverse())}`
    : '';
  const offset = at === undefined ? -1 : imageOffset(at);
  const memory =
    at === undefined
      ? ''
      : `\n  [${hex(at)}]: ${offset < 0 ? 'not mapped' : hexBytes(image.subarray(offset, offset + 16))}`;
  return (
    `${formName(insn.form)}: ${hexBytes(c.code)}  ${disassemble(insn, c.eip)}  (at ${hex(c.eip)}, segments ${c.segments})\n` +
    `  ${regs} eflags=${hex(c.eflags)}${memory}${x87}\n` +
    lines.map((line) => `  expected ${line}`).join('\n')
  );
}

/** Offset of the memory operand at the start of a case. */
export function memoryAddress(insn: DecodedInstruction, c: Case): number | undefined {
  const o = insn.shown.find((x) => x.kind === 'mem');
  if (o?.kind !== 'mem') return undefined;
  const reg = (slot: number): number => (slot < 32 ? c.regs[slot >> 2]! : 0);
  const { base, index, scale, disp } = o.address;
  const v = (disp as number) + reg(base as number) + reg(index as number) * 2 ** (scale as number);
  return insn.variant.addressSize === 2 ? v & 0xffff : v >>> 0;
}

/** What the x87 vectors do not reach: #NM and #MF, faults in memory, the environment's layouts, the list of functions. */
import { GuestFault } from '../../ir/environment.js';
import { evaluateFunction } from '../../ir/evaluate.js';
import type { IrFunction, Op } from '../../ir/ir.js';
import * as S from '../cpu-state.js';
import { decode } from '../decode.js';
import type { Instruction } from '../instruction.js';
import { GUEST_BYTES, Machine } from './fixture.js';
import { INIT } from './x87-environment.js';
import { X87_FUNCTIONS, X87_LIFTS } from './x87.js';

const AT = { eip: 0 };
const OPERAND = 0x800;

function machine(): Machine {
  const m = new Machine();
  evaluateFunction(INIT, [], m, AT);
  m.set(S.ESI, OPERAND);
  return m;
}
function code(...bytes: number[]): Instruction {
  const i = decode(Uint8Array.from(bytes), 0, bytes.length, true);
  if (i === 'more') throw new Error('not a whole instruction');
  return i;
}
const FLD1 = code(0xd9, 0xe8);
const FLDZ = code(0xd9, 0xee);
const FLDPI = code(0xd9, 0xeb);
const FDIVP = code(0xde, 0xf9);
const FWAIT = code(0x9b);
const FNCLEX = code(0xdb, 0xe2);
const FSTP_M80 = code(0xdb, 0x3e);
const FLD_M80 = code(0xdb, 0x2e);
const FLD_M64 = code(0xdd, 0x06);
const FSTP_M64 = code(0xdd, 0x1e);
const FISTP_M64 = code(0xdf, 0x3e);
const FILD_M64 = code(0xdf, 0x2e);
const FNSTENV = code(0xd9, 0x36);
const FLDENV = code(0xd9, 0x26);
const FNSAVE = code(0xdd, 0x36);
const FRSTOR = code(0xdd, 0x26);
const FNSTENV_16 = code(0x66, 0xd9, 0x36);
const FLDENV_16 = code(0x66, 0xd9, 0x26);
const FNSTSW_AX = code(0xdf, 0xe0);

function vector(outcome: unknown): number | undefined {
  return outcome instanceof GuestFault ? outcome.vector : undefined;
}

test('#NM while TS is set, before anything else', () => {
  const m = machine();
  m.set(S.CR0_TS, 8);
  m.set(S.ESI, GUEST_BYTES);
  for (const i of [FLD1, FWAIT, FLD_M64, FNSTENV, FNCLEX, FNSTSW_AX, FSTP_M80]) {
    expect(vector(m.run(i))).toBe(7);
  }
  expect(m.get(S.FPU_TAGS)).toBe(0);
});

test('an unmasked exception is raised by the next waiting instruction only', () => {
  const m = machine();
  m.set(S.FPU_CONTROL, 0x37b); // zero divide unmasked
  expect(vector(m.run(FLD1, FLDZ, FDIVP))).toBeUndefined();
  expect(m.get(S.FPU_STATUS) & 0x80ff).toBe(0x8084);
  // Neither result nor pop.
  expect(m.get(S.FPU_TAGS)).toBe(0xc0);
  expect(vector(m.run(FWAIT))).toBe(16);
  expect(vector(m.run(FLDPI))).toBe(16);
  expect(vector(m.run(FNSTSW_AX))).toBeUndefined();
  expect(m.get(S.EAX) & 0xb8ff).toBe(0xb084);
  expect(vector(m.run(FNCLEX, FWAIT))).toBeUndefined();
  expect(m.get(S.FPU_STATUS) & 0x80ff).toBe(0);
});

test('a fault leaves stack, status and memory as they were', () => {
  const m = machine();
  m.run(FLDPI);
  const before = m.get(S.FPU_STATUS);
  m.readOnlyFrom = 0x1000;
  for (const [i, bytes] of [
    [FSTP_M80, 10],
    [FSTP_M64, 8],
    [FISTP_M64, 8],
    [FNSAVE, 108],
    [FNSTENV, 28],
  ] as const) {
    m.guest.setUint8(0xfff, 0x5a);
    m.set(S.ESI, 0x1000 - bytes + 1);
    expect(vector(m.run(i))).toBe(14);
    expect(m.get(S.FPU_TOP)).toBe(7);
    expect(m.get(S.FPU_TAGS)).toBe(0x80);
    expect(m.get(S.FPU_STATUS)).toBe(before);
    expect(m.get(S.FPU_CONTROL)).toBe(0x37f);
    expect(m.guest.getUint8(0xfff)).toBe(0x5a);
  }
  for (const [i, bytes] of [
    [FLD_M80, 10],
    [FLD_M64, 8],
    [FLDENV, 28],
    [FRSTOR, 108],
  ] as const) {
    m.set(S.ESI, GUEST_BYTES - bytes + 1);
    expect(vector(m.run(i))).toBe(14);
    expect(m.get(S.FPU_TOP)).toBe(7);
    expect(m.get(S.FPU_TAGS)).toBe(0x80);
    expect(m.get(S.FPU_CONTROL)).toBe(0x37f);
  }
});

test('fild and fistp carry every 64-bit integer', () => {
  const m = machine();
  for (const v of [
    0n,
    1n,
    -1n,
    0x7fff_ffff_ffff_ffffn,
    -(1n << 63n),
    0x0123_4567_89ab_cdefn,
    -0x1234_5678_9abc_def1n,
  ]) {
    m.guest.setBigInt64(OPERAND, v, true);
    m.run(FILD_M64);
    m.guest.setBigInt64(OPERAND, 0n, true);
    m.run(FISTP_M64);
    expect(m.guest.getBigInt64(OPERAND, true)).toBe(v);
  }
  expect(m.get(S.FPU_STATUS)).toBe(0);
});

test('the environment in memory, 32 and 16 bits wide', () => {
  const m = machine();
  m.set(S.FPU_CONTROL, 0x360);
  m.guest.setFloat64(OPERAND, 0, true);
  m.eip = 0x0123_4567;
  m.run(FLD_M64);
  m.run(FNSTENV);
  const words = Array.from({ length: 7 }, (_, k) => m.guest.getUint32(OPERAND + 4 * k, true));
  expect(words).toEqual([0xffff0360, 0xffff3800, 0xffff7fff, 0x0123_4567, 0x61, OPERAND, 0xffff0069]);
  expect(m.get(S.FPU_CONTROL)).toBe(0x37f);
  m.run(FNSTENV_16);
  const narrow = Array.from({ length: 7 }, (_, k) => m.guest.getUint16(OPERAND + 2 * k, true));
  expect(narrow).toEqual([0x37f, 0x3800, 0x7fff, 0x4567, 0x61, OPERAND, 0x69]);

  m.guest.setUint16(OPERAND, 0x27e, true);
  m.guest.setUint16(OPERAND + 2, 0x1801, true);
  m.guest.setUint16(OPERAND + 4, 0xff3f, true);
  m.run(FLDENV_16);
  expect(m.get(S.FPU_TOP)).toBe(3);
  expect(m.get(S.FPU_TAGS)).toBe(0x08);
  // Its invalid operation is not masked.
  expect(m.get(S.FPU_STATUS)).toBe(0x8081);
  expect(vector(m.run(FWAIT))).toBe(16);
});

test('fnsave initialises, frstor brings everything back', () => {
  const m = machine();
  m.run(FLDPI, FLD1);
  m.run(FNSAVE);
  expect(m.get(S.FPU_TAGS)).toBe(0);
  expect(m.get(S.FPU_CONTROL)).toBe(0x37f);
  expect(m.guest.getBigUint64(OPERAND + 38, true)).toBe(0xc90f_daa2_2168_c235n);
  m.run(FRSTOR);
  expect(m.get(S.FPU_TOP)).toBe(6);
  expect(m.get(S.FPU_TAGS)).toBe(0xc0);
  expect(m.control.getBigUint64(S.FPU_MANTISSA + 8 * 6, true)).toBe(1n << 63n);
  expect(m.control.getUint16(S.FPU_EXPONENT + 4 * 7, true)).toBe(0x4000);
});

test('every function that is called is listed before its callers', () => {
  const seen = new Set<IrFunction>();
  for (const f of X87_FUNCTIONS) {
    for (const op of f.body.ops as readonly Op[]) {
      if (op.name === 'call') expect([f.name, seen.has(op.imm as IrFunction)]).toEqual([f.name, true]);
    }
    expect(seen.has(f)).toBe(false);
    seen.add(f);
  }
  expect(new Set(X87_FUNCTIONS.map((f) => f.name)).size).toBe(X87_FUNCTIONS.length);
  expect(Object.keys(X87_LIFTS)).toContain('fsincos');
});

/** FXSAVE, FXRSTOR, LDMXCSR, STMXCSR (Intel SDM vol. 1, 10.5; layout: vol. 1, table 10-2). */
import { defineFunction } from '../../ir/builder.js';
import type { IrFunction } from '../../ir/ir.js';
import {
  CR0_TS,
  FPU_EXPONENT,
  FPU_LAST_CS,
  FPU_LAST_DATA,
  FPU_LAST_DS,
  FPU_LAST_EIP,
  FPU_LAST_OPCODE,
  FPU_MANTISSA,
  FPU_STATUS,
  FPU_TAGS,
  FPU_TOP,
  FPU_CONTROL,
  MXCSR,
  XMM,
} from '../cpu-state.js';
import type { Lifter, LiftTable } from './context.js';
import { Code, Int } from './x87-code.js';
import { putControl, statusWord } from './x87-environment.js';
import { mantissaOf, physical, seOf } from './x87-round.js';

const VECTOR_DEVICE_NOT_AVAILABLE = 7;
const VECTOR_GENERAL_PROTECTION = 13;
const AREA_BYTES = 512;
const REGISTERS = 8;
/** MXCSR bits that exist: flags, DAZ, masks, rounding, FZ. */
export const MXCSR_MASK = 0xffff;

// Offsets in the area.
const AT_CONTROL = 0;
const AT_STATUS = 2;
const AT_TAGS = 4;
const AT_OPCODE = 6;
const AT_EIP = 8;
const AT_CS = 12;
const AT_DATA = 16;
const AT_DS = 20;
const AT_MXCSR = 24;
const AT_MXCSR_MASK = 28;
const AT_ST = 32;
const AT_XMM = 160;

/** Runs `body` for 0..7. */
function eachRegister(c: Code, body: (n: Int) => void): void {
  const i = c.intVar(0);
  c.loop(() => {
    const n = i.get();
    body(n);
    const next = n.add(1);
    i.set(next);
    return next.lt(REGISTERS);
  });
}

const SAVE_AREA: IrFunction = defineFunction('fxsave', ['i32'], 'void', true, (b, address) => {
  const c = new Code(b);
  const at = new Int(c, address);
  b.probe(address, AREA_BYTES);
  const word = (offset: number, v: Int): void => b.st16(at.add(offset).v, v.v);
  const dword = (offset: number, v: Int): void => b.st32(at.add(offset).v, v.v);
  word(AT_CONTROL, c.get(FPU_CONTROL));
  word(AT_STATUS, statusWord(c));
  word(AT_TAGS, c.get(FPU_TAGS));
  word(AT_OPCODE, c.get(FPU_LAST_OPCODE));
  dword(AT_EIP, c.get(FPU_LAST_EIP));
  dword(AT_CS, c.get(FPU_LAST_CS));
  dword(AT_DATA, c.get(FPU_LAST_DATA));
  dword(AT_DS, c.get(FPU_LAST_DS));
  dword(AT_MXCSR, c.get(MXCSR));
  dword(AT_MXCSR_MASK, c.i(MXCSR_MASK));
  eachRegister(c, (n) => {
    const r = physical(c, n);
    const st = at.add(n.shl(4)).add(AT_ST);
    b.st64(st.v, mantissaOf(r).v);
    b.st64(st.add(8).v, seOf(r).long().v);
    const xmm = at.add(n.shl(4)).add(AT_XMM);
    b.st64(xmm.v, b.peek64(n.shl(4).v, XMM));
    b.st64(xmm.add(8).v, b.peek64(n.shl(4).v, XMM + 8));
  });
});

const RESTORE_AREA: IrFunction = defineFunction('fxrstor', ['i32'], 'void', true, (b, address) => {
  const c = new Code(b);
  const at = new Int(c, address);
  const word = (offset: number): Int => new Int(c, b.ld16(at.add(offset).v));
  const dword = (offset: number): Int => new Int(c, b.ld32(at.add(offset).v));
  // The area touches two pages at most: after its first and last byte no load faults.
  b.ld8(address);
  b.ld8(at.add(AREA_BYTES - 1).v);
  const mxcsr = dword(AT_MXCSR);
  b.if(mxcsr.and(~MXCSR_MASK).v, () => b.raise(VECTOR_GENERAL_PROTECTION, b.const32(0)));
  c.put(MXCSR, mxcsr);
  const status = word(AT_STATUS);
  c.put(FPU_STATUS, status.and(0xc7ff));
  c.put(FPU_TOP, status.shr(11).and(7));
  c.put(FPU_TAGS, word(AT_TAGS).and(0xff));
  c.put(FPU_LAST_OPCODE, word(AT_OPCODE).and(0x7ff));
  c.put(FPU_LAST_EIP, dword(AT_EIP));
  c.put(FPU_LAST_CS, dword(AT_CS).and(0xffff));
  c.put(FPU_LAST_DATA, dword(AT_DATA));
  c.put(FPU_LAST_DS, dword(AT_DS).and(0xffff));
  putControl(c, word(AT_CONTROL));
  eachRegister(c, (n) => {
    const r = physical(c, n);
    const st = at.add(n.shl(4)).add(AT_ST);
    b.poke64(r.shl(3).v, b.ld64(st.v), FPU_MANTISSA);
    b.poke32(r.shl(2).v, b.ld16(st.add(8).v), FPU_EXPONENT);
    const xmm = at.add(n.shl(4)).add(AT_XMM);
    b.poke64(n.shl(4).v, b.ld64(xmm.v), XMM);
    b.poke64(n.shl(4).v, b.ld64(xmm.add(8).v), XMM + 8);
  });
});

/** The IR functions of this file. */
export const FXSR_FUNCTIONS: readonly IrFunction[] = [SAVE_AREA, RESTORE_AREA];

function available(x: Lifter): void {
  x.b.if(x.b.get32(CR0_TS), () => x.b.raise(VECTOR_DEVICE_NOT_AVAILABLE, x.c(0)));
}

function area(f: IrFunction): LiftTable[string] {
  return (x, i) => {
    available(x);
    const o = i.operands[0]!;
    if (o.kind !== 'mem') throw new Error(`${i.op} without a memory operand`);
    const address = x.linear(o.address, AREA_BYTES, f === SAVE_AREA);
    x.b.if(x.andC(address, 15), () => x.b.raise(VECTOR_GENERAL_PROTECTION, x.c(0)));
    x.b.call(f, address);
  };
}

export const FXSR: LiftTable = {
  fxsave: area(SAVE_AREA),
  fxrstor: area(RESTORE_AREA),
  ldmxcsr: (x, i) => {
    available(x);
    const v = x.read(i.operands[0]!);
    x.b.if(x.andC(v, ~MXCSR_MASK), () => x.b.raise(VECTOR_GENERAL_PROTECTION, x.c(0)));
    x.b.put32(MXCSR, v);
  },
  stmxcsr: (x, i) => {
    available(x);
    x.write(i.operands[0]!, x.b.get32(MXCSR));
  },
};

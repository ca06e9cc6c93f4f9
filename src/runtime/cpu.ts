/** Typed access to the CPU state in control memory, for the Host, traces and tests. */
import * as S from '../frontend-x86/cpu-state.js';

/** Slot of the code segment's base. */
export const CODE_BASE = S.SEGMENT_BASE + 4 * S.CS;

const SEGMENTS = 6;
const STATUS = S.F_CF | S.F_PF | S.F_AF | S.F_ZF | S.F_SF | S.F_OF;

/** Even parity of the low byte (PF). */
function parity(byte: number): boolean {
  let b = byte & 0xff;
  b ^= b >> 4;
  b ^= b >> 2;
  b ^= b >> 1;
  return (b & 1) === 0;
}

export class CpuState {
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  constructor(readonly view: DataView) {
    this.i32 = new Int32Array(view.buffer, view.byteOffset, S.CPU_STATE_BYTES >> 2);
    this.u32 = new Uint32Array(view.buffer, view.byteOffset, S.CPU_STATE_BYTES >> 2);
  }
  /** General register 0..7, unsigned. */
  reg(n: number): number {
    return this.u32[(S.REG >> 2) + n]!;
  }
  setReg(n: number, value: number): void {
    this.u32[(S.REG >> 2) + n] = value;
  }
  /** The dword at a state slot, unsigned. */
  get(slot: number): number {
    return this.u32[slot >> 2]!;
  }
  set(slot: number, value: number): void {
    this.u32[slot >> 2] = value;
  }
  get eip(): number {
    return this.get(S.EIP);
  }
  set eip(value: number) {
    this.set(S.EIP, value);
  }
  selector(segment: number): number {
    return this.get(S.SELECTOR + 4 * segment);
  }
  /** Somebody else than an instruction has set segment registers: their next loads are looked at. */
  forgetLoadedSegments(): void {
    this.u32.fill(0, S.SEGMENT_LOADED >> 2, (S.SEGMENT_LOADED >> 2) + 2 * SEGMENTS);
  }
  /** EFLAGS as `pushf` shows it. */
  get eflags(): number {
    const result = this.i32[S.FLAG_RESULT >> 2]!;
    const aux = this.i32[S.FLAG_AUX >> 2]!;
    let f = this.get(S.FLAGS_SYSTEM) | 2;
    if (aux < 0) f |= S.F_CF;
    if (parity((result ^ (aux >> 8)) & 0xff)) f |= S.F_PF;
    if (aux & 8) f |= S.F_AF;
    if (result === 0) f |= S.F_ZF;
    if (((result >>> 31) ^ aux) & 1) f |= S.F_SF;
    if ((aux ^ (aux << 1)) < 0) f |= S.F_OF;
    if (this.i32[S.DIRECTION >> 2]! < 0) f |= S.F_DF;
    return f >>> 0;
  }
  /** Sets all flags as given. */
  set eflags(f: number) {
    // ZF wants a zero result; then SF and PF come from the corrections in FLAG_AUX.
    const result = f & S.F_ZF ? 0 : 1;
    const sf = f & S.F_SF ? 1 : 0;
    // parity(0) is even; parity(1) is odd: flip one bit where PF differs.
    const pfOfResult = result === 0;
    const flip = pfOfResult !== !!(f & S.F_PF) ? 1 : 0;
    const cf = f & S.F_CF ? 1 : 0;
    const of = f & S.F_OF ? 1 : 0;
    const aux = (cf << 31) | ((cf ^ of) << 30) | (flip << 8) | (f & S.F_AF ? 8 : 0) | sf;
    this.i32[S.FLAG_RESULT >> 2] = result;
    this.i32[S.FLAG_AUX >> 2] = aux;
    this.i32[S.DIRECTION >> 2] = f & S.F_DF ? -1 : 1;
    this.set(S.FLAGS_SYSTEM, f & ~(STATUS | S.F_DF | 2));
  }
}

/**
 * Bytes → `Instruction`, for 32-bit code segments (Intel SDM vol. 2, chapter 2). Every byte string decodes: what is
 * undefined becomes op `ud`, what is longer than 15 bytes op `too_long`.
 */
import { CS, DS, ES, FPU_MANTISSA, FS, GS, SS, XMM, ZERO } from './cpu-state.js';
import { DecodedInstruction } from './decoded-instruction.js';
import { AddressShape } from './instruction.js';
import { dispatchOf, ImmKind, RegKind, type DecodeRow } from './dispatch.js';
import {
  REGISTER,
  TOO_LONG,
  UNDEFINED,
  VARIANT_ADDRESS_16,
  VARIANT_REP,
  VARIANT_REPNE,
  VARIANT_SEGMENTED,
  VARIANT_SIZE_16,
  type Variant,
} from './forms.js';
import { MAX_INSTRUCTION } from './limits.js';

/** Prefix classes by byte: 0 none; 1..6 segment override (ES CS SS DS FS GS) + 1; the others. */
const PREFIX_66 = 7;
const PREFIX_67 = 8;
const PREFIX_LOCK = 9;
const PREFIX_F2 = 10;
const PREFIX_F3 = 11;
const PREFIX = new Uint8Array(256);
PREFIX[0x26] = 1 + ES;
PREFIX[0x2e] = 1 + CS;
PREFIX[0x36] = 1 + SS;
PREFIX[0x3e] = 1 + DS;
PREFIX[0x64] = 1 + FS;
PREFIX[0x65] = 1 + GS;
PREFIX[0x66] = PREFIX_66;
PREFIX[0x67] = PREFIX_67;
PREFIX[0xf0] = PREFIX_LOCK;
PREFIX[0xf2] = PREFIX_F2;
PREFIX[0xf3] = PREFIX_F3;

/** 16-bit base and index slots by modrm.rm (SDM vol. 2, table 2-1): bx+si bx+di bp+si bp+di si di bp bx. */
const BASE_16 = Uint8Array.of(12, 12, 20, 20, 24, 28, 20, 12);
const INDEX_16 = Uint8Array.of(24, 28, 24, 28, ZERO, ZERO, ZERO, ZERO);
const ESP_SLOT = 16;
const EBP_SLOT = 20;

function special(variant: Variant, length: number): DecodedInstruction {
  return new DecodedInstruction(variant, false, length, 0, 0, ZERO, ZERO, 0, 0, DS, 0, 0, 0);
}

function slotOf(kind: RegKind, number: number): number {
  switch (kind) {
    case RegKind.dword:
      return number << 2;
    case RegKind.byte:
      return ((number & 3) << 2) | (number >>> 2);
    case RegKind.mmx:
      return FPU_MANTISSA + 8 * number;
    case RegKind.xmm:
      return XMM + 16 * number;
  }
}

/**
 * Decodes the instruction at `bytes[at]`, of which `available` bytes (>= 0) may be looked at.
 * `flat`: all segments but FS and GS have base 0 and limit 4 GiB, and FS and GS limit 4 GiB.
 * 'more': the instruction goes on behind the available bytes. Never throws.
 */
export function decode(
  bytes: Uint8Array,
  at: number,
  available: number,
  flat: boolean,
): DecodedInstruction | 'more' {
  const limit = at + (available < MAX_INSTRUCTION ? available : MAX_INSTRUCTION);
  let p = at;
  let size16 = false;
  let address16 = false;
  let lock = false;
  let rep = 0; // 0, 1 F3, 2 F2: the last one counts
  let override = 0;
  let opcode = 0;

  for (;;) {
    if (p >= limit) return outOfBytes(available);
    opcode = bytes[p++]!;
    const prefix = PREFIX[opcode]!;
    if (prefix === 0) break;
    if (prefix < PREFIX_66) override = prefix;
    else if (prefix === PREFIX_66) size16 = true;
    else if (prefix === PREFIX_67) address16 = true;
    else if (prefix === PREFIX_LOCK) lock = true;
    else rep = prefix === PREFIX_F3 ? 1 : 2;
  }

  let map = 0;
  if (opcode === 0x0f) {
    if (p >= limit) return outOfBytes(available);
    opcode = bytes[p++]!;
    map = 1;
  }
  const prefixMap = rep !== 0 ? rep + 1 : size16 ? 1 : 0;
  const dispatch = dispatchOf(map, prefixMap, opcode);

  let row: DecodeRow | undefined;
  let shape: number = REGISTER;
  let rmNumber = 0;
  let regNumber = opcode & 7;
  let base = ZERO;
  let index = ZERO;
  let scale = 0;
  let disp = 0;
  let segment = DS;

  if (dispatch.hasModrm) {
    if (p >= limit) return outOfBytes(available);
    const modrm = bytes[p++]! | (dispatch.registerOnly ? 0xc0 : 0);
    rmNumber = modrm & 7;
    regNumber = (modrm >>> 3) & 7;
    if (modrm >= 0xc0) {
      row = dispatch.rows[8 + (modrm & 0x3f)];
    } else {
      row = dispatch.rows[regNumber];
      const mod = modrm >>> 6;
      let dispBytes = 0;
      if (address16) {
        shape = AddressShape.general16;
        if (mod === 0 && rmNumber === 6) {
          dispBytes = 2;
        } else {
          base = BASE_16[rmNumber]!;
          index = INDEX_16[rmNumber]!;
          dispBytes = mod;
          if (base === EBP_SLOT) segment = SS;
        }
      } else {
        dispBytes = mod === 1 ? 1 : mod === 2 ? 4 : 0;
        let baseNumber = rmNumber;
        shape = AddressShape.base;
        if (rmNumber === 4) {
          if (p >= limit) return outOfBytes(available);
          const sib = bytes[p++]!;
          baseNumber = sib & 7;
          const indexNumber = (sib >>> 3) & 7;
          if (indexNumber !== 4) {
            index = indexNumber << 2;
            scale = sib >>> 6;
            shape = AddressShape.indexed;
          }
        }
        if (baseNumber === 5 && mod === 0) {
          dispBytes = 4;
          if (shape === AddressShape.base) shape = AddressShape.absolute;
        } else {
          base = baseNumber << 2;
          if (base === ESP_SLOT || base === EBP_SLOT) segment = SS;
        }
      }
      if (dispBytes !== 0) {
        if (p + dispBytes > limit) return outOfBytes(available);
        if (dispBytes === 1) disp = (bytes[p]! << 24) >> 24;
        else if (dispBytes === 2) disp = ((bytes[p]! | (bytes[p + 1]! << 8)) << 16) >> 16;
        else disp = dword(bytes, p);
        p += dispBytes;
      }
    }
  } else {
    row = dispatch.rows[0];
  }
  if (row === undefined) return special(UNDEFINED, p - at);

  if (!row.sized) size16 = false;
  let imm = 0;
  let imm2 = 0;
  let target = 0;
  if (row.imm !== ImmKind.none) {
    let n: number;
    switch (row.imm) {
      case ImmKind.signedByte:
      case ImmKind.byte:
      case ImmKind.relativeByte:
        n = 1;
        break;
      case ImmKind.word:
        n = 2;
        break;
      case ImmKind.wordAndByte:
        n = 3;
        break;
      case ImmKind.far:
        n = size16 ? 4 : 6;
        break;
      case ImmKind.offset:
        n = address16 ? 2 : 4;
        break;
      default:
        n = size16 ? 2 : 4;
    }
    if (p + n > limit) return outOfBytes(available);
    switch (row.imm) {
      case ImmKind.signedByte:
        imm = (bytes[p]! << 24) >> 24;
        break;
      case ImmKind.byte:
        imm = bytes[p]!;
        break;
      case ImmKind.word:
        imm = bytes[p]! | (bytes[p + 1]! << 8);
        break;
      case ImmKind.wordAndByte:
        imm = bytes[p]! | (bytes[p + 1]! << 8);
        imm2 = bytes[p + 2]!;
        break;
      case ImmKind.full:
        imm = size16 ? ((bytes[p]! | (bytes[p + 1]! << 8)) << 16) >> 16 : dword(bytes, p);
        break;
      case ImmKind.relativeByte:
        target = ((bytes[p]! << 24) >> 24) + (p + 1 - at);
        break;
      case ImmKind.relativeFull:
        target = size16
          ? (((bytes[p]! | (bytes[p + 1]! << 8)) << 16) >> 16) + (p + 2 - at)
          : (dword(bytes, p) + (p + 4 - at)) | 0;
        break;
      case ImmKind.far:
        imm = size16 ? bytes[p]! | (bytes[p + 1]! << 8) : dword(bytes, p);
        imm2 = bytes[p + n - 2]! | (bytes[p + n - 1]! << 8);
        break;
      case ImmKind.offset:
        disp = address16 ? bytes[p]! | (bytes[p + 1]! << 8) : dword(bytes, p);
        shape = address16 ? AddressShape.general16 : AddressShape.absolute;
        break;
    }
    p += n;
  }

  const length = p - at;
  if (lock && !(row.lockable && shape !== REGISTER)) return special(UNDEFINED, length);

  let bits = size16 ? VARIANT_SIZE_16 : 0;
  if (shape !== REGISTER) {
    if (!row.noSegment) {
      if (override !== 0) segment = override - 1;
      if (shape !== AddressShape.general16) {
        // FS and GS have a base; a store through CS faults, so it never takes the flat way.
        if (!flat || segment === CS) shape = AddressShape.general;
        else if (segment >= FS) shape = row.rare ? AddressShape.general : AddressShape.fsgs;
        else if (row.rare) shape = AddressShape.indexed;
      }
    }
  } else if (row.string) {
    if (override !== 0 && !row.destinationOnly) segment = override - 1;
    if (address16) bits |= VARIANT_ADDRESS_16 | VARIANT_SEGMENTED;
    else if (!flat || segment >= FS || segment === CS) bits |= VARIANT_SEGMENTED;
    if (rep !== 0 && row.rep !== 0) bits |= row.rep === 2 && rep === 2 ? VARIANT_REPNE : VARIANT_REP;
  } else if (row.address && address16) {
    bits |= VARIANT_ADDRESS_16;
  }
  if (row.stack && !flat) bits |= VARIANT_SEGMENTED;

  return new DecodedInstruction(
    row.variants[shape | bits]!,
    lock,
    length,
    slotOf(row.rmKind, rmNumber),
    slotOf(row.regKind, regNumber),
    base,
    index,
    scale,
    disp,
    segment,
    imm,
    imm2,
    target,
  );
}

function dword(bytes: Uint8Array, p: number): number {
  return bytes[p]! | (bytes[p + 1]! << 8) | (bytes[p + 2]! << 16) | (bytes[p + 3]! << 24);
}

/** Behind 15 bytes the processor does not fetch any more. */
function outOfBytes(available: number): DecodedInstruction | 'more' {
  return available >= MAX_INSTRUCTION ? special(TOO_LONG, MAX_INSTRUCTION) : 'more';
}

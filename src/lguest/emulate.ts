/**
 * Privileged instructions that a guest kernel executes although nothing replaced them: probing drivers read and write
 * ports, and some code says `cli`. They raise #GP with error code 0 at level 1.
 */
import * as S from '../frontend-x86/cpu-state.js';
import type { Engine } from '../runtime/engine.js';
import { GUEST_PL } from '../runtime/guest-kernel.js';
import type { GuestAbi } from './abi/abi.js';

/** Port space as a device bus sees it; without one, reads give all ones and writes have no effect. */
export interface Ports {
  /** `bytes` 1, 2 or 4; the value's low bytes count. */
  read(port: number, bytes: number): number;
  write(port: number, bytes: number, value: number): void;
}

const OPERAND_SIZE_PREFIX = 0x66;
const CLI = 0xfa;
/** `in`/`out` opcodes: bit 0 operand wider than a byte, bit 1 out, bit 3 port in dx. */
const IN_OUT = 0xe4;
const IN_OUT_MASK = 0xf4;
const WIDE = 1;
const OUT = 2;
const PORT_IN_DX = 8;

/** The code byte at eip + `offset`, or -1 if it is not mapped. */
function codeByte(engine: Engine, offset: number): number {
  const { cpu } = engine;
  const address = (cpu.get(S.SEGMENT_BASE + 4 * S.CS) + cpu.eip + offset) >>> 0;
  const physical = engine.mmu.translate(address, false, false);
  return physical < 0 || !engine.memory.contains(physical, 1) ? -1 : engine.memory.read8(physical);
}

/**
 * Emulates the instruction at eip and steps over it. Returns false, with nothing changed, if it is none of those: the
 * #GP is the guest's then.
 */
export function emulate(engine: Engine, abi: GuestAbi, ports: Ports | undefined): boolean {
  const { cpu } = engine;
  if ((cpu.selector(S.CS) & 3) !== GUEST_PL) return false;
  let length = 0;
  let opcode = codeByte(engine, length++);
  let wide = 4;
  if (opcode === OPERAND_SIZE_PREFIX) {
    wide = 2;
    opcode = codeByte(engine, length++);
  }
  if (opcode === CLI) {
    if (!abi.emulatesCli || wide === 2) return false;
  } else if (opcode >= 0 && (opcode & IN_OUT_MASK) === IN_OUT) {
    let port = cpu.reg(2) & 0xffff;
    if ((opcode & PORT_IN_DX) === 0) {
      port = codeByte(engine, length++);
      if (port < 0) return false;
    }
    const bytes = opcode & WIDE ? wide : 1;
    if (opcode & OUT) ports?.write(port, bytes, cpu.reg(0));
    else readPort(engine, abi, ports, port, bytes);
  } else {
    return false;
  }
  cpu.eip = (cpu.eip + length) >>> 0;
  return true;
}

function readPort(
  engine: Engine,
  abi: GuestAbi,
  ports: Ports | undefined,
  port: number,
  bytes: number,
): void {
  const { cpu } = engine;
  const value = ports === undefined ? 0xffffffff : ports.read(port, bytes);
  // Without a bus behind it, some Hosts gave a byte read the width of a word.
  const bits = bytes === 1 && ports === undefined ? abi.inByteBits : 8 * bytes;
  const mask = bits === 32 ? 0xffffffff : (1 << bits) - 1;
  cpu.setReg(0, ((cpu.reg(0) & ~mask) | (value & mask)) >>> 0);
}

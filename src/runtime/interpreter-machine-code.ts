/** Files with the machine code that V8 made of the interpreter when the package was built, one for each size of the data TLB. */
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { DataTlb } from '../backend-wasm/data-tlb.js';
import { UNFINISHED, writeWhole } from './whole-file.js';

const DIGEST_BYTES = 32;

/** Name of the file for machines with this TLB. */
export function machineCodeFile({ ramEnd }: DataTlb): string {
  return `interpreter-${(ramEnd >>> 0) / 2 ** 20}.v8`;
}

/** Whether a file has such a name, or is one that was not finished. */
export function isMachineCodeFile(name: string): boolean {
  return new RegExp(`^interpreter-\\d+[.]v8(${UNFINISHED})?$`).test(name);
}

/** What machine code belongs to, and it: V8 would run anything. */
function digest(wasm: Uint8Array, machineCode: Uint8Array): Buffer {
  const { version, versions, platform, arch } = process;
  return createHash('sha256')
    .update([version, versions.v8, platform, arch, wasm.length].join())
    .update(wasm)
    .update(machineCode)
    .digest();
}

/** Writes the machine code of the module with these bytes. Throws what `node:fs` throws. */
export function writeMachineCode(path: string, wasm: Uint8Array, machineCode: Uint8Array): void {
  writeWhole(path, Buffer.concat([digest(wasm, machineCode), machineCode]));
}

/** Reads the machine code of the module with these bytes; undefined if there is none that is whole and of this very module. */
export function readMachineCode(path: string, wasm: Uint8Array): Uint8Array | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    // V8 compiles it, then.
    return undefined;
  }
  try {
    const written = new Uint8Array(DIGEST_BYTES);
    const machineCode = new Uint8Array(Math.max(0, fstatSync(fd).size - DIGEST_BYTES));
    readSync(fd, written);
    readSync(fd, machineCode);
    return digest(wasm, machineCode).equals(written) ? machineCode : undefined;
  } finally {
    closeSync(fd);
  }
}

/** The one WebAssembly memory of a machine: control memory and guest RAM (see `backend-wasm/memory-layout.ts`). */
import { type DataTlb, dataTlbFor } from '../backend-wasm/data-tlb.js';
import * as L from '../backend-wasm/memory-layout.js';
import { BadPhysicalAddress, type GuestMemory } from './guest-memory.js';
import { PAGE } from '../frontend-x86/limits.js';

const WASM_PAGE = 65536;
/** Most guest RAM, in bytes. */
export const MAX_RAM_BYTES = 0x80000000;

export class MachineMemory implements GuestMemory {
  readonly wasm: WebAssembly.Memory;
  readonly data: DataView;
  readonly u8: Uint8Array;
  readonly i32: Int32Array;
  /** Called for written guest-physical bytes on pages that hold code. */
  onCodeWritten: (address: number, length: number) => void = () => {};
  readonly limitBytes: number;
  /** What its data TLBs are like. */
  readonly dataTlb: DataTlb;

  /** `ramBytes`: 4096 .. 2 GiB, a multiple of 4096; `devicePages`: 4-KiB pages above RAM. */
  constructor(
    readonly ramBytes: number,
    devicePages: number,
  ) {
    if (ramBytes % PAGE !== 0 || ramBytes < PAGE || ramBytes > MAX_RAM_BYTES) {
      throw new RangeError(`guest RAM of ${ramBytes} bytes`);
    }
    this.limitBytes = ramBytes + devicePages * PAGE;
    this.dataTlb = dataTlbFor(ramBytes);
    const pages = Math.ceil((L.RAM + this.limitBytes) / WASM_PAGE);
    this.wasm = new WebAssembly.Memory({ initial: pages, maximum: pages });
    this.data = new DataView(this.wasm.buffer);
    this.u8 = new Uint8Array(this.wasm.buffer);
    this.i32 = new Int32Array(this.wasm.buffer);
  }

  contains(address: number, length: number): boolean {
    return (
      Number.isInteger(address) &&
      Number.isInteger(length) &&
      address >= 0 &&
      length >= 0 &&
      address + length <= this.limitBytes
    );
  }
  private at(address: number, length: number): number {
    if (!this.contains(address, length)) throw new BadPhysicalAddress(address, length);
    return L.RAM + address;
  }
  read8(address: number): number {
    return this.u8[this.at(address, 1)]!;
  }
  read16(address: number): number {
    return this.data.getUint16(this.at(address, 2), true);
  }
  read32(address: number): number {
    return this.data.getUint32(this.at(address, 4), true);
  }
  write8(address: number, value: number): void {
    this.u8[this.at(address, 1)] = value;
    this.written(address, 1);
  }
  write16(address: number, value: number): void {
    this.data.setUint16(this.at(address, 2), value, true);
    this.written(address, 2);
  }
  write32(address: number, value: number): void {
    this.data.setUint32(this.at(address, 4), value, true);
    this.written(address, 4);
  }
  view(address: number, length: number): Uint8Array {
    const at = this.at(address, length);
    return this.u8.subarray(at, at + length);
  }
  write(address: number, bytes: Uint8Array): void {
    this.u8.set(bytes, this.at(address, bytes.length));
    this.written(address, bytes.length);
  }
  writable(address: number, length: number): Uint8Array {
    return this.view(address, length);
  }
  written(address: number, length: number): void {
    if (length === 0) return;
    const last = (address + length - 1) >>> 12;
    for (let pfn = address >>> 12; pfn <= last; pfn++) {
      if (this.u8[L.PAGE_FLAGS + pfn]! & L.PAGE_HAS_CODE) {
        const from = Math.max(address, pfn * PAGE);
        const to = Math.min(address + length, (pfn + 1) * PAGE);
        this.onCodeWritten(from, to - from);
      }
    }
  }
}

/** A small machine to execute IR in, for tests. */
import { GuestFault, type Environment } from '../environment.js';
import { evaluate, type Outcome } from '../evaluate.js';
import type { Block } from '../ir.js';

const CONTROL_BYTES = 1024;
/** Guest memory: bytes below `READ_ONLY` can be written, below `GUEST_BYTES` read; the rest faults. */
const GUEST_BYTES = 4096;
const READ_ONLY = 3500;

export class Fixture implements Environment {
  readonly control = new DataView(new ArrayBuffer(CONTROL_BYTES));
  readonly guest = new DataView(new ArrayBuffer(GUEST_BYTES));
  /** Every charge and completed instruction in order. */
  readonly log: string[] = [];

  /** Fills both memories with a pattern that the seed gives. */
  constructor(seed = 0) {
    if (seed === 0) return;
    let x = seed | 1;
    for (const view of [this.control, this.guest]) {
      for (let i = 0; i < view.byteLength; i += 4) {
        x ^= x << 13;
        x ^= x >>> 17;
        x ^= x << 5;
        view.setInt32(i, x, true);
      }
    }
  }

  private check(address: number, bytes: number, write: boolean): void {
    if (address + bytes > (write ? READ_ONLY : GUEST_BYTES)) throw new GuestFault(14, write ? 2 : 0);
  }
  load(address: number, bytes: 1 | 2 | 4, forWrite: boolean): number {
    this.check(address, bytes, forWrite);
    if (bytes === 1) return this.guest.getUint8(address);
    return bytes === 2 ? this.guest.getUint16(address, true) : this.guest.getUint32(address, true);
  }
  load64(address: number, forWrite: boolean): bigint {
    this.check(address, 8, forWrite);
    return this.guest.getBigUint64(address, true);
  }
  store(address: number, bytes: 1 | 2 | 4, value: number): void {
    this.check(address, bytes, true);
    if (bytes === 1) this.guest.setUint8(address, value);
    else if (bytes === 2) this.guest.setUint16(address, value, true);
    else this.guest.setInt32(address, value, true);
  }
  store64(address: number, value: bigint): void {
    this.check(address, 8, true);
    this.guest.setBigUint64(address, value, true);
  }
  probe(address: number, bytes: number): void {
    this.check(address, bytes, true);
  }
  clock(): bigint {
    return 0x1_0000_0007n;
  }
  fuel(): number {
    return 5;
  }
  charge(instructions: number): void {
    this.log.push(`charge ${instructions}`);
  }
  completed(): void {
    this.log.push('completed');
  }
}

/** Everything that an execution can be seen to have done. */
export interface Trace {
  readonly outcome: Outcome | { readonly kind: 'fault'; readonly vector: number; readonly errorCode: number };
  /** Of the instruction that ran last. */
  readonly eip: number;
  /** Memories as lines of 16 bytes. */
  readonly control: readonly string[];
  readonly guest: readonly string[];
  readonly log: readonly string[];
}

/** Runs a block in a fixture of the seed, from eip 0x1000 on. Errors that are not guest faults pass through. */
export function traceOf(block: Block, seed: number): Trace {
  const env = new Fixture(seed);
  const at = { eip: 0x1000 };
  let outcome: Trace['outcome'];
  try {
    outcome = evaluate(block, env, at);
  } catch (e) {
    if (!(e instanceof GuestFault)) throw e;
    outcome = { kind: 'fault', vector: e.vector, errorCode: e.errorCode };
  }
  const hex = (view: DataView): string[] =>
    Buffer.from(view.buffer)
      .toString('hex')
      .match(/.{1,32}/g) ?? [];
  return { outcome, eip: at.eip, control: hex(env.control), guest: hex(env.guest), log: env.log };
}

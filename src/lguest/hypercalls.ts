/** Hypercalls: what each one does, and the ring in which a guest leaves those that can wait. */
import * as S from '../frontend-x86/cpu-state.js';
import type { GuestAbi, HypercallName } from './abi/abi.js';
import type { Host } from './core.js';
import { GuestDeath, hex } from './death.js';

type Handler = (host: Host, a1: number, a2: number, a3: number, a4: number) => void;

/** One handler per name. Arguments are unsigned 32-bit numbers; each is checked where it is used, once. */
const HANDLERS: Readonly<Record<Exclude<HypercallName, 'LGUEST_INIT'>, Handler>> = {
  // Its one effect, to drain the ring, comes before it.
  FLUSH_ASYNC: () => undefined,
  // Likewise: interrupts are looked at after every hypercall.
  SEND_INTERRUPTS: () => undefined,
  SHUTDOWN: (host, address, kind) => host.shutDown(lastWords(host, address, kind), kind),
  CRASH: (host, address) => host.shutDown(hostString(host, address, SHUTDOWN_BYTES), SHUTDOWN_POWER_OFF),
  LOAD_GDT: (host, address, entries) => host.segments.loadTable(address, entries),
  LOAD_GDT_ENTRY: (host, index, low, high) => host.segments.loadEntry(index, low, high),
  LOAD_TLS: (host, address) => host.segments.loadTls(address),
  LOAD_IDT_ENTRY: (host, index, low, high) => host.traps.loadIdtEntry(index, low, high),
  SET_STACK: (host, selector, pointer, pages) => host.traps.setStack(selector, pointer, pages),
  TS: (host, set) => host.setTaskSwitched(set !== 0),
  SET_CLOCKEVENT: (host, delta) => host.setClockEvent(delta),
  HALT: (host) => host.traps.halt(),
  NEW_PGTABLE: (host, root) => host.pageTables.newPageTable(root),
  FLUSH_TLB: (host, everything) => host.pageTables.flush(everything !== 0),
  SET_PTE: (host, root, address) => host.pageTables.setPte(root, address),
  SET_PGD: (host, root, index) => host.pageTables.setPgd(root, index),
  SET_PMD: (host) => host.pageTables.setPmd(),
  NOTIFY: (host, address) => notify(host, address),
};

/** What the engine may perform by itself (`runtime/direct-hypercalls.ts`), and where it finds the guest's numbers of these. */
const PERFORMED_BY_ENGINE: readonly (readonly [name: HypercallName, slot: number])[] = [
  ['FLUSH_ASYNC', S.FLUSH_ASYNC_NUMBER],
  ['SET_PTE', S.SET_PTE_NUMBER],
  ['SET_PGD', S.SET_PGD_NUMBER],
  ['NEW_PGTABLE', S.NEW_PGTABLE_NUMBER],
  ['SET_STACK', S.SET_STACK_NUMBER],
  ['LOAD_TLS', S.LOAD_TLS_NUMBER],
  ['FLUSH_TLB', S.FLUSH_TLB_NUMBER],
];

const SHUTDOWN_POWER_OFF = 1;
const SHUTDOWN_RESTART = 2;
const SHUTDOWN_BYTES = 128;
/** Early console: Linux sends 16 characters at a time, others may send more. */
const CONSOLE_BYTES = 4096;

/** A string of the guest, ended by NUL, by the end of guest memory or after `limit` bytes. Bytes are characters. */
function hostString(host: Host, address: number, limit: number): string {
  const { memory } = host.engine;
  if (!memory.contains(address, 1)) {
    throw new GuestDeath(`string at ${hex(address)} is outside guest memory`, host.engine.cpu.eip);
  }
  const bytes = memory.view(address, Math.min(limit, memory.limitBytes - address));
  let text = '';
  for (const byte of bytes) {
    if (byte === 0) break;
    text += String.fromCharCode(byte);
  }
  return text;
}

/** The string of a SHUTDOWN. Linux restarts with the "physical" address of a null pointer, and is restarted. */
function lastWords(host: Host, address: number, kind: number): string {
  if (kind === SHUTDOWN_RESTART && !host.engine.memory.contains(address, 1)) return '';
  return hostString(host, address, SHUTDOWN_BYTES);
}

/** A device bus that knows the address takes the NOTIFY; else the address is that of a string to print. */
function notify(host: Host, address: number): void {
  if (host.notifyDevice(address)) return;
  const text = hostString(host, address, CONSOLE_BYTES);
  host.options.onEarlyConsole?.(text);
}

export class Hypercalls {
  /** Calls by number that were executed here: made directly, and through the ring. */
  private readonly direct = new Float64Array(S.HYPERCALL_NUMBERS);
  private readonly ring = new Float64Array(S.HYPERCALL_NUMBERS);

  private readonly handlers: (Handler | undefined)[] = new Array<Handler | undefined>(
    S.HYPERCALL_NUMBERS,
  ).fill(undefined);
  private abi: GuestAbi | undefined = undefined;
  /** Guest-physical address of lguest_data. */
  private data = 0;
  constructor(private readonly host: Host) {}

  /** The hypercall that the guest's registers ask for. */
  execute(): void {
    const { host } = this;
    const { cpu } = host.engine;
    const number = cpu.reg(0);
    if (this.abi === undefined) {
      if (number !== 1) {
        throw new GuestDeath(`hypercall ${number} before LGUEST_INIT`, cpu.eip);
      }
      this.direct[1]!++;
      this.initialize();
      return;
    }
    this.drainRing(this.abi);
    if (host.isShutDown) return;
    const registers = this.abi.argumentRegisters;
    const last = registers[3];
    this.dispatch(
      this.direct,
      number,
      cpu.reg(registers[0]),
      cpu.reg(registers[1]),
      cpu.reg(registers[2]),
      last < 0 ? 0 : cpu.reg(last),
    );
  }

  /** LGUEST_INIT: whose ABI this is, and where the shared page stands. */
  private initialize(): void {
    const abi = this.host.initialize();
    this.abi = abi;
    this.data = this.host.data.address;
    for (const [number, name] of Object.entries(abi.hypercalls)) {
      this.handlers[Number(number)] = name === 'LGUEST_INIT' ? alreadyInitialized : HANDLERS[name];
    }
    this.tellEngine(abi);
  }

  /** What the engine has to know for direct hypercalls. */
  private tellEngine(abi: GuestAbi): void {
    const { cpu } = this.host.engine;
    for (const [name, slot] of PERFORMED_BY_ENGINE) cpu.set(slot, this.numberOf(name));
    cpu.set(S.HYPERCALL_ARGUMENT_1, 4 * abi.argumentRegisters[0]);
    cpu.set(S.HYPERCALL_ARGUMENT_2, 4 * abi.argumentRegisters[1]);
    cpu.set(S.HYPERCALL_ARGUMENT_3, 4 * abi.argumentRegisters[2]);
    cpu.set(S.RING_STATUS, this.data + abi.data.hcallStatus);
    cpu.set(S.RING_ENTRIES, this.data + abi.data.hcalls);
    cpu.set(S.RING_ENTRY_BYTES, abi.ringEntryBytes);
    cpu.set(S.RING_NUMBER, abi.ringOffsets[0]);
    cpu.set(S.RING_ARGUMENT_1, abi.ringOffsets[1]);
    cpu.set(S.RING_ARGUMENT_2, abi.ringOffsets[2]);
    cpu.set(S.RING_ARGUMENT_3, abi.ringOffsets[3]);
  }

  private numberOf(name: HypercallName): number {
    const found = Object.entries(this.host.abi.hypercalls).find(([, known]) => known === name);
    if (found === undefined) throw new Error(`the ABI ${this.host.abi.name} has no ${name}`);
    return Number(found[0]);
  }

  /** Calls so far by number: made directly, and through the ring; those that the engine performed included. */
  get counts(): { direct: readonly number[]; ring: readonly number[] } {
    const { cpu } = this.host.engine;
    return {
      direct: Array.from(this.direct, (count, number) => count + cpu.get(S.DIRECT_CALLS + 4 * number)),
      ring: Array.from(this.ring, (count, number) => count + cpu.get(S.RING_CALLS + 4 * number)),
    };
  }

  /**
   * Performs what stands in the ring, in order, at most one turn of it. Status and entry are read afresh, and the entry
   * is copied before it is judged. Devices act at once here, so that a NOTIFY is no reason to stop early.
   */
  private drainRing(abi: GuestAbi): void {
    const { memory, cpu } = this.host.engine;
    const statuses = this.data + abi.data.hcallStatus;
    const entries = this.data + abi.data.hcalls;
    const offsets = abi.ringOffsets;
    const begun = cpu.get(S.RING_TURN);
    cpu.set(S.RING_TURN, 0);
    for (let i = begun; i < S.RING_SIZE; i++) {
      const at = cpu.get(S.RING_NEXT);
      if (memory.read8(statuses + at) === S.RING_FREE) return;
      const entry = entries + at * abi.ringEntryBytes;
      const number = memory.read32(entry + offsets[0]);
      const a1 = memory.read32(entry + offsets[1]);
      const a2 = memory.read32(entry + offsets[2]);
      const a3 = memory.read32(entry + offsets[3]);
      const a4 = offsets[4] < 0 ? 0 : memory.read32(entry + offsets[4]);
      cpu.set(S.RING_NEXT, (at + 1) % S.RING_SIZE);
      this.dispatch(this.ring, number, a1, a2, a3, a4);
      memory.write8(statuses + at, S.RING_FREE);
      if (this.host.isShutDown) return;
    }
  }

  private dispatch(
    counters: Float64Array,
    number: number,
    a1: number,
    a2: number,
    a3: number,
    a4: number,
  ): void {
    const handler = number < S.HYPERCALL_NUMBERS ? this.handlers[number] : undefined;
    if (handler === undefined) {
      throw new GuestDeath(`unknown hypercall ${number}`, this.host.engine.cpu.eip);
    }
    counters[number]!++;
    handler(this.host, a1, a2, a3, a4);
  }
}

function alreadyInitialized(host: Host): void {
  throw new GuestDeath('LGUEST_INIT a second time', host.engine.cpu.eip);
}

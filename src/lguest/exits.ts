/** Serves what the engine stops for: faults, software interrupts, hypercalls, what only a kernel may do. */
import * as S from '../frontend-x86/cpu-state.js';
import { LEAVE } from '../frontend-x86/leave.js';
import type { CpuState } from '../runtime/cpu.js';
import { describeBadPageTable, type Engine } from '../runtime/engine.js';
import { GUEST_PL } from '../runtime/guest-kernel.js';
import type { Host } from './core.js';
import { GuestDeath, hex } from './death.js';
import { emulate } from './emulate.js';
import { type InterruptsAndTraps, VECTOR_GP, VECTOR_PF, VECTOR_UD } from './interrupts-and-traps.js';

/** What follows an exit of the engine, and how many there were. */
export class Exits {
  private readonly engine: Engine;
  private readonly cpu: CpuState;
  private readonly traps: InterruptsAndTraps;
  private emulated = 0;
  /** How often the engine left for each reason (LEAVE). */
  private readonly counts = new Float64Array(Object.keys(LEAVE).length);

  constructor(private readonly host: Host) {
    this.engine = host.engine;
    this.cpu = host.engine.cpu;
    this.traps = host.traps;
  }

  /** The engine left for this reason. */
  count(reason: number): void {
    this.counts[reason]!++;
  }

  /** Serves what the engine stopped for. Interrupts are looked at afterwards. */
  serve(reason: number): void {
    const { engine, cpu, traps } = this;
    traps.lookNow = true;
    switch (reason) {
      case LEAVE.fault:
        this.fault(cpu.get(S.EXIT_DETAIL), cpu.get(S.EXIT_ERROR));
        return;
      case LEAVE.int: {
        const vector = cpu.get(S.EXIT_DETAIL) & 0xff;
        if (vector === S.HYPERCALL_VECTOR) {
          if (traps.mayMakeHypercall()) this.hypercall();
        } else if (traps.softwareInterrupt(vector, cpu.get(S.EXIT_NEXT))) {
          engine.instructions++;
        }
        return;
      }
      case LEAVE.trap:
        if (traps.softwareInterrupt(cpu.get(S.EXIT_DETAIL) & 0xff, cpu.get(S.EXIT_NEXT)))
          engine.instructions++;
        return;
      case LEAVE.icebp:
        cpu.eip = cpu.get(S.EXIT_NEXT);
        engine.instructions++;
        traps.deliverDebugTrap(false);
        return;
      case LEAVE.vmcall:
        if (cpu.get(S.CPL) === GUEST_PL && (this.host.knownAbi?.vmcall ?? true)) {
          this.hypercall();
        } else {
          traps.deliverTrap(VECTOR_UD, 0);
        }
        return;
      case LEAVE.debugRegister: {
        const detail = cpu.get(S.EXIT_DETAIL);
        // Writes have no effect: breakpoints would be the Host's.
        if (detail >>> 8 === 0) cpu.setReg(detail & 7, traps.readDebugRegister((detail >>> 4) & 7));
        cpu.eip = cpu.get(S.EXIT_NEXT);
        engine.instructions++;
        return;
      }
      case LEAVE.badPageTable:
        throw new GuestDeath(
          describeBadPageTable(cpu.get(S.EXIT_DETAIL), cpu.get(S.EXIT_ERROR), engine.mmu.root < 0),
          cpu.eip,
        );
      default:
        throw new Error(`the engine stopped for the unknown reason ${reason} at eip ${hex(cpu.eip)}`);
    }
  }

  /** A fault of the guest's instruction: something to emulate, or the guest's own. */
  private fault(vector: number, errorCode: number): void {
    if (vector === VECTOR_PF) {
      this.traps.deliverPageFault(this.cpu.get(S.FAULT_ADDRESS), errorCode);
    } else if (
      vector === VECTOR_GP &&
      errorCode === 0 &&
      emulate(this.engine, this.host.abi, this.host.options.ports)
    ) {
      this.engine.instructions++;
      this.emulated++;
    } else {
      this.traps.deliverTrap(vector, errorCode);
    }
  }

  private hypercall(): void {
    const next = this.cpu.get(S.EXIT_NEXT);
    this.host.hypercalls.execute();
    this.cpu.eip = next;
    this.engine.instructions++;
  }

  /** Counters for `--stats`, by name; only what is not 0. */
  counters(): Record<string, number> {
    const all: Record<string, number> = { 'emulated instructions': this.emulated };
    for (const [name, reason] of Object.entries(LEAVE)) all[`exit ${name}`] = this.counts[reason]!;
    return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== 0));
  }
}

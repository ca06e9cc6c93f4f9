/**
 * lguest's own programming interface, /dev/lguest, as methods: a Launcher writes INITIALIZE, IRQ and BREAK requests, and
 * reads, which runs the guest until it makes a NOTIFY or dies. For programs that bring their own devices.
 */
import { Host, type HostOptions, type ShutdownKind } from './core.js';
import { IRQS } from './interrupts-and-traps.js';

export interface InitializeRequest extends Omit<HostOptions, 'onNotify'> {
  /** Guest-physical pages that the guest may map: RAM and the device pages handed out. */
  readonly pfnLimit: number;
  /** eip of the guest's first instruction. */
  readonly start: number;
  readonly initrdBytes?: number;
}

/** What `read` ran into. */
export type ReadResult =
  | { readonly kind: 'notify'; readonly address: number }
  | { readonly kind: 'shutdown'; readonly what: ShutdownKind; readonly message: string }
  /** `break` was called. */
  | { readonly kind: 'broken' }
  /** Only an interrupt can wake the guest; `until`: its own timer's, in nanoseconds of guest time. */
  | { readonly kind: 'halted'; readonly until: number | undefined };

/** Instructions between two looks at whether to go on. */
const SLICE = 10_000_000;

export class LguestUser {
  readonly host: Host;
  private readonly notifies: number[] = [];
  private broken = false;

  /** INITIALIZE. The caller has put kernel and boot parameters into guest memory. */
  constructor(request: InitializeRequest) {
    const { engine, pfnLimit } = request;
    if (!Number.isInteger(pfnLimit) || pfnLimit < 1 || pfnLimit * 4096 > engine.memory.limitBytes) {
      throw new RangeError(`the guest has no ${pfnLimit} pages`);
    }
    engine.mmu.pfnLimit = pfnLimit;
    this.host = new Host({
      ...request,
      onNotify: (address) => {
        this.notifies.push(address);
        this.host.requestAttention();
        return true;
      },
    });
    this.host.start(request.start, request.initrdBytes);
  }

  /** IRQ: makes an interrupt pending. */
  irq(number: number): void {
    if (!Number.isInteger(number) || number < 1 || number >= IRQS) {
      throw new RangeError(`there is no device interrupt ${number}`);
    }
    this.host.raiseIrq(number);
  }

  /** BREAK: the `read` in progress, or else the next one, ends. */
  break(): void {
    this.broken = true;
    this.host.requestAttention();
  }

  /**
   * Runs the guest until there is something to tell.
   * @throws GuestDeath with the reason of death, on this and every later call.
   */
  read(): ReadResult {
    for (;;) {
      const address = this.notifies.shift();
      if (address !== undefined) return { kind: 'notify', address };
      if (this.broken) {
        this.broken = false;
        return { kind: 'broken' };
      }
      const event = this.host.run(SLICE);
      if (event.kind === 'shutdown' || event.kind === 'halted') return event;
    }
  }
}

/** Everything that is made anew at power-on and at each restart: memory, CPU, Host, device bus, and the loaded kernel. */
import { GDT } from '../backend-wasm/memory-layout.js';
import type { Clock } from '../lguest/clock.js';
import { Host } from '../lguest/core.js';
import { GuestDeath } from '../lguest/death.js';
import { createEngine, type EngineOptions } from '../runtime/create-engine.js';
import type { Engine } from '../runtime/engine.js';
import { bootInstructions } from './boot-length.js';
import { bootParameters } from './boot-params.js';
import { DeviceBus, type BusLayout } from './device-bus.js';
import { DescriptorError, DeviceError, UserError, hex } from './errors.js';
import { placeInitrd } from './initrd.js';
import { mebibytes, type KernelImage } from './load-elf.js';

/** What goes into the guest's memory, checked before there is any. */
export interface Load {
  ramBytes: number;
  kernel: KernelImage;
  commandLine: string;
  initrd?: { bytes: Uint8Array; name: string };
}

/** The two boot pages and the place of the initrd. Throws `UserError` for what does not fit. */
export function planBoot(load: Load): { pages: Uint8Array; initrd?: { address: number; bytes: number } } {
  const { ramBytes, commandLine } = load;
  const initrd =
    load.initrd && placeInitrd(load.initrd.bytes.length, load.initrd.name, ramBytes, load.kernel.end);
  return {
    pages: bootParameters({ ramBytes, commandLine, ...(initrd && { initrd }) }),
    ...(initrd && { initrd }),
  };
}

export interface PowerOnOptions {
  load: Load;
  layout: BusLayout;
  engine: Pick<EngineOptions, 'kind' | 'symbolOf' | 'punctual' | 'watchRegions' | 'store'>;
  directTraps: boolean;
  clock: Clock;
  onEarlyConsole(text: string): void;
  log?: ((line: string) => void) | undefined;
}

/** A machine that is switched on. */
export interface PoweredMachine {
  host: Host;
  engine: Engine;
}

/** Builds the machine and loads the guest; the next thing is its first instruction. Throws `UserError`. */
export function powerOn(options: PowerOnOptions): PoweredMachine {
  const { load, layout, clock, onEarlyConsole, log } = options;
  const plan = planBoot(load);
  const engine = makeEngine({
    ...options.engine,
    ramBytes: load.ramBytes,
    devicePages: layout.pages,
    bootInstructions: bootInstructions(load.kernel, load.initrd?.bytes),
  });
  const { memory } = engine;
  let bus: DeviceBus | undefined;
  const host = new Host({
    engine,
    gdtAddress: GDT,
    clock,
    directTraps: options.directTraps,
    onNotify: (address) => asGuestDeath(engine, () => bus!.notify(address)),
    onEarlyConsole,
    ...(log && { log }),
  });
  bus = new DeviceBus(layout, { memory, raiseIrq: (irq) => host.raiseIrq(irq) });

  memory.write(0, plan.pages);
  for (const { address, bytes } of load.kernel.segments) memory.write(address, bytes);
  if (plan.initrd) memory.write(plan.initrd.address, load.initrd!.bytes);
  if (log) report(load, layout, plan.initrd, log);
  host.start(load.kernel.entry);
  return { host, engine };
}

function makeEngine(options: EngineOptions): Engine {
  try {
    return createEngine(options);
  } catch (error) {
    // What `new WebAssembly.Memory` throws when the host refuses.
    if (error instanceof RangeError && /memory/i.test(error.message))
      throw new UserError(
        `The host has no room for a guest with ${mebibytes(options.ramBytes)} MiB of memory.`,
      );
    throw error;
  }
}

/** Runs `action`; what a device has to complain about kills the guest. */
export function asGuestDeath<T>(engine: Engine, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof DeviceError || error instanceof DescriptorError)
      throw new GuestDeath(error.message, engine.cpu.eip);
    throw error;
  }
}

function report(
  { ramBytes, kernel, commandLine }: Load,
  layout: BusLayout,
  initrd: { address: number; bytes: number } | undefined,
  log: (line: string) => void,
): void {
  log(`memory: ${mebibytes(ramBytes)} MiB, device page at ${hex(ramBytes)}, ${layout.pages} device pages`);
  log(`kernel: ${kernel.format}${kernel.note && `, ${kernel.note}`}`);
  for (const { address, bytes, memoryBytes } of kernel.segments)
    log(`  ${hex(address)}..${hex(address + memoryBytes)}: ${bytes.length} bytes from the file`);
  log(`  starts at ${hex(kernel.entry)}`);
  if (initrd) log(`initrd: ${hex(initrd.address)}..${hex(initrd.address + initrd.bytes)}`);
  log(`kernel arguments: ${commandLine === '' ? '(none)' : commandLine}`);
  for (const { device, offset } of layout.devices) {
    const irqs = layout.queues
      .filter((queue) => layout.devices[queue.device]!.device === device)
      .map((q) => q.irq);
    log(`${device.name}: descriptor at ${hex(ramBytes + offset)}, irq ${irqs.join(', ')}`);
  }
}

/** What `--stats` and `--json` tell at exit. */

import type { EngineKind } from '../runtime/create-engine.js';

/** Counters of a machine since it was switched on, restarts included. */
export interface MachineStats {
  /** What executes the instructions. */
  engine: EngineKind;
  /** Guest instructions executed. */
  instructions: number;
  /** Milliseconds the guest was running: sleep in HALT does not count. */
  busyMilliseconds: number;
  /** Millions of instructions per second of running. */
  mips: number;
  restarts: number;
  /** Everything else by name: engine, Host and devices. */
  counters: Record<string, number>;
}

/** Without the counters that tell a state of what is gone now. */
export function totals(counters: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(counters).filter(([name]) => !name.endsWith(' live')));
}

/** Adds the counters of `from` to those of `to`. */
export function addCounters(to: Record<string, number>, from: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(from)) to[name] = (to[name] ?? 0) + value;
}

/** As lines of text, numbers aligned. */
export function statsText(stats: MachineStats): string {
  const rows: [string, string][] = [
    ['engine', stats.engine],
    ['instructions', grouped(stats.instructions)],
    ['running', `${(stats.busyMilliseconds / 1000).toFixed(3)} s`],
    ['MIPS', stats.mips.toFixed(1)],
    ['restarts', String(stats.restarts)],
  ];
  for (const [name, value] of Object.entries(stats.counters)) rows.push([name, grouped(value)]);
  const nameWidth = Math.max(...rows.map(([name]) => name.length));
  const valueWidth = Math.max(...rows.map(([, value]) => value.length));
  return rows.map(([name, value]) => `${name.padEnd(nameWidth)}  ${value.padStart(valueWidth)}\n`).join('');
}

/** As one line of JSON. */
export function statsJson(stats: MachineStats): string {
  return `${JSON.stringify(stats)}\n`;
}

/** 1234567 as "1 234 567". */
function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ' ');
}

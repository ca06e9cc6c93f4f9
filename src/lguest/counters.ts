/** What a Host counts of its guest, for `--stats`. */
import type { Host } from './core.js';
import { VECTOR_PF } from './interrupts-and-traps.js';

/**
 * Hypercalls, traps and interrupts by name or number, what the engine did by itself included; only
 * what is not 0.
 */
export function hostCounters({ hypercalls, traps, engine, abi }: Host): Record<string, number> {
  const result: Record<string, number> = {};
  const put = (name: string, value: number): void => {
    if (value !== 0) result[name] = value;
  };
  const nameOf = (hypercall: number): string => abi.hypercalls[hypercall] ?? String(hypercall);
  const counts = hypercalls.counts;
  counts.direct.forEach((value, number) => put(`hypercall ${nameOf(number)}`, value));
  counts.ring.forEach((value, number) => put(`ring hypercall ${nameOf(number)}`, value));
  const direct = engine.directTraps();
  traps.trapsDelivered.forEach((value, vector) => {
    const more =
      vector === VECTOR_PF
        ? direct.pageFaults
        : vector === traps.data?.syscallVector
          ? direct.systemCalls
          : 0;
    put(`trap ${vector}`, value + more);
  });
  traps.irqsDelivered.forEach((value, irq) => put(`interrupt ${irq}`, value));
  return result;
}

/** Hypercalls of a Linux boot with a self-test, by name, as the guest made them. */
import type { MachineStats } from '../../src/index.js';
import type { LinuxGuest } from './contestants.js';
import { runGuest, table } from './measure.js';

const MEBIBYTES = '64';
const RING = 'ring hypercall ';
const SYNCHRONOUS = 'hypercall ';

export function countHypercalls(guest: LinuxGuest): string {
  const { error } = runGuest(['--json', `--initrd=${guest.initrd}`, MEBIBYTES, guest.kernel]);
  const { counters } = JSON.parse(error) as MachineStats;
  const totals = { synchronous: 0, ring: 0 };
  const counts = new Map<string, { synchronous: number; ring: number }>();
  for (const [key, value] of Object.entries(counters)) {
    const kind = key.startsWith(RING) ? 'ring' : key.startsWith(SYNCHRONOUS) ? 'synchronous' : undefined;
    if (!kind) continue;
    const name = key.slice(kind === 'ring' ? RING.length : SYNCHRONOUS.length);
    const count = counts.get(name) ?? { synchronous: 0, ring: 0 };
    count[kind] += value;
    totals[kind] += value;
    counts.set(name, count);
  }
  const row = (name: string, { synchronous, ring }: typeof totals): string[] => [
    name,
    String(synchronous),
    String(ring),
  ];
  return table([
    ['', 'synchronous', 'ring'],
    ...[...counts].map(([name, count]) => row(name, count)),
    row('all', totals),
  ]);
}

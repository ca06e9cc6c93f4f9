/** Resident memory of processes, as Linux tells it. */
import { readdirSync, readFileSync } from 'node:fs';

/** What `/proc` says of a process; empty if it has ended. */
function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'latin1');
  } catch {
    return '';
  }
}

/** MiB of the process and of those that it started. What they share counts for each. */
export function residentMebibytes(pid: number): number {
  const kibibytes = readdirSync('/proc')
    .map(Number)
    .filter((one) => one > 0)
    .map((one) => ({ one, status: statusOf(one) }))
    .filter(({ one, status }) => one === pid || Number(/^PPid:\s+(\d+)/m.exec(status)?.[1]) === pid)
    .map(({ status }) => Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0));
  return kibibytes.reduce((sum, one) => sum + one, 0) / 1024;
}

/**
 * The guest comes first. Translating keeps a processor busy, and V8 compiles with as many threads as there are
 * processors, up to four: at equal priority they leave the guest a third of its speed on two processors.
 *
 * On Linux a priority belongs to a thread. Elsewhere it would be the whole process's, and nothing is done. Nor is it an
 * error if the system refuses: all works, slower.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { constants, setPriority } from 'node:os';
import { basename } from 'node:path';

const PRIORITY = constants.priority.PRIORITY_BELOW_NORMAL;
const CALLING_THREAD = 0;

/** Whether the thread has the lower priority now. */
function lower(thread: number): boolean {
  try {
    setPriority(thread, PRIORITY);
    return true;
  } catch {
    // It has ended meanwhile, or a sandbox forbids it.
    return false;
  }
}

/** Lowers the calling thread's priority. */
export function lowerOwnPriority(): boolean {
  return process.platform === 'linux' && lower(CALLING_THREAD);
}

/** Lowers the priority of the process's other threads; returns how many. For programs that do nothing else than run a guest. */
export function lowerOtherThreads(): number {
  if (process.platform !== 'linux') return 0;
  let own: string;
  let threads: string[];
  try {
    own = basename(readlinkSync('/proc/thread-self'));
    threads = readdirSync('/proc/self/task');
  } catch {
    // No /proc here.
    return 0;
  }
  return threads.filter((thread) => thread !== own && lower(Number(thread))).length;
}

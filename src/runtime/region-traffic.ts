/**
 * How often a region is entered, and how it is left: counted only when somebody wants to look inside, by a JavaScript
 * function that stands in the table in front of the region.
 */
import { LEAVE } from '../frontend-x86/leave.js';
import * as S from '../frontend-x86/cpu-state.js';
import * as L from '../backend-wasm/memory-layout.js';
import { RETURNS } from '../backend-wasm/record.js';
import { tableFunction } from '../backend-wasm/table-function.js';
import type { MachineMemory } from './machine-memory.js';

/** Ways out told apart; computed jumps may have any number of targets. */
const MOST_EXITS = 1000;

const LEAVE_NAMES = new Map<number, string>(Object.entries(LEAVE).map(([name, value]) => [value, name]));

export interface RegionExit {
  readonly cause: string;
  /** The next eip; undefined for what was not told apart any more. */
  readonly eip: number | undefined;
  count: number;
}

export class RegionTraffic {
  /** By entry number. */
  readonly entries: number[] = [];
  private readonly exits = new Map<string, RegionExit>();
  /** Region calls under way and done, of all regions: shows that a region went on into another. */
  private static calls = 0;
  private readonly before = new Int32Array(L.REGION_EXIT_CAUSES.length);

  constructor(private readonly memory: MachineMemory) {}

  /** The ways out, the most frequent first. */
  get left(): RegionExit[] {
    return [...this.exits.values()].sort((a, b) => b.count - a.count);
  }

  /** What to put into the table instead of the region's function. */
  watch(region: (...args: number[]) => number): () => number {
    const { i32 } = this.memory;
    const counters = L.REGION_EXITS >> 2;
    return tableFunction(region.length, (...args) => {
      const [entry] = args as [number];
      this.entries[entry] = (this.entries[entry] ?? 0) + 1;
      const call = ++RegionTraffic.calls;
      for (let i = 0; i < this.before.length; i++) this.before[i] = i32[counters + i]!;
      const result = region(...args);
      this.count(this.causeOf(result, call), i32[S.EIP >> 2]! >>> 0);
      return result;
    });
  }

  private causeOf(result: number, call: number): string {
    const { i32 } = this.memory;
    if (RegionTraffic.calls !== call) return 'into another region';
    if (result === RETURNS.missed) return 'TLB miss' satisfies L.RegionExitCause;
    const counters = L.REGION_EXITS >> 2;
    for (let i = 0; i < this.before.length; i++) {
      if (i32[counters + i] !== this.before[i]) return L.REGION_EXIT_CAUSES[i]!;
    }
    if (result === RETURNS.left) return LEAVE_NAMES.get(i32[S.EXIT_REASON >> 2]!) ?? 'left';
    if (i32[L.CODE_CHANGED >> 2] !== 0) return 'code changed';
    return result === RETURNS.resolve ? 'privilege or segments changed' : 'far jump or return';
  }

  private count(cause: string, eip: number): void {
    let key = `${cause} ${eip}`;
    let place: number | undefined = eip;
    if (!this.exits.has(key) && this.exits.size >= MOST_EXITS) {
      key = cause;
      place = undefined;
    }
    const exit = this.exits.get(key);
    if (exit) exit.count++;
    else this.exits.set(key, { cause, eip: place, count: 1 });
  }
}

/** What programs took on several contestants, with the proof that all did the same work. */
import { median } from './measure.js';

export interface Timing {
  program: string;
  /** Iterations and checksum: equal if the same work was done. */
  work: string;
  seconds: number;
}

/** Program -> contestant -> median seconds. */
export type Medians = ReadonlyMap<string, ReadonlyMap<string, number>>;

export class Results {
  readonly #works = new Map<string, string>();
  readonly #seconds = new Map<string, Map<string, number[]>>();

  /** Adds one run. Throws if the program did other work than in the runs before. */
  add(contestant: string, { program, work, seconds }: Timing): void {
    const before = this.#works.get(program) ?? work;
    if (before !== work) throw new Error(`${program} on ${contestant}: ${work}, elsewhere ${before}`);
    this.#works.set(program, work);
    const ofProgram = this.#seconds.get(program) ?? new Map<string, number[]>();
    this.#seconds.set(program, ofProgram.set(contestant, [...(ofProgram.get(contestant) ?? []), seconds]));
  }

  medians(): Medians {
    const ofContestants = (all: ReadonlyMap<string, number[]>): Map<string, number> =>
      new Map([...all].map(([contestant, seconds]) => [contestant, median(seconds)]));
    return new Map([...this.#seconds].map(([program, all]) => [program, ofContestants(all)]));
  }
}

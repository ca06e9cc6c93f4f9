/** Runs programs on engines, in one go and cut into pieces, and says what they do differently. */
import { createEngine, type EngineKind } from '../../src/runtime/create-engine.js';
import '../../src/runtime/offer-reference-engine.js';
import { stateDifferences, stateDigest } from '../../src/runtime/lockstep.js';
import type { TranslationService } from '../../src/runtime/background.js';
import type { TierOptions } from '../../src/runtime/tiers.js';
import { LEAVE } from '../../src/frontend-x86/leave.js';
import { FLAGS, VECTOR, type Case, type Outcome } from './case.js';
import { differences, EXACT, type Masks } from './compare.js';
import { EngineRunner, RAM_BYTES } from './engine-runner.js';
import { LateTranslator } from './late-translator.js';
import { Random } from './random.js';
import { Scrutiny } from './scrutiny.js';

const STATUS = 0x8d5;
/** Instructions that any program ends within. */
const MOST_INSTRUCTIONS = 200_000;
const MOST_DIFFERENCES = 6;
/** Runs of a program with translations that come late, the first of which has none yet. */
const LATE_RUNS = 4;
/** In such a run, most instructions from one chance for translations to come to the next. */
const LATE_SLICES = [10, 50, 300] as const;
/** Entries of a block before it is translated: at once, and so that a cut does not make an entry of every place. */
const AT_ONCE = 1;
const IN_LOOPS = 2;

/** Ops that load twice: which of two faults comes first is each processor's own. */
const TWO_LOADS: ReadonlySet<string> = new Set(['cmps']);

const hex = (n: number): string => (n >>> 0).toString(16);

export interface Judged {
  readonly name: string;
  /** Hot code becomes regions. */
  readonly translates: boolean;
  /** Its translations, if they do not come at once. */
  readonly late: LateTranslator | undefined;
  readonly runner: EngineRunner;
}

/** `translator`: of those engines that translate; for `auto` one that has what was asked for by the next poll. */
export function judged(kind: EngineKind, translator?: TranslationService): Judged {
  const options = { ramBytes: RAM_BYTES, devicePages: 0, kind };
  const translates = kind === 'jit' || kind === 'auto';
  const late = kind === 'auto' && translator ? new LateTranslator(translator) : undefined;
  const tiers: TierOptions = late ? { translator: late, heat: IN_LOOPS } : translator ? { translator } : {};
  const engine = createEngine({ ...options, ...(translates && tiers) });
  return { name: kind, translates, late, runner: new EngineRunner(engine) };
}

/** After #DE the status flags are undefined. */
function masksFor(native: Outcome, undefinedFlags: number): Masks {
  const status = native.vector === VECTOR.divide ? STATUS : 0;
  return { ...EXACT, flags: FLAGS & ~status & ~undefinedFlags };
}

/**
 * An access across the end of the address space breaks the limit of a flat segment (#GP, #SS); the engines leave that
 * check out of flat accesses and have a page fault there.
 */
function crossesTheEnd(native: Outcome, actual: Outcome): boolean {
  const limit = native.vector === VECTOR.stackFault || native.vector === VECTOR.generalProtection;
  return limit && native.error === 0 && actual.vector === VECTOR.pageFault && actual.cr2 >= 0xfffffff0;
}

const MEMORY_FAULTS: ReadonlySet<number> = new Set([
  VECTOR.stackFault,
  VECTOR.generalProtection,
  VECTOR.pageFault,
]);
/** `op` is what both stopped at. */
function otherLoadFirst(native: Outcome, actual: Outcome, op: string): boolean {
  const both = MEMORY_FAULTS.has(native.vector) && MEMORY_FAULTS.has(actual.vector);
  return TWO_LOADS.has(op) && both && native.eip === actual.eip;
}

/** Where the capture program itself lies (see `native.ts`) an access by chance finds memory. */
function meetsCapture({ vector, cr2 }: Outcome): boolean {
  return vector === VECTOR.pageFault && cr2 >= 0x59ff0000 && cr2 < 0x5a100000;
}

export class ProgramJudge {
  private readonly first: Judged;
  private readonly others: readonly Judged[];

  /** The first engine is the measure for the others. */
  constructor(engines: readonly Judged[]) {
    const [first, ...others] = engines;
    if (first === undefined) throw new RangeError('no engines');
    this.first = first;
    this.others = others;
  }

  /** Counters of the engine of that name. */
  counters(name: string): Record<string, number> {
    return this.others.find((other) => other.name === name)?.runner.engine.counters() ?? {};
  }

  /** What is not the same, in words. `seed` decides on cuts; `undefinedFlags` are those at the end. */
  judge(input: Case, native: Outcome | undefined, seed: number, undefinedFlags: number): string[] {
    try {
      return this.compare(input, native, seed, undefinedFlags);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      return [`an engine threw: ${error.message}`];
    }
  }

  private compare(input: Case, native: Outcome | undefined, seed: number, undefinedFlags: number): string[] {
    const r = new Random(seed ^ 0x3c6ef372);
    const lines: string[] = [];
    const outcomes: { name: string; outcome: Outcome; instructions: number }[] = [];
    const isCold = r.chance(50);
    const isClean = r.chance(50);
    for (const { name, translates, late, runner } of this.others) {
      // What still comes for the program before goes with its code.
      late?.begin(seed);
      runner.forgetCode();
      runner.coolTlb(isClean);
      if (translates) runner.heat = AT_ONCE;
      const note = (outcome: Outcome): void =>
        void outcomes.push({ name, outcome, instructions: runner.instructions });
      if (late) this.runOften(input, runner, new Random(seed ^ 0x2545f491), note);
      else note(runner.run(input));
      if (translates) runner.heat = r.chance(10) ? AT_ONCE : IN_LOOPS;
    }
    const all = [this.first, ...this.others];
    // The tables have to be alike; what is in the TLBs may stay.
    for (const { runner } of all)
      if (isCold || isClean || runner === this.first.runner) runner.coolTlb(isClean);
    const { outcome, instructions, last } = this.inPieces(input, r, lines);
    for (const other of outcomes) {
      lines.push(...differences(outcome, other.outcome, EXACT).map((line) => `${other.name}: ${line}`));
      if (other.instructions !== instructions)
        lines.push(`${other.name}: ${other.instructions} instructions, not ${instructions}`);
    }
    if (native && !crossesTheEnd(native, outcome) && !meetsCapture(outcome)) {
      // The rest is compared as if the fault were the same.
      const { vector, error, cr2 } = otherLoadFirst(native, outcome, last) ? outcome : native;
      const masks = masksFor(native, undefinedFlags);
      const against = differences({ ...native, vector, error, cr2 }, outcome, masks);
      lines.push(...against.map((line) => `${this.first.name} against the processor: ${line}`));
    }
    return lines;
  }

  /** Translations come in between, and regions become others. */
  private runOften(input: Case, runner: EngineRunner, r: Random, note: (outcome: Outcome) => void): void {
    for (let run = 0; run < LATE_RUNS; run++) {
      const most = r.pick(LATE_SLICES);
      const slice = (): number => {
        runner.sampleNext();
        return r.between(1, most);
      };
      note(runner.run(input, slice));
    }
  }

  /** All engines side by side; after every few instructions all that a guest can see is compared. */
  private inPieces(
    input: Case,
    r: Random,
    lines: string[],
  ): { outcome: Outcome; instructions: number; last: string } {
    const { first, others } = this;
    const most = r.pick([1, 3, 7, 20, 50, 50]);
    for (const { runner } of [first, ...others]) runner.begin(input);
    let reason: number = LEAVE.budget;
    let cut = 0;
    while (reason === LEAVE.budget && cut < MOST_INSTRUCTIONS && lines.length === 0) {
      const budget = r.between(1, most);
      const start = first.runner.engine.instructions;
      reason = advance(first.runner, budget);
      cut += first.runner.engine.instructions - start;
      for (const other of others) this.comparePiece(other, reason, budget, cut, lines);
    }
    const last = new Scrutiny(first.runner).at(first.runner.engine.cpu.eip)?.op ?? '';
    const [outcome] = [first, ...others].map(({ runner }) => runner.finish(input, reason));
    return { outcome: outcome!, instructions: first.runner.instructions, last };
  }

  private comparePiece(other: Judged, reason: number, budget: number, cut: number, lines: string[]): void {
    const { first } = this;
    const [a, b] = [first.runner.engine, other.runner.engine];
    if (other.late) other.runner.sampleNext();
    const found = advance(other.runner, budget);
    const label = `${other.name} cut at ${cut}`;
    if (found !== reason) lines.push(`${label}: left for ${found}, not ${reason}`);
    const ahead = b.instructions - other.runner.startedAt - (a.instructions - first.runner.startedAt);
    if (ahead !== 0) lines.push(`${label}: ${ahead} instructions ahead`);
    if (stateDigest(a.cpu, reason) !== stateDigest(b.cpu, reason)) {
      const list = stateDifferences(a.cpu, b.cpu).slice(0, MOST_DIFFERENCES);
      for (const { name, values } of list)
        lines.push(`${label}: ${name} is ${hex(values[1])}, not ${hex(values[0])}`);
      if (list.length === 0) lines.push(`${label}: it tells other details of why it left`);
    }
    const [x, y] = [first.runner.ram, other.runner.ram];
    if (Buffer.compare(x, y) === 0) return;
    const at = x.findIndex((v, i) => v !== y[i]);
    lines.push(`${label}: byte ${hex(at)} is ${hex(y[at]!)}, not ${hex(x[at]!)}`);
  }
}

/** Runs just so many instructions, or to the end; engines may end runs early. */
function advance({ engine }: EngineRunner, budget: number): number {
  const end = engine.instructions + budget;
  for (;;) {
    const reason = engine.run(end - engine.instructions);
    if (reason !== LEAVE.budget || engine.instructions >= end) return reason;
  }
}

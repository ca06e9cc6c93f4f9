/** Runs vectors through engines and collects what differs. */
import type { Engine } from '../../src/runtime/engine.js';
import type { Case, Outcome } from './case.js';
import { describe, differences, EXACT, instructionOf, masksOf } from './compare.js';
import { EngineRunner } from './engine-runner.js';
import type { Vector } from './vector-file.js';

export interface Failure {
  readonly input: Case;
  /** Form and operation, to group by. */
  readonly op: string;
  /** Which engine, or pair of engines. */
  readonly engine: string;
  readonly text: string;
}

export interface JudgeOptions {
  readonly engines: readonly { readonly name: string; readonly engine: Engine }[];
  /** Stop after so many failures. */
  readonly most?: number;
}

/** Engines against the processor, and the engines against the first of them, undefined flags included. */
export function judge(
  vectors: Iterable<Vector>,
  options: JudgeOptions,
): { run: number; failures: Failure[] } {
  const runners = options.engines.map(({ name, engine }) => ({ name, runner: new EngineRunner(engine) }));
  const failures: Failure[] = [];
  let run = 0;
  for (const { input, outcome } of vectors) {
    if (failures.length >= (options.most ?? Infinity)) break;
    run++;
    const masks = masksOf(input);
    let first: { outcome: Outcome; instructions: number } | undefined;
    const note = (engine: string, lines: string[]): void => {
      if (lines.length === 0) return;
      const text = `${engine}: ${describe(input, lines)}`;
      failures.push({ input, op: instructionOf(input).op, engine, text });
    };
    for (const { name, runner } of runners) {
      const actual = runner.run(input);
      if (first === undefined) {
        first = { outcome: actual, instructions: runner.instructions };
        note(name, differences(outcome, actual, masks));
        continue;
      }
      const lines = differences(first.outcome, actual, EXACT);
      if (first.instructions !== runner.instructions)
        lines.push(`instructions: ${first.instructions}, got ${runner.instructions}`);
      note(`${name} against ${runners[0]!.name}`, lines);
    }
  }
  return { run, failures };
}

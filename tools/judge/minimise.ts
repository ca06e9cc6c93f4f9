/** Makes a program that fails smaller: instructions become nops as long as it fails. */
import { VECTOR, type Case, type Outcome } from './case.js';
import type { EngineRunner } from './engine-runner.js';
import type { NativeCpu } from './native.js';
import type { Program, Written } from './program.js';
import type { ProgramJudge } from './program-judge.js';
import { isDefined, scrutinise } from './scrutiny.js';

const NOP = 0x90;
const MOST_STEPS = 10_000;

export interface MinimiseOptions {
  readonly native: NativeCpu | undefined;
  /** Of a reference engine. */
  readonly author: EngineRunner;
  readonly judge: ProgramJudge;
  readonly seed: number;
}

function without(input: Case, gone: readonly Written[]): Case {
  const code = input.code.slice();
  for (const w of gone) code.fill(NOP, w.address - input.eip, w.address - input.eip + w.length);
  return { ...input, code };
}

/** The smaller program and what is wrong with it; empty lines if it did not fail again. */
export async function minimise(
  program: Program,
  { native, author, judge, seed }: MinimiseOptions,
): Promise<{ input: Case; lines: string[] }> {
  const fails = async (input: Case): Promise<string[]> => {
    // What is left of a program may do what the manual leaves open: then the processor is not asked.
    const finding = scrutinise(author, input, MOST_STEPS);
    const defined = isDefined(finding) ? finding : undefined;
    // One that no longer ends is not smaller.
    if (!isDefined(finding) && finding.kind === 'long') return [];
    let outcome: Outcome | undefined;
    if (defined && !defined.variesByProcessor) [outcome] = (await native?.run([input])) ?? [];
    if (outcome?.vector === VECTOR.stuck) outcome = undefined;
    return judge.judge(input, outcome, seed, defined?.undefinedFlags ?? 0);
  };
  const gone: Written[] = [];
  for (const w of [...program.written].reverse()) {
    if ((await fails(without(program.input, [...gone, w]))).length > 0) gone.push(w);
  }
  const input = without(program.input, gone);
  return { input, lines: await fails(input) };
}

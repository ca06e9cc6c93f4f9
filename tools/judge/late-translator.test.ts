/** Late translations come at the same times again, whatever ran before: a program that fails can be run alone. */
import { ImmediateTranslator } from './immediate-translator.js';
import { makeProgram } from './make-program.js';
import { judged, ProgramJudge } from './program-judge.js';

const SEEDS = Array.from({ length: 25 }, (_, i) => i + 1);
const VALIDATE_EVERY = 50;
const COUNTERS = [
  'translations asked for',
  'regions installed',
  'regions merged',
  'blocks decoded',
  'region exits: direct jump',
  'region exits: fuel',
];

const author = judged('reference').runner;
const newJudge = (): ProgramJudge =>
  new ProgramJudge([judged('reference'), judged('auto', new ImmediateTranslator(VALIDATE_EVERY))]);

/** What the program of a seed adds to the counters. */
function course(judge: ProgramJudge, seed: number): number[] {
  const program = makeProgram(seed, 'structured', author);
  const before = judge.counters('auto');
  if (program) expect(judge.judge(program.input, undefined, seed, program.undefinedFlags)).toEqual([]);
  const after = judge.counters('auto');
  return COUNTERS.map((name) => (after[name] ?? 0) - (before[name] ?? 0));
}

test('a program takes the same course alone and after others', () => {
  const judge = newJudge();
  const courses = SEEDS.map((seed) => course(judge, seed));
  expect(judge.counters('auto')['regions merged']).toBeGreaterThan(0);
  expect(judge.counters('auto')['regions entered']).toBeGreaterThan(SEEDS.length);
  expect(SEEDS.map((seed) => course(newJudge(), seed))).toEqual(courses);
});

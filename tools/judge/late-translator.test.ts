/** Late translations come at the same times again, whatever ran before: a program that fails can be run alone. */
import { ImmediateTranslator } from './immediate-translator.js';
import { makeProgram } from './make-program.js';
import { type Judged, judged, ProgramJudge } from './program-judge.js';

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
const newEngine = (): Judged => judged('auto', new ImmediateTranslator(VALIDATE_EVERY));

/** What the program of a seed adds to the engine's counters. */
function course(subject: Judged, seed: number): number[] {
  const judge = new ProgramJudge([judged('reference'), subject]);
  const program = makeProgram(seed, 'structured', author);
  const before = judge.counters('auto');
  if (program)
    expect(judge.judge(program.input, undefined, seed, program.defined.undefinedFlags)).toEqual([]);
  // What comes later is of this program too.
  subject.late?.finish();
  const after = judge.counters('auto');
  return COUNTERS.map((name) => (after[name] ?? 0) - (before[name] ?? 0));
}

test('a program takes the same course alone and after others', () => {
  const subject = newEngine();
  const courses = SEEDS.map((seed) => course(subject, seed));
  const counters = subject.runner.engine.counters();
  expect(counters['regions merged']).toBeGreaterThan(0);
  expect(counters['regions entered']).toBeGreaterThan(SEEDS.length);
  expect(SEEDS.map((seed) => course(newEngine(), seed))).toEqual(courses);
});

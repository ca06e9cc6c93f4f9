/** Random programs whose ends a real processor told: every engine comes to them, in one go and cut into pieces. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ImmediateTranslator } from './immediate-translator.js';
import { judged, ProgramJudge } from './program-judge.js';
import { isDefined, scrutinise } from './scrutiny.js';
import { decodeVectors } from './vector-file.js';

const MOST_STEPS = 10_000;
const VALIDATE_EVERY = 50;

test('programs end as on the processor', () => {
  const file = readFileSync(fileURLToPath(new URL('../../test/vectors/programs.bin', import.meta.url)));
  const { header, vectors } = decodeVectors(file);
  const author = judged('reference').runner;
  const late = judged('auto', new ImmediateTranslator(VALIDATE_EVERY));
  const judge = new ProgramJudge([judged('reference'), judged('interp'), judged('jit'), late]);
  const failures: string[] = [];
  let run = 0;
  for (const { input, outcome } of vectors) {
    run++;
    const finding = scrutinise(author, input, MOST_STEPS);
    if (!isDefined(finding)) throw new Error(`program ${run} does what is not defined`);
    for (const line of judge.judge(input, outcome, run, finding.undefinedFlags))
      failures.push(`${run}: ${line}`);
  }
  expect(failures.join('\n')).toBe('');
  expect(run).toBe(header.count);
  for (const name of ['jit', 'auto']) expect(judge.counters(name)['regions entered']).toBeGreaterThan(run);
});

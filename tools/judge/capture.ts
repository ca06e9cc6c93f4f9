/**
 * Captures the test vectors from this machine's processor into `test/vectors/`:
 *
 *     node dist/tools/judge/capture.js [--seed N] [TOPIC…]
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { packageRoot } from '../../src/runtime/load-interpreter.js';
import { VECTOR } from './case.js';
import { baseRegisters, generateCases, type Topic } from './generate.js';
import { cpuName, NativeCpu } from './native.js';
import { encodeVectors, type Vector } from './vector-file.js';

const { values, positionals } = parseArgs({ options: { seed: { type: 'string' } }, allowPositionals: true });
const seed = Number(values.seed ?? 1);
const topics = (positionals.length > 0 ? positionals : ['integer', 'segments', 'x87']) as Topic[];

const native = new NativeCpu();
try {
  for (const topic of topics) {
    const cases = generateCases({ seed, topic });
    const outcomes = await native.run(cases);
    const vectors = cases
      .map((input, n): Vector => ({ input, outcome: outcomes[n]! }))
      .filter(({ outcome }) => outcome.vector !== VECTOR.stuck);
    const file = encodeVectors({ cpu: cpuName(), seed, topic, bases: baseRegisters(seed) }, vectors);
    writeFileSync(join(packageRoot(), 'test/vectors', `${topic}.bin`), file);
    console.log(`${topic}: ${vectors.length} cases, ${file.length} bytes`);
  }
} finally {
  native.close();
}

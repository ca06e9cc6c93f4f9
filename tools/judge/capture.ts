/**
 * Captures the test vectors from this machine's processor into `test/vectors/`:
 *
 *     node dist/tools/judge/capture.js [--seed N] [TOPIC…]
 *
 * Topics: integer, segments, x87 (an instruction each), programs (random programs).
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { packageRoot } from '../../src/runtime/load-interpreter.js';
import { VECTOR, type Case } from './case.js';
import { instructionOf, memoryAddress } from './compare.js';
import { baseRegisters, generateCases, type Topic } from './generate.js';
import { makeProgram } from './make-program.js';
import { judged } from './program-judge.js';
import { x87Pool } from './x87-state.js';
import { cpuName, NativeCpu } from './native.js';
import { encodeVectors, type Vector } from './vector-file.js';

const { values, positionals } = parseArgs({ options: { seed: { type: 'string' } }, allowPositionals: true });
const seed = Number(values.seed ?? 1);
const topics = positionals.length > 0 ? positionals : ['integer', 'segments', 'x87', 'programs'];
const PROGRAMS = 200;

/** The programs of the seeds from `seed` on. */
function programs(): Case[] {
  const author = judged('reference').runner;
  const made = Array.from({ length: PROGRAMS }, (_, n) => makeProgram(seed + n, 'any', author));
  return made.flatMap((program) => (program && !program.defined.variesByProcessor ? [program.input] : []));
}

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Where the capture program itself lies (see `native.ts`), a case by chance finds memory. */
function meetsProgram(c: Case): boolean {
  const address = memoryAddress(instructionOf(c), c);
  return address !== undefined && address >= 0x59ff0000 && address < 0x5a100000;
}

const native = await NativeCpu.start();
try {
  for (const topic of topics) {
    const isProgram = topic === 'programs';
    const cases = isProgram ? programs() : generateCases({ seed, topic: topic as Topic });
    const outcomes = await native.run(cases);
    const vectors = cases
      .map((input, n): Vector => ({ input, outcome: outcomes[n]! }))
      .filter(({ input, outcome }) => outcome.vector !== VECTOR.stuck && (isProgram || !meetsProgram(input)));
    const file = encodeVectors(
      {
        cpu: cpuName(),
        seed,
        topic,
        bases: baseRegisters(seed),
        x87: topic === 'x87' || isProgram ? x87Pool(seed).map(hexOf) : [],
      },
      vectors,
    );
    writeFileSync(join(packageRoot(), 'test/vectors', `${topic}.bin`), file);
    console.log(`${topic}: ${vectors.length} cases, ${file.length} bytes`);
  }
} finally {
  native.close();
}

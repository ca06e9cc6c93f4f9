/** What the engines make of every stored vector of a real processor; and the engines against each other. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createEngine } from '../src/runtime/create-engine.js';
import '../src/runtime/offer-reference-engine.js';
import { RAM_BYTES } from '../tools/judge/engine-runner.js';
import { judge } from '../tools/judge/judge.js';
import { decodeVectors } from '../tools/judge/vector-file.js';

/** Failures to print in full. */
const MOST = 20;

function engines(): { name: string; engine: ReturnType<typeof createEngine> }[] {
  const options = { ramBytes: RAM_BYTES, devicePages: 0 };
  return [
    { name: 'reference', engine: createEngine({ ...options, kind: 'reference' }) },
    { name: 'interp', engine: createEngine({ ...options, kind: 'interp' }) },
  ];
}

test.each(['integer', 'segments', 'x87'])('%s vectors', (topic) => {
  const file = readFileSync(fileURLToPath(new URL(`vectors/${topic}.bin`, import.meta.url)));
  const { header, vectors } = decodeVectors(file);
  const { run, failures } = judge(vectors, { engines: engines(), most: MOST });
  expect(failures.map((f) => f.text).join('\n\n')).toBe('');
  expect(run).toBe(header.count);
});

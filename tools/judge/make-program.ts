/** The program of a seed. */
import type { EngineRunner } from './engine-runner.js';
import { ProgramMaker, type Program } from './program.js';
import { Random } from './random.js';
import { makeStructured } from './structured-program.js';

/** `straight`: written along its execution, with jumps forward; `structured`: loops, branches that meet, functions. */
export const SHAPES = ['any', 'straight', 'structured'] as const;
export type Shape = (typeof SHAPES)[number];
const STRUCTURED_PERCENT = 75;

/** Undefined if nothing came of it that the manual defines. `author`: of a reference engine. */
export function makeProgram(seed: number, shape: Shape, author: EngineRunner): Program | undefined {
  const r = new Random(seed);
  const structured = r.chance(STRUCTURED_PERCENT);
  const length = r.between(5, 40);
  if (shape === 'any' ? structured : shape === 'structured') return makeStructured(r, length, author);
  return new ProgramMaker(r, author).make(length);
}

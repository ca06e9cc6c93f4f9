/**
 * Random programs on the processor and on engines:
 *
 *     npm run fuzz -- [--programs N] [--seed S] [--engines reference,interp,jit] [--shape any|straight|structured]
 *                     [--no-native] [--log FILE]
 *
 * Each engine runs each program in one go and cut into pieces. A program that ends differently is made smaller and
 * printed; the exit status is 1 then. Program k of seed S is program 0 of seed S + k.
 */
import { appendFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { decode } from '../../src/frontend-x86/decode.js';
import { disassemble } from '../../src/frontend-x86/disassemble.js';
import type { EngineKind } from '../../src/runtime/create-engine.js';
import { VECTOR, type Case, type Outcome } from './case.js';
import { ImmediateTranslator } from './immediate-translator.js';
import { minimise } from './minimise.js';
import { NativeCpu } from './native.js';
import type { Program } from './program.js';
import { judged, ProgramJudge } from './program-judge.js';
import { makeProgram, SHAPES, type Shape } from './make-program.js';

const BATCH = 500;
/** Failures to print in full. */
const MOST_FAILURES = 10;
const NOP = 0x90;
const INT3 = 0xcc;
const VALIDATE_EVERY = 50;

const { values } = parseArgs({
  options: {
    programs: { type: 'string', default: '20000' },
    seed: { type: 'string', default: '1' },
    engines: { type: 'string', default: 'reference,interp,jit' },
    shape: { type: 'string', default: 'any' },
    native: { type: 'boolean', default: true },
    log: { type: 'string' },
  },
  allowNegative: true,
});
const programs = Number(values.programs);
const firstSeed = Number(values.seed);
const shape = values.shape as Shape;
if (!SHAPES.includes(shape)) throw new Error(`--shape: one of ${SHAPES.join(', ')}`);
const translator = new ImmediateTranslator(VALIDATE_EVERY);
const judge = new ProgramJudge(
  values.engines.split(',').map((name) => judged(name as EngineKind, translator)),
);
const author = judged('reference').runner;

function listing(input: Case): string {
  const lines: string[] = [];
  for (let at = 0; at < input.code.length;) {
    const insn = decode(input.code, at, input.code.length - at, true);
    if (insn === 'more') break;
    const bytes = Buffer.from(input.code.subarray(at, at + insn.length)).toString('hex');
    const first = input.code[at]!;
    const isFiller = insn.length === 1 ? first === NOP || first === INT3 : insn.op === 'ud';
    if (!isFiller)
      lines.push(
        `  ${(input.eip + at).toString(16)}: ${bytes.padEnd(22)} ${disassemble(insn, input.eip + at)}`,
      );
    at += insn.length;
  }
  return lines.join('\n');
}

function print(input: Case, seed: number, lines: readonly string[]): void {
  const regs = input.regs.map((v) => v.toString(16)).join(' ');
  const command = `npm run fuzz -- --programs 1 --seed ${seed} --shape ${shape} --engines ${values.engines}`;
  console.log(command);
  console.log(`  eax ecx edx ebx esp ebp esi edi = ${regs}, eflags ${input.eflags.toString(16)}`);
  console.log(`${listing(input)}\n${lines.map((line) => `  ${line}`).join('\n')}\n`);
}

const native = values.native ? new NativeCpu() : undefined;
let failures = 0;
let steps = 0;
let made = 0;
/** Ends by vector. */
const ends = new Map<number, number>();
const from = performance.now();
try {
  for (let start = 0; start < programs && failures < MOST_FAILURES; start += BATCH) {
    const list: { program: Program; seed: number }[] = [];
    for (let n = start; n < Math.min(programs, start + BATCH); n++) {
      const program = makeProgram(firstSeed + n, shape, author);
      if (program) list.push({ program, seed: firstSeed + n });
    }
    const outcomes = await native?.run(list.map(({ program }) => program.input));
    for (const [n, { program, seed }] of list.entries()) {
      const outcome: Outcome | undefined = outcomes?.[n];
      if (outcome?.vector === VECTOR.stuck || failures >= MOST_FAILURES) continue;
      made++;
      steps += program.steps;
      if (outcome) ends.set(outcome.vector, (ends.get(outcome.vector) ?? 0) + 1);
      const lines = judge.judge(program.input, outcome, seed, program.undefinedFlags);
      if (lines.length === 0) continue;
      failures++;
      const small = await minimise(program, { native, author, judge, seed });
      if (small.lines.length > 0) print(small.input, seed, small.lines);
      else print(program.input, seed, lines);
    }
  }
} finally {
  native?.close();
}
const seconds = (performance.now() - from) / 1000;
const mean = (steps / Math.max(1, made)).toFixed(1);
const vectors = [...ends].map(([vector, count]) => `${count} by vector ${vector}`).join(', ');
console.log(
  `${made} programs of ${values.engines}, ${mean} instructions each, ${failures} failures, ${seconds.toFixed(0)} s`,
);
if (vectors) console.log(`ends: ${vectors}`);
for (const [name, count] of Object.entries(judge.counters('jit'))) console.log(`jit: ${name}: ${count}`);
if (values.log !== undefined) {
  const entry = `seeds ${firstSeed}..${firstSeed + programs - 1}: ${made} programs, ${failures} failures`;
  appendFileSync(values.log, `${entry}\n`);
}
process.exitCode = failures > 0 ? 1 : 0;

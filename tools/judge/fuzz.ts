/**
 * Random programs on the processor and on engines:
 *
 *     npm run fuzz -- [--programs N] [--seed S] [--engines reference,interp,jit,auto] [--shape any|straight|structured]
 *                     [--no-native] [--log FILE] [--progress N]
 *
 * Each engine runs each program in one go and cut into pieces; `auto` gets its translations at times that the seed says. A
 * program that ends differently is made smaller and printed; the exit status is 1 then. Program k of seed S is program 0
 * of seed S + k. Every so many programs a line on stderr says how far it is; SIGINT and SIGTERM end it with its sum so far.
 */
import { appendFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { decode } from '../../src/frontend-x86/decode.js';
import { disassemble } from '../../src/frontend-x86/disassemble.js';
import type { EngineKind } from '../../src/runtime/create-engine.js';
import { VECTOR, type Case, type Outcome } from './case.js';
import { ImmediateTranslator } from './immediate-translator.js';
import { minimise } from './minimise.js';
import { NativeCpu, NoNativeCpu } from './native.js';
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
    engines: { type: 'string', default: 'reference,interp,jit,auto' },
    shape: { type: 'string', default: 'any' },
    native: { type: 'boolean', default: true },
    log: { type: 'string' },
    progress: { type: 'string', default: '1000' },
  },
  allowNegative: true,
});
const programs = Number(values.programs);
const firstSeed = Number(values.seed);
const progress = Number(values.progress);
const engines = values.engines.split(',');
const shape = values.shape as Shape;
if (!SHAPES.includes(shape)) throw new Error(`--shape: one of ${SHAPES.join(', ')}`);
const translator = new ImmediateTranslator(VALIDATE_EVERY);
const judge = new ProgramJudge(engines.map((name) => judged(name as EngineKind, translator)));
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

/** The processor; without one the command ends, for engines that agree with each other prove less. */
async function startNative(): Promise<NativeCpu> {
  try {
    return await NativeCpu.start();
  } catch (error) {
    if (!(error instanceof NoNativeCpu)) throw error;
    console.error(`${error.message} --no-native leaves the processor out.`);
    return process.exit(2);
  }
}

const native = values.native ? await startNative() : undefined;
let failures = 0;
let steps = 0;
let made = 0;
/** Seeds that are done with. */
let done = 0;
/** Ends by vector. */
const ends = new Map<number, number>();
const from = performance.now();
const seconds = (): string => `${((performance.now() - from) / 1000).toFixed(0)} s`;

let stopped: NodeJS.Signals | undefined;
// A second one ends the process as ever.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => (stopped = signal));
/** Whether to go on; signals get their turn here. */
async function goesOn(): Promise<boolean> {
  await setImmediate();
  return stopped === undefined && failures < MOST_FAILURES;
}

try {
  while (done < programs && (await goesOn())) {
    const list: { program: Program | undefined; seed: number }[] = [];
    for (
      let seed = firstSeed + done;
      list.length < Math.min(BATCH, programs - done) && (await goesOn());
      seed++
    )
      list.push({ program: makeProgram(seed, shape, author), seed });
    const asked = list.filter(({ program }) => program && !program.defined.variesByProcessor);
    const outcomes = (await native?.run(asked.flatMap(({ program }) => program?.input ?? []))) ?? [];
    for (const { program, seed } of list) {
      if (!(await goesOn())) break;
      done++;
      if (done % progress === 0)
        console.error(`${done} of ${programs} seeds, ${made} programs, ${failures} failures, ${seconds()}`);
      const outcome: Outcome | undefined = program?.defined.variesByProcessor
        ? undefined
        : program && outcomes.shift();
      if (program === undefined || outcome?.vector === VECTOR.stuck) continue;
      made++;
      steps += program.defined.steps;
      if (outcome) ends.set(outcome.vector, (ends.get(outcome.vector) ?? 0) + 1);
      const lines = judge.judge(program.input, outcome, seed, program.defined.undefinedFlags);
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
const mean = (steps / Math.max(1, made)).toFixed(1);
const vectors = [...ends].map(([vector, count]) => `${count} by vector ${vector}`).join(', ');
console.log(
  `${made} programs of ${values.engines}, ${mean} instructions each, ${failures} failures, ${seconds()}`,
);
if (stopped) console.log(`stopped by ${stopped} after ${done} of ${programs} seeds`);
if (vectors) console.log(`ends: ${vectors}`);
for (const engine of ['jit', 'auto'])
  for (const [name, count] of Object.entries(judge.counters(engine)))
    console.log(`${engine}: ${name}: ${count}`);
if (values.log !== undefined) {
  const entry = `seeds ${firstSeed}..${firstSeed + done - 1}: ${made} programs, ${failures} failures`;
  appendFileSync(values.log, `${entry}\n`);
}
process.exitCode = failures > 0 ? 1 : 0;

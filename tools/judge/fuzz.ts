/**
 * Random programs on the processor and on engines:
 *
 *     npm run fuzz -- [--programs N] [--seed S] [--engines reference,interp]
 *
 * Each engine runs each program in one go and in slices of few instructions. A program that ends differently is made
 * smaller and printed; the exit status is 1 then. Program k of seed S is program 0 of seed S + k.
 */
import { parseArgs } from 'node:util';
import { decode } from '../../src/frontend-x86/decode.js';
import { disassemble } from '../../src/frontend-x86/disassemble.js';
import { createEngine, type EngineKind } from '../../src/runtime/create-engine.js';
import { FLAGS, VECTOR, type Case, type Outcome } from './case.js';
import { differences, EXACT, type Masks } from './compare.js';
import { EngineRunner, RAM_BYTES } from './engine-runner.js';
import { NativeCpu } from './native.js';
import { ProgramMaker, type Program, type Written } from './program.js';
import { Random } from './random.js';

const BATCH = 1000;
/** Failures to print in full. */
const MOST_FAILURES = 10;
const STATUS = 0x8d5;
const NOP = 0x90;
const CMP = 0x39;

const { values } = parseArgs({
  options: {
    programs: { type: 'string', default: '20000' },
    seed: { type: 'string', default: '1' },
    engines: { type: 'string', default: 'reference,interp' },
  },
});
const programs = Number(values.programs);
const firstSeed = Number(values.seed);
const runnerOf = (kind: EngineKind): EngineRunner =>
  new EngineRunner(createEngine({ ramBytes: RAM_BYTES, devicePages: 0, kind }));
const runners = values.engines.split(',').map((name) => ({ name, runner: runnerOf(name as EngineKind) }));
const author = runnerOf('reference');

/** After #DE the status flags are undefined. */
function masksFor(native: Outcome): Masks {
  return native.vector === VECTOR.divide ? { ...EXACT, flags: FLAGS & ~STATUS } : EXACT;
}

/**
 * An access across the end of the address space breaks the limit of a flat segment (#GP, #SS); the engines leave that
 * check out of flat accesses and have a page fault there.
 */
function crossesTheEnd(native: Outcome, actual: Outcome): boolean {
  const limit = native.vector === VECTOR.stackFault || native.vector === VECTOR.generalProtection;
  return limit && native.error === 0 && actual.vector === VECTOR.pageFault && actual.cr2 >= 0xfffffff0;
}

/** What the engines do differently; the first engine's instruction count is the measure for the others. */
function judgeProgram(input: Case, native: Outcome, seed: number): string[] {
  const lines: string[] = [];
  const slices = new Random(seed);
  let count: number | undefined;
  for (const { name, runner } of runners) {
    for (const slice of [undefined, () => slices.between(1, 7)]) {
      const label = slice ? `${name} in slices` : name;
      const outcome = runner.run(input, slice);
      if (crossesTheEnd(native, outcome)) continue;
      lines.push(...differences(native, outcome, masksFor(native)).map((line) => `${label}: ${line}`));
      count ??= runner.instructions;
      if (runner.instructions !== count)
        lines.push(`${label}: ${runner.instructions} instructions, not ${count}`);
    }
  }
  return lines;
}

function without(input: Case, gone: readonly Written[]): Case {
  const code = input.code.slice();
  for (const w of gone) code.fill(NOP, w.address - input.eip, w.address - input.eip + w.length);
  return { ...input, code };
}

/** Replaces instructions by nops as long as the program still fails. */
async function minimise(
  program: Program,
  native: NativeCpu,
  seed: number,
): Promise<{ input: Case; lines: string[] }> {
  const fails = async (input: Case): Promise<string[]> => {
    const [outcome] = await native.run([input]);
    return outcome!.vector === VECTOR.stuck ? [] : judgeProgram(input, outcome!, seed);
  };
  const gone: Written[] = [];
  for (const w of [...program.written].reverse()) {
    // Without the comparisons behind them, undefined flags would come to light.
    if (program.input.code[w.address - program.input.eip] === CMP) continue;
    if ((await fails(without(program.input, [...gone, w]))).length > 0) gone.push(w);
  }
  const input = without(program.input, gone);
  return { input, lines: await fails(input) };
}

function listing(input: Case): string {
  const lines: string[] = [];
  for (let at = 0; at < input.code.length;) {
    const insn = decode(input.code, at, input.code.length - at, true);
    if (insn === 'more') break;
    const bytes = Buffer.from(input.code.subarray(at, at + insn.length)).toString('hex');
    const isFiller = insn.length === 1 && (input.code[at] === NOP || input.code[at] === 0xcc);
    if (!isFiller)
      lines.push(
        `  ${(input.eip + at).toString(16)}: ${bytes.padEnd(22)} ${disassemble(insn, input.eip + at)}`,
      );
    at += insn.length;
  }
  return lines.join('\n');
}

const native = new NativeCpu();
let failures = 0;
let steps = 0;
let made = 0;
try {
  for (let start = 0; start < programs && failures < MOST_FAILURES; start += BATCH) {
    const list: { program: Program; seed: number }[] = [];
    for (let n = start; n < Math.min(programs, start + BATCH); n++) {
      const r = new Random(firstSeed + n);
      const program = new ProgramMaker(r, author).make(r.between(5, 40));
      if (program) list.push({ program, seed: firstSeed + n });
    }
    const outcomes = await native.run(list.map(({ program }) => program.input));
    for (const [n, { program, seed }] of list.entries()) {
      const outcome = outcomes[n]!;
      if (outcome.vector === VECTOR.stuck || failures >= MOST_FAILURES) continue;
      made++;
      steps += program.steps;
      if (judgeProgram(program.input, outcome, seed).length === 0) continue;
      failures++;
      const small = await minimise(program, native, seed);
      const regs = small.input.regs.map((v) => v.toString(16)).join(' ');
      console.log(
        `seed ${seed}: eax ecx edx ebx esp ebp esi edi = ${regs}, eflags ${small.input.eflags.toString(16)}`,
      );
      console.log(`${listing(small.input)}\n${small.lines.map((line) => `  ${line}`).join('\n')}\n`);
    }
  }
} finally {
  native.close();
}
const mean = (steps / Math.max(1, made)).toFixed(1);
console.log(`${made} programs, ${mean} instructions each, ${failures} failures`);
process.exitCode = failures > 0 ? 1 : 0;

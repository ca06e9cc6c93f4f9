/** What the translator asks of V8. Flags belong to the process; V8 says what it thinks of unknown ones on stderr. */
import { availableParallelism } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { givenOptions, nameOf } from './node-options.js';

/** Whether this V8 is known to know the flags: the major versions of Node 20 to 23. Others are left as they are. */
export const FLAGS_ARE_KNOWN = [11, 12].includes(parseInt(process.versions.v8, 10));
/** Whether it is the V8 of Node 20. */
const IS_OLD = process.versions.v8.startsWith('11.3.');
/** Whether its own functions are known: they end the process if something about them is otherwise. */
export const NATIVES_ARE_KNOWN = IS_OLD;

/** What a function's loops and calls are worth, in bytes of code, before V8 optimises it: V8's own figure, and many times that. */
const BUDGET = IS_OLD ? 1_800_000 : 13_000_000;
const LARGE_BUDGET = 54_000_000;

/** Threads that Node gives V8 for what it does beside the program. */
const V8_THREADS = 4;
/** What a function of JavaScript executes before V8 optimises it, in bytes of bytecode or in calls: V8's own figure, and four times that. */
const SCRIPT_BUDGET_FLAG = IS_OLD ? '--interrupt-budget' : '--invocation-count-for-turbofan';
const SCRIPT_BUDGET = IS_OLD ? 66 * 1024 : 3000;
const LATE_SCRIPT_BUDGET = 4 * SCRIPT_BUDGET;
/** Hardly a function of JavaScript executes so much in the time for which it is set. */
const ENDLESS_SCRIPT_BUDGET = 1000 * SCRIPT_BUDGET;
/** V8's own figure; so many threads there are not. */
const MOST_COMPILATION_TASKS = 128;

/** Flags that the user has given to Node stay as they are. */
function set(...flags: readonly string[]): void {
  if (!FLAGS_ARE_KNOWN) return;
  const given = givenOptions();
  for (const flag of flags) if (!given.has(nameOf(flag))) setFlagsFromString(flag);
}

/** Makes V8 look at what `withCompilationHint` adds to modules. Modules without it are compiled as ever. */
export function heedCompilationHints(): void {
  set('--experimental-wasm-compilation-hints');
}

let loopsAreLeftAlone = false;
/** See `leaveLoopsAlone`. */
export const LOOP_FLAGS = ['--no-wasm-loop-peeling', '--no-wasm-loop-unrolling'] as const;

/**
 * Loops of Wasm are neither peeled nor unrolled from now on: an eighth of the time that V8 takes to optimise a region, and
 * the guest is not slower for it, whose loops are full of ways out. For processes that do nothing else than run guests, and
 * before there is any Wasm: a function that is being optimised as the flags change has marks of its loops that nobody
 * takes away any more, and V8 ends the process ("Unexpected operator LoadImmutableFromObject", V8 11.3).
 */
export function leaveLoopsAlone(): void {
  loopsAreLeftAlone = true;
  set(...LOOP_FLAGS);
}

/** What V8 compiles beside the program: so many functions of Wasm at a time, and JavaScript after so much of it. */
interface Compilation {
  readonly tasks: number;
  readonly scriptBudget: number;
}
/** V8's own way. */
const AS_EVER: Compilation = { tasks: MOST_COMPILATION_TASKS, scriptBudget: SCRIPT_BUDGET };
let inForce = AS_EVER;

function compileBy(compilation: Compilation): void {
  if (inForce === compilation) return;
  inForce = compilation;
  set(
    `--wasm-num-compilation-tasks=${compilation.tasks}`,
    `${SCRIPT_BUDGET_FLAG}=${compilation.scriptBudget}`,
  );
}

/**
 * Where V8 has more threads than there are processors the guest waits for one as it boots: they all optimise the interpreter
 * and the Host. So they leave it one when they compile Wasm, and JavaScript is optimised later, most of it once then and
 * not again for each thing that it meets. To be said before there is any Wasm, as above.
 */
export function leaveAProcessor(processors = availableParallelism()): void {
  if (processors < V8_THREADS)
    compileBy({ tasks: Math.max(1, processors - 1), scriptBudget: LATE_SCRIPT_BUDGET });
}

/** JavaScript is not optimised: in a process whose processor has better to do. */
export function leaveScriptsAlone(): void {
  compileBy({ ...AS_EVER, scriptBudget: ENDLESS_SCRIPT_BUDGET });
}

/** The end of either: from the worker's start on V8's threads step back by their priority (see `background-priority.ts`). */
export function compileAsEver(): void {
  compileBy(AS_EVER);
}

/**
 * What `make` makes under the flags under which the package's build had V8 compile, for V8 compares them; undefined in a
 * process that does more than run guests, which has others. How V8 shares the processors is as ever meanwhile.
 */
export function underFlagsOfBuild<T>(make: () => T): T | undefined {
  if (!loopsAreLeftAlone) return undefined;
  const before = inForce;
  compileBy(AS_EVER);
  try {
    return make();
  } finally {
    compileBy(before);
  }
}

/**
 * Loads a large module of Wasm of which little is going to run, and not for long. Binaryen's functions are so large that
 * V8 spent more time optimising them than regions, in the first seconds of translating; and a third of the time to load
 * it went into validating what is never called.
 */
export async function loadLightly<T>(load: () => Promise<T>): Promise<T> {
  set('--wasm-lazy-validation', `--wasm-tiering-budget=${LARGE_BUDGET}`);
  try {
    return await load();
  } finally {
    set('--no-wasm-lazy-validation', `--wasm-tiering-budget=${BUDGET}`);
  }
}

/**
 * What `make` makes while functions may name what is V8's own (`%Name`). Undefined if this V8 is not known, and null if no
 * function can be made of text, now or later. Throws `SyntaxError` if another thread has just ended the permission.
 */
export function withNatives<T>(make: () => T): T | undefined | null {
  if (!NATIVES_ARE_KNOWN) return undefined;
  set('--allow-natives-syntax');
  try {
    return make();
  } catch (error) {
    // `--disallow-code-generation-from-strings`
    if (error instanceof EvalError) return null;
    throw error;
  } finally {
    set('--no-allow-natives-syntax');
  }
}

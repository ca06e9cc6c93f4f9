/** V8's flags belong to the process: each of these runs in one of its own, on the modules as built. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageRoot } from './load-interpreter.js';
import { FLAGS_ARE_KNOWN } from './v8-flags.js';

const withFlags = FLAGS_ARE_KNOWN ? test : test.skip;
const FLAGS = pathToFileURL(join(packageRoot(), 'dist/src/runtime/v8-flags.js')).href;
/** Notes in `set` what V8 is asked for. */
const NOTE = `
  import { syncBuiltinESMExports } from 'node:module';
  import v8 from 'node:v8';
  const set = [];
  const { setFlagsFromString } = v8;
  v8.setFlagsFromString = (flag) => {
    set.push(flag);
    setFlagsFromString(flag);
  };
  syncBuiltinESMExports();`;
/** `validates` says whether V8 looks into a module's function: the next one of those that return an i64, not an i32. */
const VALIDATE = `
  const type = [1, 5, 1, 0x60, 0, 1, 0x7f];
  let next = 0;
  const validates = () => {
    // V8 knows a module again that it has taken once.
    const code = [10, 6, 1, 4, 0, 0x42, next++, 0x0b];
    const wrong = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, ...type, 3, 2, 1, 0, ...code);
    try {
      return !new WebAssembly.Module(wrong);
    } catch {
      return true;
    }
  };`;

/** What a script prints, as JSON, under Node with these options. */
function under(options: readonly string[], script: string): unknown {
  const { stdout, stderr } = spawnSync(process.execPath, [...options, '--input-type=module', '-e', script], {
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  return JSON.parse(stdout);
}

/** What V8 is asked for in all, under Node with these options. */
const asked = (...options: string[]): unknown =>
  under(
    options,
    `${NOTE}
    const { heedCompilationHints, leaveLoopsAlone, loadLightly } = await import('${FLAGS}');
    heedCompilationHints();
    leaveLoopsAlone();
    await loadLightly(() => Promise.resolve());
    console.log(JSON.stringify(set));`,
  );

/** Whether V8 validates functions that nobody calls: before, during and after `loadLightly`. */
const validation = (...options: string[]): unknown =>
  under(
    options,
    `${VALIDATE}
    const { loadLightly } = await import('${FLAGS}');
    const before = validates();
    const during = await loadLightly(() => Promise.resolve(validates()));
    console.log(JSON.stringify([before, during, validates()]));`,
  );

withFlags('what is loaded lightly is not validated, and what comes later is', () => {
  expect(validation()).toEqual([true, false, true]);
});

withFlags('what the user says about validation stands', () => {
  expect(validation('--wasm-lazy-validation')).toEqual([false, false, false]);
  expect(validation('--no-wasm-lazy-validation')).toEqual([true, true, true]);
});

withFlags("flags that the user gives are the user's, however they are written", () => {
  const all = asked() as string[];
  expect(all).toHaveLength(7);
  const without = (name: string): string[] => all.filter((flag) => !flag.includes(name));
  for (const option of ['--wasm-tiering-budget=77', '--wasm_tiering_budget=77'])
    expect(asked(option)).toEqual(without('wasm-tiering-budget'));
  for (const option of ['--wasm-loop-peeling', '--nowasm-loop-peeling', '--no_wasm_loop_peeling'])
    expect(asked(option)).toEqual(without('wasm-loop-peeling'));
  expect(asked('--no-experimental-wasm-compilation-hints')).toEqual(without('compilation-hints'));
});

withFlags('compiling has the share that it had after something was done under the flags of the build', () => {
  const set = under(
    [],
    `${NOTE}
    const { compileAsEver, leaveAProcessor, leaveLoopsAlone, leaveScriptsAlone, underFlagsOfBuild } =
      await import('${FLAGS}');
    const build = () => underFlagsOfBuild(() => set.push('built'));
    build();
    leaveLoopsAlone();
    build();
    leaveAProcessor(2);
    build();
    leaveScriptsAlone();
    build();
    compileAsEver();
    build();
    console.log(JSON.stringify(set));`,
  ) as string[];
  const loops = ['--no-wasm-loop-peeling', '--no-wasm-loop-unrolling'];
  const isOld = process.versions.v8.startsWith('11.3.');
  const [flag, budget] = isOld ? ['--interrupt-budget', 67584] : ['--invocation-count-for-turbofan', 3000];
  const scarce = ['--wasm-num-compilation-tasks=1', `${flag}=${4 * budget}`];
  const unoptimized = ['--wasm-num-compilation-tasks=128', `${flag}=${1000 * budget}`];
  const ever = ['--wasm-num-compilation-tasks=128', `${flag}=${budget}`];
  // With loops as ever V8 has other flags than the build.
  const temporarily = [scarce, unoptimized].flatMap((own) => [...own, ...ever, 'built', ...own]);
  expect(set).toEqual([...loops, 'built', ...temporarily, ...ever, 'built']);
});

/** V8's defaults: where they are set again, all is as if nothing had been set. */
withFlags('the figures that V8 is given again are its own', () => {
  const { stdout } = spawnSync(process.execPath, ['--v8-options'], { encoding: 'utf8' });
  const set = under(
    [],
    `${NOTE}
    const { compileAsEver, leaveAProcessor, loadLightly } = await import('${FLAGS}');
    leaveAProcessor(2);
    compileAsEver();
    await loadLightly(() => Promise.resolve());
    console.log(JSON.stringify(set));`,
  ) as string[];
  const last = new Map(set.map((flag) => [flag.replace(/^--(no-)?|=.*/g, ''), flag]));
  expect(last.size).toBe(4);
  for (const flag of last.values()) expect(stdout).toMatch(new RegExp(`default: ${flag}\\s`));
});

/** The worker that translates, as built, with errors planted in it; each in a process of its own. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageRoot } from './load-interpreter.js';
import { FLAGS_ARE_KNOWN } from './v8-flags.js';

/** Longer than any of it takes; one that waits in vain ends. */
const MILLISECONDS = 30_000;

const built = (path: string): string => pathToFileURL(join(packageRoot(), 'dist/src', path)).href;

/**
 * Runs a script that has the module `background.js` as built as `background`. What is to be loaded in front of it in each
 * thread meets the worker's modules if it is an option, and its bundle if it comes from the environment.
 */
function run(script: string, plant?: string, into: 'modules' | 'bundle' = 'modules'): string {
  const load = plant === undefined ? [] : ['--import', `data:text/javascript,${encodeURIComponent(plant)}`];
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [
      ...(into === 'modules' ? load : []),
      '--allow-natives-syntax',
      ...[
        '--input-type=module',
        '-e',
        `const background = await import('${built('runtime/background.js')}');${script}`,
      ],
    ],
    {
      encoding: 'utf8',
      timeout: MILLISECONDS,
      env: { ...process.env, NODE_OPTIONS: into === 'bundle' ? load.join(' ') : '' },
    },
  );
  expect(stderr).toBe('');
  return stdout.trim();
}

/** Asks for something to translate, and prints what comes back, or what is wrong with it. */
const ASK = `
  const { WARM_UP } = await import('${built('runtime/warm-up.js')}');
  translator.request(WARM_UP, ({ translation, error }) => console.log(error?.message ?? translation?.blocks));
  translator.finish();`;

test('what is asked for comes, also where `--input-type` says what a text is', () => {
  expect(run(`const translator = new background.BackgroundTranslator();${ASK}`)).toBe('4');
});

test('one request keeps the translator busy until its first translation, later two do', () => {
  const script = `
    const { WARM_UP } = await import('${built('runtime/warm-up.js')}');
    const translator = new background.BackgroundTranslator();
    const idle = [translator.idle];
    const ask = () => {
      translator.request(WARM_UP, () => undefined);
      idle.push(translator.idle);
    };
    ask();
    translator.finish();
    ask();
    ask();
    translator.finish();
    console.log(idle.join());`;
  expect(run(script)).toBe('true,false,true,false');
});

test('the worker is its bundle, and its modules where something is loaded first', () => {
  // A translator that throws has a stack with its file's name.
  const script = `
    const translator = new background.BackgroundTranslator();
    translator.request({ leaders: 1, pages: new Map() }, ({ error }) => console.log(error.stack));
    translator.finish();`;
  expect(run(script)).toContain('dist/translation-worker.js:');
  expect(run(script, '')).not.toContain('dist/translation-worker.js:');
});

test('an error before anything is asked for is the answer to what is', () => {
  // The lowering throws, and tells when it has.
  const plant = `
    import { isMainThread } from 'node:worker_threads';
    import { Emitter } from '${built('backend-wasm/binaryen.js')}';
    if (!isMainThread)
      Emitter.prototype.addFunction = () => {
        new BroadcastChannel('planted').postMessage('thrown');
        throw new Error('planted');
      };`;
  const script = `
    const translator = new background.BackgroundTranslator();
    const thrown = new BroadcastChannel('planted');
    translator.prepare();
    await new Promise((resolve) => (thrown.onmessage = resolve));
    thrown.close();${ASK}`;
  expect(run(script, plant)).toBe('planted');
});

test.each(['modules', 'bundle'] as const)(
  'an error in loading the %s is the answer to what is asked for',
  (into) => {
    const plant = `
    import { isMainThread } from 'node:worker_threads';
    const get = () => {
      throw new Error('planted');
    };
    if (!isMainThread) Object.defineProperty(globalThis, 'WebAssembly', { get });`;
    const script = `const translator = new background.BackgroundTranslator();${ASK}`;
    expect(run(script, plant, into)).toBe('planted');
  },
);

const withFlags = FLAGS_ARE_KNOWN ? test : test.skip;
withFlags('regions are optimised by V8 when they arrive, if that was asked for', () => {
  const script = `
    const translator = new background.BackgroundTranslator();
    const { WARM_UP } = await import('${built('runtime/warm-up.js')}');
    const tiers = [];
    for (const optimized of [false, true])
      translator.request({ ...WARM_UP, optimized }, ({ module }) => {
        const env = {};
        for (const { name, kind } of WebAssembly.Module.imports(module))
          env[name] = kind === 'memory' ? new WebAssembly.Memory({ initial: 1 }) : () => 0;
        const { region } = new WebAssembly.Instance(module, { env }).exports;
        tiers.push(optimized + ' ' + %IsTurboFanFunction(region));
      });
    translator.finish();
    console.log(tiers.sort().join('; '));`;
  expect(run(script)).toBe('false false; true true');
});

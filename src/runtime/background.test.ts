/** The worker that translates, as built, with errors planted in it; each in a process of its own. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageRoot } from './load-interpreter.js';
import { FLAGS_ARE_KNOWN } from './v8-flags.js';

/** Longer than any of it takes; one that waits in vain ends. */
const MILLISECONDS = 30_000;

const built = (path: string): string => pathToFileURL(join(packageRoot(), 'dist/src', path)).href;

/** Runs a script that has the module `background.js` as built as `background`, `plant` in front of it in each thread. */
function run(script: string, plant = ''): string {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [
      ...['--import', `data:text/javascript,${encodeURIComponent(plant)}`, '--allow-natives-syntax'],
      ...[
        '--input-type=module',
        '-e',
        `const background = await import('${built('runtime/background.js')}');${script}`,
      ],
    ],
    { encoding: 'utf8', timeout: MILLISECONDS },
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

test('an error while the translator is loaded is the answer to what is asked for', () => {
  const plant = `
    import { isMainThread } from 'node:worker_threads';
    const get = () => {
      throw new Error('planted');
    };
    if (!isMainThread) Object.defineProperty(globalThis, 'WebAssembly', { get });`;
  const script = `const translator = new background.BackgroundTranslator();${ASK}`;
  expect(run(script, plant)).toBe('planted');
});

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

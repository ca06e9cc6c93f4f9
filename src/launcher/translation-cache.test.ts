import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Engine } from '../runtime/engine.js';
import {
  cacheDirectoryFor,
  defaultCacheDirectory,
  translationFile,
  TranslationKeeper,
} from './translation-cache.js';

test('the default directory is that of the XDG specification, if there is one', () => {
  const cases: [NodeJS.ProcessEnv, string | undefined][] = [
    [{ XDG_CACHE_HOME: '/cache', HOME: '/home/x' }, '/cache/lguest-jit'],
    [{ XDG_CACHE_HOME: 'relative', HOME: '/home/x' }, '/home/x/.cache/lguest-jit'],
    [{ XDG_CACHE_HOME: '', HOME: '/home/x' }, '/home/x/.cache/lguest-jit'],
    [{ HOME: 'relative' }, undefined],
    [{}, undefined],
  ];
  for (const [env, directory] of cases) expect(defaultCacheDirectory(env)).toBe(directory);
});

test('false is none, a name is made', () => {
  const folder = mkdtempSync(join(tmpdir(), 'lguest-cache-'));
  expect(cacheDirectoryFor(false)).toBeUndefined();
  expect(cacheDirectoryFor(join(folder, 'new'))).toBe(join(folder, 'new'));
  expect(cacheDirectoryFor(join(folder, 'new'))).toBe(join(folder, 'new'));
  writeFileSync(join(folder, 'file'), '');
  expect(() => cacheDirectoryFor(join(folder, 'file'))).toThrow(/is no directory/);
  rmSync(folder, { recursive: true });
});

test('other kernels and sizes of memory have other files', () => {
  const kernel = new Uint8Array(100_000);
  const other = kernel.slice();
  other[1000] = 1;
  const files = [
    translationFile('/x', kernel, 1 << 20),
    translationFile('/x', kernel, 1 << 21),
    translationFile('/x', other, 1 << 20),
    translationFile('/x', kernel.subarray(1), 1 << 20),
  ];
  expect(new Set(files).size).toBe(files.length);
  for (const file of files) expect(dirname(file)).toBe('/x');
});

test('a machine keeps at its end, at restarts not too often, and after a bug never', () => {
  let kept = 0;
  const engine = { keep: () => [`kept ${++kept}`] } as unknown as Engine;
  const told: string[] = [];
  const keeper = new TranslationKeeper((line) => told.push(line));
  for (let i = 0; i < 5; i++) keeper.atRestart(engine);
  expect(told).toEqual(['kept 1']);
  keeper.atEnd(engine);
  expect(told).toEqual(['kept 1', 'kept 2']);
  keeper.failed = true;
  keeper.atEnd(engine);
  expect(kept).toBe(2);
});

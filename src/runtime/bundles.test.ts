/** When bundles run instead of modules, and with which of V8's code. */
import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isBundleOf } from './bundles.js';
import { packageRoot } from './load-interpreter.js';

const DIST = join(packageRoot(), 'dist');

let folder: string;
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'lguest-bundle-'))));
afterEach(() => rmSync(folder, { recursive: true }));

describe('a bundle is used', () => {
  const file = (name: string, seconds: number): string => {
    const path = join(folder, 'dist', name);
    mkdirSync(join(folder, 'dist'), { recursive: true });
    writeFileSync(path, '');
    utimesSync(path, seconds, seconds);
    return path;
  };

  test('if it is there', () => {
    expect(isBundleOf(join(folder, 'dist', 'bundle'), file('module', 2))).toBe(false);
    expect(isBundleOf(file('bundle', 2), file('module', 2))).toBe(true);
  });

  test('and not older than its modules where these are compiled', () => {
    expect(isBundleOf(file('bundle', 1), file('module', 2))).toBe(true);
    writeFileSync(join(folder, 'tsconfig.json'), '{}');
    expect(isBundleOf(file('bundle', 1), file('module', 2))).toBe(false);
    expect(isBundleOf(file('bundle', 2), file('module', 1))).toBe(true);
  });
});

/** Names of the package's scripts that ran in `lguest --version`, by Node's profiler. */
function scripts(environment: NodeJS.ProcessEnv, ...options: string[]): string[] {
  const args = ['--cpu-prof', `--cpu-prof-dir=${folder}`, ...options, join(DIST, 'src/launcher/main.js')];
  const env = { ...process.env, ...environment };
  const { status } = spawnSync(process.execPath, [...args, '--version'], { env });
  expect(status).toBe(0);
  const [profile] = readdirSync(folder);
  const { nodes } = JSON.parse(readFileSync(join(folder, profile!), 'utf8')) as {
    nodes: { callFrame: { url: string } }[];
  };
  return nodes.map(({ callFrame }) => callFrame.url.replace(/.*\//, ''));
}

test('the command is a bundle', () => {
  const ran = scripts({ NODE_OPTIONS: '' });
  expect(ran).toContain('lguest.js');
  expect(ran).not.toContain('command.js');
});

test.each([
  [{}, ['--import', 'data:text/javascript,']],
  [{ NODE_OPTIONS: '"--import=data:text/javascript,"' }, []],
  [{ NODE_OPTIONS: '--enable-source-maps' }, []],
])('but modules where somebody may want to change or to see them: %j %j', (environment, options) => {
  const ran = scripts(environment, ...options);
  expect(ran).not.toContain('lguest.js');
  expect(ran).toContain('command.js');
});

test('V8 gets the code of this very script, or none', () => {
  const bundle = join(folder, 'bundle.js');
  const source = (result: number): string => `// ${String(result).repeat(64)}\n(() => ${result})`;
  const run = `
    const bundles = require(${JSON.stringify(join(DIST, 'src/runtime/run-bundle.cjs'))});
    const fs = require('node:fs');
    const bundle = ${JSON.stringify(bundle)};
    const write = process.argv[1] === 'write';
    const script = bundles.scriptOf(bundle);
    const result = script.runInThisContext()();
    const digest = fs.readFileSync(bundle, 'latin1').slice(3, 67);
    if (write) fs.writeFileSync(bundle + '.cache', Buffer.concat([Buffer.from(digest), script.createCachedData()]));
    console.log(JSON.stringify([result, script.cachedDataRejected ?? null]));`;
  const result = (what: string): unknown =>
    JSON.parse(spawnSync(process.execPath, ['-e', run, what], { encoding: 'utf8' }).stdout);
  writeFileSync(bundle, source(5));
  expect(result('write')).toEqual([5, null]);
  expect(result('read')).toEqual([5, false]);
  writeFileSync(bundle, source(6));
  expect(result('read')).toEqual([6, null]);
});

/** Whoever reads what we print may go away, as `2>&1 | head` does: that is no bug of ours. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../src/runtime/load-interpreter.js';

const COMMAND = join(packageRoot(), 'dist', 'src', 'launcher', 'main.js');
/** As if SIGPIPE had ended it. */
const STATUS_PIPE = 141;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lguest-closed-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Runs the command without a reader for one of its streams. */
function run(
  closed: 'stdout' | 'stderr',
  args: string[],
  input: string,
  ending: 'input ends' | 'input stays',
): Promise<number | null> {
  const child = spawn(process.execPath, [COMMAND, ...args], { cwd: folder });
  child[closed].destroy();
  child[closed === 'stdout' ? 'stderr' : 'stdout'].resume();
  child.stdin.write(input);
  if (ending === 'input ends') child.stdin.end();
  return new Promise((resolve) => child.on('close', resolve));
}

test.each([
  [['--engine=interp', '--stats']],
  [['compare', '--to=1000']],
  [['explain', '--brief', 'c0100000']],
  [['--no-such-option']],
])('messages: %j', async (args) => {
  expect(await run('stderr', args, 'poweroff\n', 'input ends')).toBe(STATUS_PIPE);
  expect(readdirSync(folder)).toEqual([]);
});

test.each([[['--help']], [['compare', '--help']], [['--engine=interp']], [['compare', '--to=1e6']]])(
  'standard output: %j',
  async (args) => {
    expect(await run('stdout', args, 'poweroff\n', 'input ends')).toBe(STATUS_PIPE);
    expect(readdirSync(folder)).toEqual([]);
  },
);

test.each([['realtime'], ['virtual']])('a guest that waits for input is switched off: %s', async (clock) => {
  const args = ['--engine=interp', '--verbose', `--clock=${clock}`];
  expect(await run('stderr', args, 'echo one\n', 'input stays')).toBe(STATUS_PIPE);
  expect(readdirSync(folder)).toEqual([]);
});

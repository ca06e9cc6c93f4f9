/** Runs the `lguest` command as built and talks to its guest, as a person would. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { packageRoot } from '../src/runtime/load-interpreter.js';

export const COMMAND = join(packageRoot(), 'dist', 'src', 'launcher', 'main.js');

/** When the guest has printed `wait` (after what earlier steps waited for), `type` is typed. */
export interface Step {
  wait: string;
  type: string;
}

export interface Result {
  /** Exit status of the command; null if it was killed. */
  status: number | null;
  out: string;
  error: string;
}

const MILLISECONDS = 60_000;

/**
 * Runs the command through all steps to its end; a text is typed at once, and is all there is. A guest that does not get there is killed, and what it printed is in
 * the error.
 */
export function converse(args: readonly string[], input: readonly Step[] | string): Promise<Result> {
  const steps = typeof input === 'string' ? [] : input;
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [COMMAND, ...args]);
    const result: Result = { status: null, out: '', error: '' };
    let step = 0;
    let seen = 0;
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      const waiting = steps[step] ? `"${steps[step].wait}"` : 'the end';
      reject(new Error(`${args.join(' ')}: waited for ${waiting} in vain\n${result.out}\n${result.error}`));
    }, MILLISECONDS);
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      result.out += text;
      for (; step < steps.length; step++) {
        const at = result.out.indexOf(steps[step]!.wait, seen);
        if (at < 0) break;
        seen = at + steps[step]!.wait.length;
        child.stdin.write(steps[step]!.type);
      }
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => (result.error += text));
    child.stdin.on('error', () => undefined); // The guest may end while something is being typed.
    if (typeof input === 'string') child.stdin.end(input);
    child.on('close', (status) => {
      clearTimeout(timer);
      resolve({ ...result, status });
    });
  });
}

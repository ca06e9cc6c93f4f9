/** The `lguest` command as built, and `Machine` as a library, with the default guest. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Machine, UserError } from '../src/index.js';
import { elf } from '../src/launcher/testing/small-elf.js';
import { packageRoot } from '../src/runtime/load-interpreter.js';

const COMMAND = join(packageRoot(), 'dist', 'src', 'launcher', 'main.js');
const DEFAULT_GUEST = join(packageRoot(), 'test', 'roms', 'default', 'default.elf');

interface Result {
  status: number | null;
  out: string;
  error: string;
}

/** Runs the command with `input` on a pipe that is closed afterwards, unless `keepOpen`. */
function lguest(
  args: string[],
  input = '',
  onOutput?: (out: string, kill: (s: NodeJS.Signals) => void) => void,
) {
  return new Promise<Result>((resolve) => {
    const child = spawn(process.execPath, [COMMAND, ...args], { cwd: folder });
    const result: Result = { status: null, out: '', error: '' };
    child.stdout.on('data', (data: Buffer) => {
      result.out += data.toString();
      onOutput?.(result.out, (signal) => child.kill(signal));
    });
    child.stderr.on('data', (data: Buffer) => (result.error += data.toString()));
    child.on('close', (status) => resolve({ ...result, status }));
    // It may end before it has read all.
    child.stdin.on('error', () => undefined);
    if (onOutput) child.stdin.write(input);
    else child.stdin.end(input);
  });
}

/** A kernel that makes itself known (hypercall 1) and sleeps (10), again and again. It has no console. */
const SLEEPER = elf(
  Uint8Array.of(
    ...new Array<number>(16).fill(0x90),
    // mov [lguest_data.kernel_address], 0xc0000000; mov [lguest_data.syscall_vec], 0x80
    ...[0xc7, 0x05, 0x68, 0x25, 0x10, 0, 0, 0, 0, 0xc0],
    ...[0xc7, 0x05, 0x6c, 0x25, 0x10, 0, 0x80, 0, 0, 0],
    // mov eax, 1; mov ebx, lguest_data; int 0x1f
    ...[0xb8, 1, 0, 0, 0, 0xbb, 0, 0x20, 0x10, 0, 0xcd, 0x1f],
    // again: mov eax, 10; int 0x1f; jmp again
    ...[0xb8, 10, 0, 0, 0, 0xcd, 0x1f, 0xeb, 0xf7],
  ),
);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'lguest-test-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('the command', () => {
  test('runs the default guest from a pipe; power-off is status 0', async () => {
    const result = await lguest([], 'echo one two\npoweroff\n');
    expect(result.out).toContain('\none two');
    expect(result).toMatchObject({ status: 0, error: '' });
  });

  test('restarts, and input goes on in the new guest', async () => {
    const result = await lguest(['--json'], 'reboot\necho again\npoweroff\n');
    expect(result.out.match(/Type help/g)).toHaveLength(2);
    expect(result.out).toContain('\nagain');
    expect(result.status).toBe(0);
    expect(JSON.parse(result.error)).toMatchObject({ restarts: 1 });
  });

  test('a panic and a death end with status 3 and one line', async () => {
    const panic = await lguest([], 'panic all is lost\n');
    expect(panic).toMatchObject({ status: 3, error: 'lguest: the guest panicked: all is lost\n' });
    const death = await lguest([], 'crash\n');
    expect(death.status).toBe(3);
    expect(death.error).toMatch(/^lguest: guest died at eip 0xc01\w+: unhandled trap 0\n$/);
  });

  test('a death names the place if its symbols are known', async () => {
    const map = join(folder, 'System.map');
    const lines = Array.from(
      { length: 32 },
      (_, i) => `${(0xc0100000 + 4096 * i).toString(16)} T page_${i}\n`,
    );
    writeFileSync(map, lines.join(''));
    const death = await lguest([`--symbols=${map}`], 'crash\n');
    expect(death.error).toMatch(
      /^lguest: guest died at eip 0xc01\w+ \(page_\d+(\+0x\w+)?\): unhandled trap 0\n$/,
    );
    const none = await lguest([`--symbols=${join(folder, 'nothing')}`]);
    expect(none).toMatchObject({ status: 2 });
    expect(none.error).toMatch(/^lguest: Symbols .* cannot be read: there is no such file\.\n$/);
  });

  test('a guest that nothing can wake does not hang', async () => {
    const result = await lguest([]);
    expect(result.status).toBe(3);
    expect(result.error).toMatch(/nothing can wake it\n$/);
  });

  // The input of the second fills all there is room for, so that its end does not come.
  test.each([10, 10_000_000])('nor does one that takes none of %i bytes of input', async (bytes) => {
    const kernel = join(folder, 'sleeper.elf');
    writeFileSync(kernel, SLEEPER);
    const result = await lguest(['16', kernel], 'x'.repeat(bytes));
    expect(result.status).toBe(3);
    expect(result.error).toMatch(/it does not take its input, and nothing can wake it\n$/);
  });

  test('the disk keeps what was written, over a restart too', async () => {
    const disk = join(folder, 'disk.img');
    writeFileSync(disk, new Uint8Array(8192));
    const result = await lguest(
      [`--block=${disk}`, '16', DEFAULT_GUEST],
      'disk write 3 kept\nreboot\ndisk 3\ndisk 16\npoweroff\n',
    );
    expect(result.status).toBe(0);
    expect(result.out).toMatch(/6b 65 70 74 00.*kept/);
    expect(result.out).toContain('sector 16: input/output error');
    expect(readFileSync(disk).subarray(1536, 1540).toString()).toBe('kept');
  });

  test('signals end it with the shell’s status, the disk as it should be', async () => {
    const disk = join(folder, 'signal.img');
    writeFileSync(disk, new Uint8Array(8192));
    for (const [signal, status] of [
      ['SIGTERM', 143],
      ['SIGHUP', 129],
      ['SIGINT', 130],
    ] as const) {
      // Once: while Node takes itself down a signal has its default action again.
      let sent = false;
      const result = await lguest([`--block=${disk}`], `disk write 1 ${signal}\n`, (out, kill) => {
        if (sent || !out.includes('sector 1 written')) return;
        sent = true;
        kill(signal);
      });
      expect(result.status).toBe(status);
      expect(
        readFileSync(disk)
          .subarray(512, 512 + signal.length)
          .toString(),
      ).toBe(signal);
    }
  });

  test('with the virtual clock two runs are the same', async () => {
    const input = 'date\nrandom\nuptime\nsleep 50\nbench sieve 1\nirqs\nuptime\npoweroff\n';
    const args = ['--clock=virtual', '--rng', '--json'];
    const [a, b] = [await lguest(args, input), await lguest(args, input)];
    expect(a.status).toBe(0);
    expect(a.out).toContain('2013-07-01 00:00:00');
    expect(b.out).toBe(a.out);
    const count = (text: string): number => (JSON.parse(text) as { instructions: number }).instructions;
    expect(count(b.error)).toBe(count(a.error));
  });

  test('bad input: one sentence, status 2, nothing created', async () => {
    const empty = join(folder, 'empty');
    writeFileSync(empty, '');
    const before = readdirSync(folder);
    const cases: [string[], RegExp][] = [
      [['abc', 'vmlinux'], /not a number/],
      [['1', DEFAULT_GUEST], /too small/],
      [['64', 'missing'], /no such file/],
      [['64', folder], /is a directory/],
      [['64', empty], /is empty/],
      [['64', process.execPath], /cannot be loaded/],
      [['--block=missing.img', '64', DEFAULT_GUEST], /no such file/],
      [[`--block=${folder}`, '64', DEFAULT_GUEST], /is a directory/],
      [['--initrd=missing', '64', DEFAULT_GUEST], /no such file/],
      [[`--initrd=${process.execPath}`, '16', DEFAULT_GUEST], /too big/],
      [['--nonsense'], /nknown option/],
      [[`--cache=${join(folder, 'none', 'none', 'none')}`], /no such file/],
      [[`--cache=${empty}`], /is no directory/],
      [['--cache='], /name of a directory/],
    ];
    for (const [args, message] of cases) {
      const result = await lguest(args);
      expect(result.error).toMatch(message);
      expect(result.error).toMatch(/^lguest: [^\n]+\.\n$/);
      expect(result).toMatchObject({ status: 2, out: '' });
    }
    expect(readdirSync(folder)).toEqual(before);
  });
});

describe('the library', () => {
  const text = (parts: Uint8Array[]): string => Buffer.concat(parts).toString();

  test('a machine in memory', async () => {
    const printed: Uint8Array[] = [];
    const disk = new Uint8Array(4096);
    const machine = new Machine({
      disks: [{ data: disk }],
      onConsole: (bytes) => void printed.push(bytes),
    });
    machine.write('disk write 2 library\r');
    machine.write('poweroff\r');
    expect(await machine.run()).toMatchObject({ reason: 'poweroff', status: 0 });
    expect(text(printed)).toContain('sector 2 written');
    expect(Buffer.from(disk).subarray(1024, 1031).toString()).toBe('library');
    expect(machine.stats.instructions).toBeGreaterThan(10_000);
  });

  test('a reader that needs time holds the guest', async () => {
    let open = 0;
    let most = 0;
    const machine = new Machine({
      inputByLines: true,
      onConsole: () => {
        most = Math.max(most, ++open);
        return new Promise((resolve) =>
          setTimeout(() => {
            open = 0;
            resolve();
          }, 1),
        );
      },
    });
    machine.write('poweroff\r');
    expect((await machine.run()).status).toBe(0);
    expect(most).toBeGreaterThan(0);
  });

  test('stop', async () => {
    const machine = new Machine({});
    setTimeout(() => machine.stop('enough'), 50);
    expect(await machine.run()).toEqual({ reason: 'stopped', message: 'enough', status: 0 });
  });

  test('runFor is exact, and slices make no difference with the virtual clock', () => {
    const run = (slices: number[]): string => {
      const printed: Uint8Array[] = [];
      const machine = new Machine({ clock: 'virtual', onConsole: (bytes) => void printed.push(bytes) });
      machine.write('uptime\rpoweroff\r');
      let count = 0;
      for (let i = 0; !machine.exit; i++) {
        count += slices[i % slices.length]!;
        if (machine.runFor(slices[i % slices.length]!) === 'budget') expect(machine.instructions).toBe(count);
      }
      return `${machine.instructions} ${text(printed)}`;
    };
    expect(run([997])).toBe(run([1 << 20]));
  });

  test('user errors are thrown by the constructor', () => {
    expect(() => new Machine({ memoryMiB: 1.5 })).toThrow(UserError);
    expect(() => new Machine({ kernel: new Uint8Array(10) })).toThrow(/neither an ELF file/);
  });
});

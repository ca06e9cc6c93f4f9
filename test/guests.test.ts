/**
 * Linux kernels of others, from the folder that the environment variable LGUEST_GUESTS names:
 *
 *   3.10/vmlinux, 3.10/bzImage     Linux 3.10 with CONFIG_LGUEST_GUEST
 *   3.10-pae/vmlinux, …/bzImage    the same with CONFIG_X86_PAE
 *   initrd-shell.gz                prints LGUEST-READY, then a shell with the prompt "lguest# "; powers off after `exit`
 *   initrd-selftest.gz             prints "ok …" lines and SELFTEST-OK, and powers off
 *   disk.img                       ext2, with /hello.txt
 *
 * What is missing is skipped, and the test's name says so.
 */
import { jest } from '@jest/globals';
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MachineStats } from '../src/index.js';
import { converse, type Step } from './conversation.js';

// Several machines run one after the other in some tests.
jest.setTimeout(200_000);

const GUESTS = process.env['LGUEST_GUESTS'] ?? '';

const skipped: string[] = [];

/** Registers a test that needs `files` of the guests' folder. */
function guestTest(name: string, files: readonly string[], body: () => Promise<void>): void {
  const missing = GUESTS ? files.filter((file) => !existsSync(join(GUESTS, file))) : files;
  if (missing.length === 0) {
    test(name, body);
    return;
  }
  skipped.push(`${name} (needs ${missing.join(', ')})`);
  test.skip(`${name}: needs ${missing.join(', ')}`, body);
}

const guest = (file: string): string => join(GUESTS, file);
const SHELL = 'initrd-shell.gz';
const SELF_TEST = 'initrd-selftest.gz';
const PROMPT = 'lguest# ';

const boot = (
  kernel: string,
  options: readonly string[] = [],
  kernelArguments: readonly string[] = [],
): string[] => [`--initrd=${guest(SHELL)}`, ...options, '64', guest(kernel), ...kernelArguments];

const TYPED: Step[] = [
  { wait: PROMPT, type: 'echo $((6 * 7)) is it\n' },
  { wait: PROMPT, type: 'cat /proc/cmdline\n' },
  { wait: PROMPT, type: 'exit\n' },
];

describe('to a shell, commands, power-off', () => {
  const cases: [kernel: string, options: string[]][] = [
    ['3.10/bzImage', ['--unpack=host']],
    ['3.10/bzImage', ['--unpack=guest']],
    ['3.10/vmlinux', []],
    ['3.10-pae/bzImage', ['--unpack=host']],
    ['3.10-pae/bzImage', ['--unpack=guest']],
    ['3.10-pae/vmlinux', []],
  ];
  for (const [kernel, options] of cases)
    guestTest([kernel, ...options].join(' '), [kernel, SHELL], async () => {
      const result = await converse(boot(kernel, options, ['quiet', 'word=1']), TYPED);
      expect(result.out).toContain('LGUEST-READY');
      expect(result.out).toContain('\n42 is it');
      expect(result.out).toContain('\nquiet word=1');
      expect(result).toMatchObject({ status: 0, error: '' });
    });
});

describe('the self-test of the guest’s userland', () => {
  for (const kernel of ['3.10/bzImage', '3.10-pae/bzImage'])
    guestTest(`self-test on ${kernel}`, [kernel, SELF_TEST], async () => {
      const result = await converse([`--initrd=${guest(SELF_TEST)}`, '--rng', '64', guest(kernel)], []);
      expect(result.out).not.toContain('FAIL ');
      expect(result.out.match(/^ok {3}/gm)?.length).toBeGreaterThan(10);
      expect(result.out).toContain('SELFTEST-OK');
      expect(result).toMatchObject({ status: 0, error: '' });
    });
});

guestTest('reboot starts it again, poweroff ends it', ['3.10/bzImage', SHELL], async () => {
  const result = await converse(boot('3.10/bzImage', ['--json']), [
    { wait: PROMPT, type: 'reboot -f\n' },
    { wait: 'LGUEST-READY', type: '' },
    { wait: PROMPT, type: 'poweroff -f\n' },
  ]);
  expect(result.out.match(/Linux version 3\.10/g)).toHaveLength(2);
  expect(result.status).toBe(0);
  expect(JSON.parse(result.error)).toMatchObject({ restarts: 1 });
});

describe('translations of an earlier launch', () => {
  let folder: string;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'lguest-guests-'))));
  afterEach(() => rmSync(folder, { recursive: true }));

  /** Counters of a launch that makes many processes, and perhaps restarts and makes some more. */
  async function counters(option: string, restart = false): Promise<Readonly<Record<string, number>>> {
    const forks = 'i=0; while [ $i -lt 1500 ]; do i=$((i+1)); /bin/true; done; echo $i done\n';
    const again = [
      { wait: '\n1500 done', type: '' },
      { wait: PROMPT, type: 'reboot -f\n' },
      { wait: 'LGUEST-READY', type: '' },
      { wait: PROMPT, type: forks },
    ];
    const result = await converse(boot('3.10/bzImage', ['--json', option]), [
      { wait: PROMPT, type: forks },
      ...(restart ? again : []),
      { wait: '\n1500 done', type: '' },
      { wait: PROMPT, type: 'exit\n' },
    ]);
    expect(result.status).toBe(0);
    return (JSON.parse(result.error) as MachineStats).counters;
  }

  guestTest('are used by the next', ['3.10/bzImage', SHELL], async () => {
    const cache = `--cache=${join(folder, 'cache')}`;
    const first = await counters(cache);
    expect(first['kept translations read']).toBe(0);
    const second = await counters(cache);
    expect(second['kept translations read']).toBe(first['regions live']);
    expect(second['kept translations used']).toBeGreaterThan(0);
    const without = await counters('--no-cache');
    expect(without['kept translations read']).toBeUndefined();
  });

  guestTest('are used when the guest restarts', ['3.10/bzImage', SHELL], async () => {
    const { 'kept translations used': used } = await counters(`--cache=${join(folder, 'cache')}`, true);
    expect(used).toBeGreaterThan(0);
  });
});

guestTest('a panic is status 3, in one line', ['3.10/bzImage'], async () => {
  const result = await converse(['64', guest('3.10/bzImage'), 'panic=0'], []);
  expect(result.status).toBe(3);
  expect(result.error).toMatch(/^lguest: the guest panicked: .*Unable to mount root fs[^\n]*\n$/);
});

describe('a disk', () => {
  let folder: string;
  let disk: string;
  const check = { wait: PROMPT, type: 'mkdir -p /mnt && mount /dev/vda /mnt && cat /mnt/hello.txt\n' };
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'lguest-guests-'));
    disk = join(folder, 'disk.img');
    copyFileSync(guest('disk.img'), disk);
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  guestTest(
    'its file system survives a restart and a power-off',
    ['3.10/bzImage', SHELL, 'disk.img'],
    async () => {
      const written = await converse(boot('3.10/bzImage', [`--block=${disk}`]), [
        check,
        { wait: PROMPT, type: 'seq 1 20000 > /mnt/numbers && umount /mnt && reboot -f\n' },
        { wait: 'LGUEST-READY', type: '' },
        check,
        { wait: PROMPT, type: 'md5sum /mnt/numbers; echo more >> /mnt/numbers; umount /mnt; exit\n' },
      ]);
      expect(written.out.match(/^hello from disk\.img/gm)).toHaveLength(2);
      expect(written.out).toContain('e071f707df7bbeee2a6a1eb48011ddd0  /mnt/numbers');
      expect(written.status).toBe(0);
      const again = await converse(boot('3.10-pae/bzImage', [`--block=${disk},ro`]), [
        {
          wait: PROMPT,
          type: 'mkdir /mnt; mount -r /dev/vda /mnt; tail -n 2 /mnt/numbers; echo no > /dev/vda\n',
        },
        { wait: PROMPT, type: 'exit\n' },
      ]);
      expect(again.out).toMatch(/\n20000\r?\nmore/);
      expect(again.status).toBe(0);
    },
  );
});

describe('in lockstep with the interpreter while the kernel patches itself (paravirt calls, alternatives)', () => {
  for (const [engine, instructions] of [
    ['jit', 12_000_000],
    ['auto', 150_000_000],
  ] as const)
    guestTest(engine, ['3.10/bzImage', SHELL], async () => {
      const options = [`--engine=${engine}`, `--to=${instructions}`, '--stats'];
      const result = await converse(['compare', ...boot('3.10/bzImage', options)], '');
      expect(result.error).toContain(`no difference between interp and ${engine} in ${instructions} instr`);
      expect(Number(/code invalidations: (\d+)/.exec(result.error)![1])).toBeGreaterThan(50);
      expect(result.status).toBe(0);
    });
});

guestTest('with the virtual clock two runs are the same', ['3.10/bzImage', SHELL], async () => {
  const run = async (): Promise<[out: string, counts: unknown]> => {
    const args = boot('3.10/bzImage', ['--clock=virtual', '--rng', '--json']);
    const { status, out, error } = await converse(args, 'head -c 16 /dev/urandom | md5sum\ndate\nexit\n');
    expect(status).toBe(0);
    const { instructions, counters } = JSON.parse(error) as MachineStats;
    // How often the engine's caches helped depends on where the event loop cut the run; what the guest did does not.
    const guestCounters = Object.entries(counters).filter(([name]) => /hypercall|trap|interrupt/.test(name));
    return [out, { instructions, guestCounters }];
  };
  const first = await run();
  expect(first[0]).toContain('Jul  1 00:00');
  expect(await run()).toEqual(first);
});

if (skipped.length > 0) {
  const why = GUESTS ? `${GUESTS} lacks files` : 'LGUEST_GUESTS names no folder with Linux guests';
  process.stderr.write(`test/guests.test.ts: ${why}; skipped:\n  ${skipped.join('\n  ')}\n`);
}

import { EXIT_STATUS, UserError } from './errors.js';
import { parseCommandLine, type LaunchOptions } from './options.js';

const parse = (line: string): LaunchOptions => {
  const result = parseCommandLine(line.split(' ').filter(Boolean), '1.2.3');
  if ('information' in result) throw new Error(result.information);
  return result;
};

describe('command line', () => {
  test('nothing at all is the default guest', () => {
    const options = parse('');
    expect(options.kernel).toBeUndefined();
    expect(options.memoryMiB).toBeUndefined();
    expect(options).toMatchObject({ args: [], disks: [], clock: 'realtime', unpack: 'host', rng: false });
  });

  test('options before the kernel are ours, those behind it the kernel’s', () => {
    const options = parse(
      '--verbose --block=a.img --block b.img,ro --initrd=i.gz --rng 64 vmlinux --rng root=/dev/vda --block=x -- -h',
    );
    expect(options).toMatchObject({
      memoryMiB: 64,
      kernel: 'vmlinux',
      initrd: 'i.gz',
      verbose: true,
      rng: true,
      disks: [
        { path: 'a.img', readOnly: false },
        { path: 'b.img', readOnly: true },
      ],
    });
    expect(options.args).toEqual(['--rng', 'root=/dev/vda', '--block=x', '--', '-h']);
  });

  test('time, seed and clock', () => {
    const options = parse('--clock=virtual --seed=0x10 --time=2013-07-01T00:00:00Z');
    expect(options).toMatchObject({ clock: 'virtual', seed: 16 });
    expect(options.epoch!.getTime()).toBe(Date.UTC(2013, 6, 1));
    expect(parse('--time=60').epoch!.getTime()).toBe(60_000);
  });

  test.each([
    ['abc vmlinux', /Memory size "abc" is not a number of MiB/],
    ['-1 vmlinux', /not a number of MiB/],
    ['0 vmlinux', /too small/],
    ['99999 vmlinux', /too big/],
    ['1e3 vmlinux', /not a number/],
    ['--clock=x', /clock/],
    ['--seed=x', /Seed "x"/],
    ['--time=never', /Time "never"/],
    ['--block=', /needs the name of a file/],
    ['--block=,ro', /needs the name of a file/],
    ['--initrd', /argument missing/],
    ['--bogus', /Unknown option '--bogus'.*lguest --help/],
  ])('%s', (line, message) => {
    expect(() => parse(line)).toThrow(UserError);
    expect(() => parse(line)).toThrow(message);
  });

  test('help and version are information', () => {
    expect(parseCommandLine(['--version'], '1.2.3')).toEqual({ information: '1.2.3\n' });
    expect(parseCommandLine(['--help'], '1.2.3')).toMatchObject({
      information: expect.stringContaining('--block <file>') as unknown as string,
    });
  });

  test('help tells every exit status', () => {
    const { information } = parseCommandLine(['--help'], '1') as { information: string };
    for (const status of Object.values(EXIT_STATUS)) expect(information).toMatch(new RegExp(`\\b${status} `));
  });
});

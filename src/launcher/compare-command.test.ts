import { expect, test } from '@jest/globals';
import { COMPARE, runCompare } from './compare-command.js';
import { UserError } from './errors.js';
import { parseCommandLine } from './options.js';

/** Compares the built-in guest, which is switched off by what is typed. */
function run(...argv: string[]): { status: number; said: string; printed: string } {
  const options = parseCommandLine(argv, '1', COMPARE);
  if ('information' in options) throw new Error(options.information);
  let said = '';
  let printed = '';
  const status = runCompare(options, {
    input: Buffer.from('poweroff\r'),
    onConsole: (bytes) => (printed += Buffer.from(bytes).toString('latin1')),
    say: (text) => (said += text),
    argv,
  });
  return { status, said, printed };
}

test.each([
  [['--json'], /Unknown option '--json'.*lguest compare --help/],
  [['--verbose'], /Unknown option '--verbose'/],
  [['--clock=realtime'], /Allowed choices are virtual/],
  [['--to=1', '--from=10'], /^--from 10 is behind --to 1: nothing would be compared\.$/],
  [['--with=interp', '--from=1e9'], /^The guest does not come as far as --from 1000000000: .*poweroff.*\.$/],
  [['--symbols=/no/such/file'], /cannot be read/],
] as const)('%j is refused', (argv, message) => {
  expect(() => run(...argv)).toThrow(UserError);
  expect(() => run(...argv)).toThrow(message);
});

test('what the guest prints before the comparison begins is printed, and once', () => {
  const all = run('--clock=virtual', '--engine=interp', '--every=10000');
  expect(all).toMatchObject({ status: 0, said: expect.stringContaining('no difference') as unknown });
  expect(all.printed).toContain('lguest> poweroff');
  const count = /in (\d+) instructions/.exec(all.said)![1]!;
  expect(run('--engine=interp', '--every=10000', `--from=${count}`).printed).toBe(all.printed);
});

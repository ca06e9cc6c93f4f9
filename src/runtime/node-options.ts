/** What Node was started with, on its command line and in NODE_OPTIONS. */

/** An option's name: `--no_some_flag`, `--no-some-flag` and `--some-flag=1` are about one flag. */
export function nameOf(option: string): string {
  return option
    .replace(/=.*/s, '')
    .replaceAll('_', '-')
    .replace(/^--(no-?)?/, '');
}

/** Names of all options given; values that stand alone are among them. */
export function givenOptions(): Set<string> {
  const environment = (process.env['NODE_OPTIONS'] ?? '').replaceAll('"', '').split(/\s+/);
  return new Set([...process.execArgv, ...environment].map(nameOf));
}

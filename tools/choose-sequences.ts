/**
 * Chooses the interpreter's fast handlers by profiles of `tools/profile-forms`, and prints `src/runtime/hot-forms.ts`:
 *
 *     node dist/tools/choose-sequences.js SEQUENCES PROFILE[,BOOT]=WEIGHT... > src/runtime/hot-forms.ts
 *
 * A profile counts by its weight, however long it is, less the entries that a profile of the same boot alone has. The two
 * neighbours (forms, or sequences by then) that follow each other most often become a sequence, again and again;
 * `SequenceTable` covers blocks with what comes out of it.
 */
import { readFileSync } from 'node:fs';
import { canBeHot } from '../src/backend-wasm/interpreter-hot-handlers.js';
import { allForms, formName } from '../src/frontend-x86/forms.js';
import { formEndsBlock } from '../src/frontend-x86/block-ends.js';
import { liftForm } from '../src/runtime/build-interpreter.js';
import { SequenceTable } from '../src/runtime/sequences.js';

/** Longer ones save little more, and their code is not shared. */
const LONGEST = 4;
const SINGLES = 300;
const SEPARATOR = ';';

interface Run {
  /** What it consists of: forms by number, or sequences of them. */
  parts: (readonly number[])[];
  readonly weight: number;
}

const [wanted, ...profiles] = process.argv.slice(2);
const symbols = [...allForms()];
const byName = new Map(symbols.map((form) => [formName(form), form.form]));
const inSequences = symbols.map((form) => canBeHot(liftForm(form).block));
const last = symbols.map((form) => formEndsBlock(form));

/** How often blocks of so many forms ran, by the forms' names. */
function readProfile(file: string): Map<string, number> {
  const { blocks } = JSON.parse(readFileSync(file, 'utf8')) as { blocks: [number, string[]][] };
  return new Map(blocks.map(([count, names]) => [names.join(SEPARATOR), count]));
}

/** The blocks of all profiles with their shares. */
function readRuns(): Run[] {
  const weights = new Map<string, number>();
  for (const profile of profiles) {
    const [files, weight] = profile.split('=');
    const [file, boot] = files!.split(',');
    const before = boot === undefined ? undefined : readProfile(boot);
    const counts = [...readProfile(file!)]
      .map(([key, count]) => [key, count - (before?.get(key) ?? 0)] as const)
      .filter(([, count]) => count > 0);
    const total = counts.reduce((sum, [key, count]) => sum + count * key.split(SEPARATOR).length, 0);
    for (const [key, count] of counts)
      weights.set(key, (weights.get(key) ?? 0) + (Number(weight) * count) / total);
  }
  return [...weights].map(([key, weight]) => ({
    parts: key.split(SEPARATOR).flatMap((name) => {
      const form = byName.get(name);
      return form === undefined ? [] : [[form]];
    }),
    weight,
  }));
}

/** The sequence of two neighbours as a key, or undefined if there can be none. */
function joined(a: readonly number[], b: readonly number[]): string | undefined {
  if (a.length + b.length > LONGEST) return undefined;
  const forms = [...a, ...b];
  if (!forms.every((form) => inSequences[form]) || a.some((form) => last[form])) return undefined;
  return `${a.join()}${SEPARATOR}${b.join()}`;
}

/** Adds (sign 1) or takes away (-1) what a run's neighbours count. */
function count({ parts, weight }: Run, counts: Map<string, number>, sign: 1 | -1): void {
  for (let i = 0; i + 1 < parts.length; i++) {
    const key = joined(parts[i]!, parts[i + 1]!);
    if (key !== undefined) counts.set(key, (counts.get(key) ?? 0) + sign * weight);
  }
}

function choose(runs: readonly Run[], wantedCount: number): number[][] {
  const counts = new Map<string, number>();
  for (const run of runs) count(run, counts, 1);
  const chosen = new Map<string, number[]>();
  while (chosen.size < wantedCount) {
    let best = '';
    for (const [key, n] of counts) if (best === '' || n > counts.get(best)!) best = key;
    if (best === '') break;
    const [a, b] = best.split(SEPARATOR);
    const forms = `${a!},${b!}`.split(',').map(Number);
    chosen.set(forms.join(), forms);
    for (const run of runs) {
      const { parts } = run;
      const at = (i: number): boolean =>
        i + 1 < parts.length && parts[i]!.join() === a && parts[i + 1]!.join() === b;
      if (!parts.some((_, i) => at(i))) continue;
      count(run, counts, -1);
      const next: (readonly number[])[] = [];
      for (let i = 0; i < parts.length; i++) next.push(at(i) ? [...parts[i]!, ...parts[++i]!] : parts[i]!);
      run.parts = next;
      count(run, counts, 1);
    }
    counts.delete(best);
  }
  return [...chosen.values()];
}

const runs = readRuns();
const blocks = runs.map(({ parts, weight }) => ({ forms: parts.flat(), weight }));
const sequences = choose(runs, Number(wanted));

// What blocks covered with these take, by sequence (from 1 on) and by form.
const table = new SequenceTable(sequences.map((forms, i) => ({ forms, handler: i + 1 })));
const uses = new Map<number, number>();
const alone = new Map<number, number>();
let handlers = 0;
let instructions = 0;
for (const { forms, weight } of blocks) {
  table.cover(forms.map((form) => ({ form })));
  instructions += forms.length * weight;
  for (let i = 0; i < forms.length;) {
    const handler = table.handlerAt(i);
    const [counts, key] = handler === 0 ? [alone, forms[i]!] : [uses, handler];
    counts.set(key, (counts.get(key) ?? 0) + weight);
    handlers += weight;
    i += handler === 0 ? 1 : sequences[handler - 1]!.length;
  }
}
const hottest = (counts: ReadonlyMap<number, number>): number[] =>
  [...counts].sort((a, b) => b[1] - a[1]).map(([key]) => key);
const quoted = (form: number): string => `'${formName(form)}'`;
const lines = [
  '/**',
  ' * What guests execute most, by tools/profile-forms and tools/choose-sequences on the programs of the default guest and',
  ' * on Linux booting, forking, executing, faulting and calling itself: this decides which handlers are fast, and nothing',
  ' * else. By profiles of the boot and of loads less the boot, and their weights:',
  ' *',
  ` *     choose-sequences ${[wanted, ...profiles].join(' ').replaceAll(/[^ ,]*\/|\.json/g, '')}`,
  ' */',
  '',
  '/** Instruction forms, by how often they run outside the sequences, the hottest first. */',
  'export const HOT_FORMS: readonly string[] = [',
  ...hottest(alone)
    .slice(0, SINGLES)
    .map((form) => `  ${quoted(form)},`),
  '];',
  '',
  '/** Runs of forms that get one handler, the hottest first. */',
  'export const HOT_SEQUENCES: readonly (readonly string[])[] = [',
  ...hottest(uses).map((handler) => `  [${sequences[handler - 1]!.map(quoted).join(', ')}],`),
  '];',
];
console.log(lines.join('\n'));
console.error(
  `${sequences.length} sequences: ${(handlers / instructions).toFixed(3)} handlers per instruction`,
);

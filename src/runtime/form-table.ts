/** The interpreter's form table, and the file that the build puts it into: short, because every start reads it. */
import type { InterpreterForm, InterpreterSequence } from '../backend-wasm/interpreter.js';
import type { RecordLayout } from '../backend-wasm/record.js';

export interface FormTable {
  readonly forms: readonly InterpreterForm[];
  readonly sequences: readonly InterpreterSequence[];
}

/** Forms share a few layouts, which stand in the file once each. */
interface FileContents {
  readonly layouts: readonly RecordLayout[];
  /** `layout` is an index; `slow` is 0 for none. */
  readonly forms: readonly (readonly [id: number, layout: number, handler: number, slow: number])[];
  readonly sequences: readonly InterpreterSequence[];
}

/** The file's text. */
export function formTableText({ forms, sequences }: FormTable): string {
  const layouts: RecordLayout[] = [];
  const numbers = new Map<string, number>();
  const numberOf = (layout: RecordLayout): number => {
    const key = JSON.stringify(layout);
    const known = numbers.get(key) ?? numbers.size;
    if (known === numbers.size) layouts.push(layout);
    numbers.set(key, known);
    return known;
  };
  const contents: FileContents = {
    forms: forms.map(({ id, layout, handler, slow = 0 }) => [id, numberOf(layout), handler, slow] as const),
    layouts,
    sequences,
  };
  return JSON.stringify(contents);
}

/** What `formTableText` was given; forms with equal layouts share one object. */
export function readFormTable(text: string): FormTable {
  const { layouts, forms, sequences } = JSON.parse(text) as FileContents;
  return {
    forms: forms.map(([id, layout, handler, slow]) => ({
      id,
      handler,
      layout: layouts[layout]!,
      ...(slow !== 0 && { slow }),
    })),
    sequences,
  };
}

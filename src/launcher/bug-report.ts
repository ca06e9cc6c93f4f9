/** Reports of our own bugs: a file with everything that is known, for whoever has to find the error. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Engine } from '../runtime/engine.js';
import { packageRoot } from '../runtime/load-interpreter.js';
import { COMPARED_SLOTS } from '../runtime/lockstep.js';
import { TranslatorBug } from '../runtime/translator-bug.js';
import { decodePage, hex8, listing, place, RegionText } from './region-text.js';
import { PAGE } from '../frontend-x86/limits.js';

/** Of COMPARED_SLOTS, the ones worth a line: general registers and eip. */
const SHOWN_SLOTS = 9;
/** Instructions at eip. */
const SHOWN_INSTRUCTIONS = 16;

export interface BugContext {
  readonly argv: readonly string[];
  /** What the guest was doing, in a line. */
  readonly guestState: string;
}

function packageFacts(): { version: string; binaryen: string } {
  const text = readFileSync(join(packageRoot(), 'package.json'), 'utf8');
  const { version, dependencies } = JSON.parse(text) as {
    version: string;
    dependencies: Record<string, string>;
  };
  return { version, binaryen: dependencies['binaryen']! };
}

function engineLines(engine: Engine): string[] {
  const { cpu, mmu, memory, symbolOf } = engine;
  const registers = COMPARED_SLOTS.slice(0, SHOWN_SLOTS).map(
    ({ name, slot }) => `${name}=${hex8(cpu.get(slot))}`,
  );
  const lines = [
    `Instructions: ${engine.instructions}, as of the start of the last run of the engine`,
    `State as last stored: ${registers.join(' ')} eflags=${hex8(cpu.eflags)}`,
    `Code at eip ${place(cpu.eip, symbolOf)}:`,
  ];
  const physical = mmu.translate(cpu.eip >>> 0, false, false);
  if (physical < 0) return [...lines, '  (not mapped)'];
  const offset = physical % PAGE;
  const page = memory.view(physical - offset, PAGE);
  return [...lines, ...listing(decodePage(page, offset, cpu.eip, SHOWN_INSTRUCTIONS), symbolOf)];
}

/** Everything known about an error. */
export async function bugReport(error: unknown, { argv, guestState }: BugContext): Promise<string> {
  const { version, binaryen } = packageFacts();
  const lines = [
    `A bug in lguest-jit ${version}`,
    `node ${process.version}, V8 ${process.versions.v8}, binaryen ${binaryen}, ${process.platform} ${process.arch}`,
    `arguments: ${argv.join(' ')}`,
    guestState,
    '',
    error instanceof Error ? (error.stack ?? error.message) : String(error),
  ];
  if (error instanceof TranslatorBug) {
    try {
      for await (const line of translatorLines(error)) lines.push(line);
    } catch (another) {
      // The bug may be in what the report is made with.
      lines.push(`(the report ends here: ${String(another)})`);
    }
  }
  return `${lines.join('\n')}\n`;
}

/** Guest code, IR and Wasm of the regions under suspicion, a line or a paragraph at a time. */
async function* translatorLines(error: TranslatorBug): AsyncGenerator<string> {
  const { cause, engine, regions } = error;
  yield* ['Caused by:', cause.stack ?? cause.message, '', ...engineLines(engine)];
  for (const { origin, request } of regions) {
    const text = new RegionText(origin, request, engine.symbolOf);
    const at = place(text.address(origin.start), engine.symbolOf);
    yield `\nRegion ${origin.name}, at eip ${at}: ${text.blocks.length} blocks, ${text.instructions} instructions`;
    yield* text.describe({ ir: true });
    yield `Wasm:\n${await text.wasmText()}`;
  }
}

/** Writes a report where the user is, or among the temporary files; returns its path, undefined if neither works. */
export function writeReport(text: string): string | undefined {
  for (const folder of ['.', tmpdir()]) {
    let path = join(folder, `lguest-jit-report-${process.pid}.txt`);
    for (let i = 2; existsSync(path); i++) path = join(folder, `lguest-jit-report-${process.pid}-${i}.txt`);
    try {
      writeFileSync(path, text, { flag: 'wx' });
      return path;
    } catch {
      // The next folder may do.
    }
  }
  return undefined;
}

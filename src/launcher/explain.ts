/** What `lguest explain` tells of an address: the regions that hold it, or why none does. */
import type { SymbolOf } from '../runtime/engine.js';
import { codeFacts, type BlockFacts, type CodeFacts, type RegionFacts } from '../runtime/code-facts.js';
import type { RegionOrigin } from '../runtime/translator.js';
import type { InterpreterEngine } from '../runtime/interpreter-engine.js';
import type { RegionTraffic } from '../runtime/region-traffic.js';
import { UserError } from './errors.js';
import { hex8, place, RegionText } from './region-text.js';
import type { SymbolTable } from './symbols.js';

/** Ways out that are listed. */
const MOST_EXITS = 20;
/** Exits after which the region has not left the eip: it is the instruction's own. */
const AT: ReadonlySet<string> = new Set(['fault', 'int', 'trap', 'icebp', 'cpuid', 'vmcall']);

/**
 * The addresses in a list like `c0101234,0xc0105678,sys_getpid+0x10`: hexadecimal with or without 0x, or a symbol with
 * an optional offset. What is a symbol is not a number. Throws `UserError`.
 */
export function parsePlaces(text: string, symbols: SymbolTable): number[] {
  return text.split(',').map((word) => {
    const [, name, offset = '0'] = /^([^+]+)(?:\+(0x[0-9a-f]+|[0-9]+))?$/i.exec(word) ?? [];
    const base = name === undefined ? undefined : symbols.addressOf(name);
    if (base !== undefined) return (base + Number(offset)) >>> 0;
    if (/^(0x)?[0-9a-f]{1,8}$/i.test(word)) return parseInt(word, 16);
    const known = symbols.size > 0 ? '' : ' (no symbols are known: --symbols)';
    throw new UserError(`${word} is neither a hexadecimal address nor a symbol of the kernel${known}.`);
  });
}

function times(count: number): string {
  return count === 1 ? 'once' : `${count} times`;
}

function trafficLines(traffic: RegionTraffic, entries: readonly number[], symbolOf?: SymbolOf): string[] {
  const entered = traffic.entries.reduce((sum, n) => sum + (n ?? 0), 0);
  const exits = traffic.left;
  const left = exits.reduce((sum, e) => sum + e.count, 0);
  const row = (count: number, what: string): string => `  ${String(count).padStart(12)}  ${what}`;
  const lines = [`Entered ${times(entered)}:`];
  entries.forEach((address, i) => {
    const count = traffic.entries[i] ?? 0;
    if (count > 0) lines.push(row(count, `at ${place(address, symbolOf)}`));
  });
  lines.push(`Left ${times(left)}:`);
  for (const { cause, eip, count } of exits.slice(0, MOST_EXITS)) {
    const where =
      eip === undefined ? 'to other places' : `${AT.has(cause) ? 'at' : 'to'} ${place(eip, symbolOf)}`;
    lines.push(row(count, `${cause}, ${where}`));
  }
  const rest = exits.slice(MOST_EXITS).reduce((sum, e) => sum + e.count, 0);
  if (rest > 0) lines.push(row(rest, `in ${exits.length - MOST_EXITS} other ways`));
  return lines;
}

/** How the region came to be. */
function originLines(origin: RegionOrigin, text: RegionText, symbolOf?: SymbolOf): string[] {
  const { start, heat, executed, instructions, merged = [], missing = [], missedAt } = origin;
  const at = (where: number): string => place(text.address(where), symbolOf);
  const lines = [
    `Formed after ${instructions} instructions, when the block at ${at(start)} was ${heat}: the interpreter had spent ${executed} of them on it.`,
    ...merged.map(
      (part) =>
        `Merged after ${part.instructions} instructions with the region of the block at ${at(part.start)}.`,
    ),
  ];
  if (missedAt !== undefined)
    lines.push(
      `Made anew after ${missedAt} instructions: what often misses the TLB calls for it now, at ${missing.map(at).join(', ')}.`,
    );
  return lines;
}

async function regionLines(
  { region, request }: RegionFacts,
  linear: number,
  brief: boolean,
  symbolOf?: SymbolOf,
): Promise<string[]> {
  const { origin, traffic, pagesByDelta } = region;
  const text = new RegionText(origin, request, symbolOf);
  const pages = [...pagesByDelta].map(
    ([delta, { pfn }]) => `${hex8(text.address(delta * 4096))} (guest-physical ${hex8(pfn * 4096)})`,
  );
  const entries = region.entries.map((entry) => text.address(entry.place));
  return [
    `Region ${origin.name}: ${text.blocks.length} blocks, ${text.instructions} instructions, ${region.bytes} bytes of Wasm`,
    ...originLines(origin, text, symbolOf),
    `Pages: ${pages.join(', ')}`,
    ...(traffic ? trafficLines(traffic, entries, symbolOf) : []),
    '',
    'Blocks (> has the address):',
    ...text.describe({ ir: !brief, mark: text.blockAt(linear) }),
    ...(brief ? [] : ['Wasm:', await text.wasmText()]),
  ];
}

function blockLines({ start, instructions, progress, refused }: BlockFacts, symbolOf?: SymbolOf): string[] {
  const block = `It is in the decoded block at ${place(start, symbolOf)} (${instructions} instructions), which `;
  const { executed, isUnderTranslation, thresholds } = progress;
  if (isUnderTranslation) return [`${block}was worth a translation, and is being translated.`];
  if (refused !== undefined) return [`${block}was worth a translation, and was not translated: ${refused}.`];
  const { hot, warm } = thresholds;
  const lines = [`${block}the interpreter has spent ${executed} instructions on.`];
  if (warm === undefined) lines.push(`It becomes hot, and is translated, when that is ${hot.instructions}.`);
  else
    lines.push(
      `It becomes hot, and is translated, when that is ${hot.instructions} of ${hot.within / 1e6} million instructions of the guest; with`,
      `${warm.instructions} of ${warm.within / 1e6} million it is warm, and is translated when it is the one that runs most.`,
    );
  return lines;
}

function untranslatedLines(facts: CodeFacts, symbolOf?: SymbolOf): string[] {
  const { physical, blocks, isDecoded, firstRequest } = facts;
  const lines = [
    `It is in no region${physical === undefined ? ', and not mapped in the address space of now' : ''}.`,
    ...(firstRequest === undefined
      ? []
      : [
          `The guest has not run for long enough: before ${firstRequest} instructions nothing is translated, unless --clock=virtual is given.`,
        ]),
  ];
  if (physical === undefined) return lines;
  for (const block of blocks) lines.push(...blockLines(block, symbolOf));
  if (blocks.length === 0)
    lines.push(
      isDecoded
        ? 'No decoded block has it: it was never executed, or not since the code of its page was dropped.'
        : 'Nothing of its page was ever executed.',
    );
  return lines;
}

/** Everything about one address; `brief`: without IR and Wasm, which take Binaryen. */
export async function explain(engine: InterpreterEngine, linear: number, brief = false): Promise<string> {
  const { symbolOf } = engine;
  const facts = codeFacts(engine, linear);
  const where = facts.physical === undefined ? '' : `, guest-physical ${hex8(facts.physical)}`;
  const lines = [`${place(linear, symbolOf)}${where}`];
  if (facts.regions.length === 0) lines.push(...untranslatedLines(facts, symbolOf));
  if (facts.regions.length > 1) lines.push(`It is in ${facts.regions.length} regions.`);
  if (facts.drops > 0)
    lines.push(`The code of its page was dropped ${times(facts.drops)}, because the page was written.`);
  for (const region of facts.regions) lines.push('', ...(await regionLines(region, linear, brief, symbolOf)));
  return `${lines.join('\n')}\n`;
}

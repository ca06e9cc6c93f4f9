/** What is told of a difference: where, the code around it, its IR, both states, memory, and how to get back there. */
import { lift } from '../frontend-x86/lift/lift.js';
import { Builder } from '../ir/builder.js';
import { optimize } from '../ir/passes/optimize.js';
import { printBlock } from '../ir/print.js';
import { memoryDifferences, stateDifferences, type Difference } from '../runtime/lockstep.js';
import { DEFAULT_EVERY, Pair, runPair, type CompareOptions, type Sighting } from './compare.js';
import { trail, type Location, type TrailStep } from './compare-locate.js';
import { COMPARED_SLOTS, slotName } from '../runtime/lockstep.js';
import { codeStoreLines, HostJournals, isStoredTo, storesInQuestion } from './compare-stores.js';
import { hex } from './errors.js';
import type { SymbolTable } from './symbols.js';

const STEPS_BEFORE = 24;
const STEPS_AFTER = 8;
const MOST_STEPS_OF_BLOCK = 64;
const MOST_DWORDS = 16;

/** The first straight stretch of the steps, as the translator sees it: IR before and after the passes. */
function irOf(steps: readonly TrailStep[]): { before: string; after: string } | undefined {
  const b = new Builder();
  let next: number | undefined;
  let delta = 0;
  for (const { eip, instruction } of steps.slice(0, MOST_STEPS_OF_BLOCK)) {
    if (instruction === undefined || (next !== undefined && eip !== next)) break;
    b.mark(delta, instruction.length);
    lift(b, instruction);
    delta += instruction.length;
    next = (eip + instruction.length) >>> 0;
  }
  if (delta === 0) return undefined;
  const block = b.block();
  const options = { slotName };
  return { before: printBlock(block, options), after: printBlock(optimize(block), options) };
}

/** A line for each step, with the name of the place where it does not just go on from the step before. */
function listing(steps: readonly TrailStep[], location: Location, symbols: SymbolTable): string[] {
  return steps.map(({ count, eip, text }, i) => {
    const inside = count >= location.start && count < location.count;
    const { eip: before = -1, instruction } = steps[i - 1] ?? {};
    const goesOn = instruction !== undefined && eip === (before + instruction.length) >>> 0;
    const name = goesOn ? undefined : symbols.nameOf(eip >>> 0);
    const shown = `${inside ? '>' : ' '} ${String(count).padStart(12)}  ${hex(eip).padStart(10)}  ${text}`;
    return name === undefined ? shown : `${shown}  <${name}>`;
  });
}

function table(differences: readonly Difference[], names: readonly [string, string]): string[] {
  const width = Math.max(...differences.map((d) => d.name.length), names[0].length);
  return [
    `${''.padEnd(width)}  ${names[0].padStart(12)}  ${names[1].padStart(12)}`,
    ...differences.map(
      ({ name, values }) => `${name.padEnd(width)}  ${values.map((v) => hex(v).padStart(12)).join('  ')}`,
    ),
  ];
}

/** Runs to the place once more and describes it. `command` makes a command line that goes to an instruction count. */
export function describe(
  options: CompareOptions,
  sighting: Sighting,
  location: Location,
  command: (from: number) => string,
): string {
  const { every = DEFAULT_EVERY } = options;
  const { start, count, cut } = location;
  const lines: string[] = [];
  const steps = trail(options, Math.max(0, start - STEPS_BEFORE), count + STEPS_AFTER);
  const inside = steps.filter((step) => step.count >= start && step.count < count);
  const stores = storesInQuestion(options, location);
  const pair = new Pair(options);
  try {
    const { reference: a, subject: b } = pair;
    const names = [a.kind, b.kind] as const;
    if (cut === 'blocks') runPair(pair, start, every);
    const host = new HostJournals(pair, names);
    runPair(pair, count, every);
    const { symbols } = a.machine;
    const name = inside[0] && symbols.nameOf(inside[0].eip >>> 0);
    const where = inside[0] ? ` at eip ${hex(inside[0].eip)}${name === undefined ? '' : ` (${name})`}` : '';
    lines.push(
      `The first difference between ${names[0]} and ${names[1]} is there after ${count} instructions; it was seen in: ${sighting.what}.`,
      `It comes from the code${where} that runs from instruction ${start} on` +
        (cut === 'blocks' ? '.' : ', and only if the run is not cut there.'),
      '',
      `What ${names[0]} runs (instructions executed before, eip, instruction; > the code in question):`,
      ...listing(steps, location, symbols),
      '',
    );
    const ir = irOf(inside);
    if (ir) lines.push('IR:', ir.before, 'IR after the passes:', ir.after, '');
    if (a.count !== b.count) lines.push(`instructions: ${a.count}, ${b.count}`);
    if (a.ending !== b.ending) lines.push(`${names[0]}: ${a.ending}`, `${names[1]}: ${b.ending}`);
    const states = stateDifferences(a.engine.cpu, b.engine.cpu);
    if (states.length > 0) lines.push('State:', ...table(states, names), '');
    if (stores.length > 0)
      lines.push(
        `Stores of the code in question (instructions before, eip, [linear address] = value; then what is there in ${names.join(' and in ')}; * not the same):`,
        ...codeStoreLines(stores, pair),
        '',
      );
    const hosts = host.lines();
    if (hosts.length > 0) lines.push('Stores of the Host and of devices:', ...hosts, '');
    const memory = memoryDifferences(a.engine, b.engine, MOST_DWORDS).map(({ address, difference }) => ({
      ...difference,
      name: isStoredTo(stores, address) ? difference.name : `${difference.name} (not stored to by the code)`,
    }));
    if (memory.length > 0)
      lines.push(
        `Guest-physical memory${memory.length === MOST_DWORDS ? ` (the first ${MOST_DWORDS} dwords)` : ''}:`,
        ...table(memory, names),
        '',
      );
    lines.push('All of the state:', ...registers(pair), '');
  } finally {
    pair.close();
  }
  const back = cut === 'blocks' ? start : Math.floor(start / every) * every;
  lines.push('To go straight back there:', `  ${command(back)}`);
  return `${lines.join('\n')}\n`;
}

function registers({ reference, subject }: Pair): string[] {
  return [reference, subject].map(({ kind, engine: { cpu } }) => {
    const shown = COMPARED_SLOTS.slice(0, 9).map(({ name, slot }) => `${name}=${hex(cpu.get(slot))}`);
    return `  ${kind}: ${shown.join(' ')} eflags=${hex(cpu.eflags)}`;
  });
}

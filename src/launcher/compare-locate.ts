/**
 * From "somewhere between these counts the machines part" to the block that does it, by running both again from the
 * start. A run cut at a count leaves translated code there and finishes the block with the interpreter, so where it is
 * cut is part of the experiment: it is tried in small pieces first, and without further cuts if that hides the error.
 */
import { decode } from '../frontend-x86/decode.js';
import type { DecodedInstruction } from '../frontend-x86/decoded-instruction.js';
import { disassemble } from '../frontend-x86/disassemble.js';
import { endsBlock } from '../frontend-x86/block-ends.js';
import * as S from '../frontend-x86/cpu-state.js';
import type { Engine } from '../runtime/engine.js';
import { segmentsAreFlat } from '../runtime/flat-segments.js';
import {
  DEFAULT_EVERY,
  nextMultiple,
  Pair,
  runPair,
  Side,
  type CompareOptions,
  type Sighting,
} from './compare.js';
import { MAX_INSTRUCTION, PAGE } from '../frontend-x86/limits.js';

/** An instruction that the reference came to. */
export interface TrailStep {
  /** Instructions executed before it. */
  readonly count: number;
  readonly eip: number;
  /** Undefined if its page cannot be executed. */
  readonly instruction: DecodedInstruction | undefined;
  readonly text: string;
}

export interface Location {
  /** Both machines are the same here, and here the block starts that makes the difference … */
  readonly start: number;
  /** … which is there at this count. */
  readonly count: number;
  /** How the run has to be cut to see it: `blocks` at `start`, `none` nowhere but at multiples of `every`. */
  readonly cut: 'blocks' | 'none';
}

/** Pieces that a stretch is divided into. */
const PIECES = 64;
/** A stretch this short is looked at block by block. */
const SHORT = 4096;

/** The instruction at eip, as it is now. */
function instructionAt({ cpu, mmu, memory }: Engine): DecodedInstruction | undefined {
  const linear = (cpu.eip + cpu.get(S.SEGMENT_BASE + 4 * S.CS)) >>> 0;
  const user = cpu.get(S.CPL) === 3;
  const bytes = new Uint8Array(MAX_INSTRUCTION);
  let length = 0;
  for (let at = linear; length < MAX_INSTRUCTION; at = (linear + length) >>> 0) {
    const physical = mmu.translate(at, false, user);
    if (physical < 0) break;
    const part = Math.min(MAX_INSTRUCTION - length, PAGE - (at % PAGE));
    bytes.set(memory.view(physical, part), length);
    length += part;
  }
  const instruction = decode(bytes, 0, length, segmentsAreFlat(cpu));
  return instruction === 'more' ? undefined : instruction;
}

/** Runs a machine alone, an instruction at a time, from count `from` to `to`. */
export function trail(options: CompareOptions, from: number, to: number): TrailStep[] {
  const { every = DEFAULT_EVERY } = options;
  const side = new Side(options, options.reference ?? 'interp');
  const steps: TrailStep[] = [];
  try {
    while (!side.ended && side.count < from) {
      side.runTo(Math.min(from, nextMultiple(side.count, every)));
      side.forget();
    }
    while (!side.ended && side.count < to) {
      const { eip } = side.engine.cpu;
      const instruction = instructionAt(side.engine);
      const text = instruction ? disassemble(instruction, eip) : '(not executable)';
      steps.push({ count: side.count, eip, instruction, text });
      side.runTo(side.count + 1);
    }
    return steps;
  } finally {
    side.machine.close();
  }
}

/** Runs a new pair to `start`, and from there through the counts in turn; the first where it is not the same. */
function firstBadCut(
  options: CompareOptions,
  start: number,
  cuts: Iterable<number>,
): Omit<Location, 'cut'> | undefined {
  const { every = DEFAULT_EVERY } = options;
  const pair = new Pair(options);
  try {
    runPair(pair, start, every);
    let last = start;
    for (const cut of cuts) {
      pair.runTo(cut);
      if (!pair.isSame()) return { start: last, count: cut };
      if (pair.ended) return undefined;
      pair.forget();
      last = cut;
    }
    return undefined;
  } finally {
    pair.close();
  }
}

function pieces(start: number, end: number): number[] {
  const step = Math.ceil((end - start) / PIECES);
  const cuts: number[] = [];
  for (let at = start + step; at < end; at += step) cuts.push(at);
  return [...cuts, end];
}

/** Counts at which blocks end. */
function blockEnds(steps: readonly TrailStep[], end: number): number[] {
  const ends: number[] = [];
  for (let i = 1; i < steps.length; i++) {
    const { eip, instruction } = steps[i - 1]!;
    const follows = instruction !== undefined && steps[i]!.eip === (eip + instruction.length) >>> 0;
    if (!follows || endsBlock(instruction)) ends.push(steps[i]!.count);
  }
  return [...ends, end];
}

/** Whether two new machines are the same at a count, memory included, after runs cut as always. */
function isSameAt(options: CompareOptions, count: number): boolean {
  const pair = new Pair(options);
  try {
    runPair(pair, count, options.every ?? DEFAULT_EVERY);
    return pair.isSame();
  } finally {
    pair.close();
  }
}

/** Undefined if the difference did not come again. */
export function locate(options: CompareOptions, sighting: Sighting): Location | undefined {
  // A wrong store may be long ago when the first exit shows what came of it.
  const { checked, same, different } = sighting;
  if (same === checked || isSameAt(options, same)) return locateBetween(options, same, different);
  return locateBetween(options, checked, same);
}

function locateBetween(options: CompareOptions, same: number, different: number): Location | undefined {
  let start = same;
  let end = different;
  while (end - start > SHORT) {
    const found = firstBadCut(options, start, pieces(start, end));
    if (!found) break;
    start = found.start;
    end = found.count;
  }
  if (end - start <= SHORT) {
    const steps = trail(options, start, end);
    const found = firstBadCut(options, start, blockEnds(steps, end));
    if (found) return { ...found, cut: 'blocks' };
  }
  return withoutCuts(options, same, different);
}

/** By halving, each time in one go from the last multiple of `every`. */
function withoutCuts(options: CompareOptions, same: number, different: number): Location | undefined {
  const { every = DEFAULT_EVERY } = options;
  const isBad = (count: number): boolean => {
    const pair = new Pair(options);
    try {
      runPair(pair, Math.max(0, nextMultiple(count - 1, every) - every), every);
      pair.runTo(count);
      return !pair.isSame();
    } finally {
      pair.close();
    }
  };
  if (!isBad(different)) return undefined;
  let good = same;
  let bad = different;
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2);
    if (isBad(middle)) bad = middle;
    else good = middle;
  }
  return { start: good, count: bad, cut: 'none' };
}

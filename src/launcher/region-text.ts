/** A region as text: its guest code, the IR of its blocks before and after the passes, its Wasm. */
import { decode } from '../frontend-x86/decode.js';
import type { DecodedInstruction } from '../frontend-x86/decoded-instruction.js';
import { disassemble } from '../frontend-x86/disassemble.js';
import { pageOf } from '../frontend-x86/discover.js';
import { liftRegion, type LiftedBlock } from '../frontend-x86/lift-region.js';
import { endsBlock } from '../frontend-x86/block-ends.js';
import { printBlock } from '../ir/print.js';
import type { SymbolOf } from '../runtime/engine.js';
import { slotName } from '../runtime/lockstep.js';
import { translationText } from '../runtime/translation-text.js';
import type { RegionOrigin, TranslationRequest } from '../runtime/translator.js';
import { MAX_INSTRUCTION, PAGE } from '../frontend-x86/limits.js';

/** Columns for the bytes of an instruction. */
const BYTES_WIDTH = 24;

/** Eight hexadecimal digits. */
export function hex8(address: number): string {
  return (address >>> 0).toString(16).padStart(8, '0');
}

/** `c0101234`, or `c0101234 (name+0x10)`. */
export function place(address: number, symbolOf?: SymbolOf): string {
  const name = symbolOf?.(address >>> 0);
  return name === undefined ? hex8(address) : `${hex8(address)} (${name})`;
}

/** An instruction and where it stands. */
export interface Placed {
  /** Linear address. */
  readonly address: number;
  readonly instruction: DecodedInstruction;
  readonly bytes: Uint8Array;
}

/** At most `count` instructions from an offset of a page on, to its end or the first bytes that are none. */
export function decodePage(page: Uint8Array, offset: number, address: number, count: number): Placed[] {
  const out: Placed[] = [];
  for (let at = offset; out.length < count && at < PAGE;) {
    const instruction = decode(page, at, Math.min(MAX_INSTRUCTION, PAGE - at), true);
    if (instruction === 'more') break;
    const bytes = page.subarray(at, at + instruction.length);
    out.push({ address: (address + at - offset) >>> 0, instruction, bytes });
    at += instruction.length;
  }
  return out;
}

/** A line for each instruction: address, bytes, text; targets of direct jumps with their symbols. */
export function listing(code: readonly Placed[], symbolOf?: SymbolOf): string[] {
  return code.map(({ address, instruction, bytes }) => {
    const text = disassemble(instruction, address);
    const target = instruction.operands[0]?.kind === 'rel' ? address + instruction.target : undefined;
    const name = target === undefined ? undefined : symbolOf?.(target >>> 0);
    const shown = Buffer.from(bytes).toString('hex').padEnd(BYTES_WIDTH);
    return `  ${hex8(address)}  ${shown}${text}${name === undefined ? '' : `  <${name}>`}`;
  });
}

/** What a region is made of, as far as it can be found without translating it again. */
export class RegionText {
  readonly blocks: readonly LiftedBlock[];
  private readonly code: readonly (readonly Placed[])[];
  /** Numbers of the entries' blocks. */
  private readonly entries: ReadonlySet<number>;

  constructor(
    private readonly origin: RegionOrigin,
    private readonly request: TranslationRequest,
    private readonly symbolOf: SymbolOf | undefined,
  ) {
    const lifted = this.lift();
    this.blocks = lifted.blocks;
    this.entries = new Set(lifted.entries);
    this.code = lifted.blocks.map(({ start, instructions }) => {
      const delta = pageOf(start);
      const page = request.pages.get(delta)!;
      return decodePage(page, start - delta * PAGE, this.address(start), instructions);
    });
  }

  private lift(passes?: Parameters<typeof liftRegion>[2]): ReturnType<typeof liftRegion> {
    return liftRegion(this.request, (delta) => this.request.pages.get(delta), passes);
  }

  /** Linear address of a place. */
  address(at: number): number {
    return (this.origin.linear + at) >>> 0;
  }

  /** Number of the block with the byte at a linear address; -1 if there is none. */
  blockAt(linear: number): number {
    return this.blocks.findIndex(({ start, end }) => (linear - this.address(start)) >>> 0 < end - start);
  }

  get instructions(): number {
    return this.blocks.reduce((sum, b) => sum + b.instructions, 0);
  }

  /** Why discovery took the block in. */
  private reasons(number: number): string[] {
    const { start } = this.blocks[number]!;
    const { heat, merged = [] } = this.origin;
    const out = start === this.origin.start ? [`it became ${heat}`] : [];
    if (merged.some((part) => part.start === start)) out.push('it had a region of its own');
    this.blocks.forEach(({ end }, i) => {
      const last = this.code[i]!.at(-1);
      if (last === undefined) return;
      const { op, operands, operandSize, target } = last.instruction;
      const at = hex8(last.address);
      const isDirect = operands[0]?.kind === 'rel' && operandSize !== 2;
      const goes = isDirect && (last.address + target) >>> 0 === this.address(start);
      if (goes) out.push(`${op === 'call' ? 'call' : 'jump'} at ${at}`);
      if (end !== start || op === 'jmp') return;
      if (op === 'call') out.push(`return to behind the call at ${at}`);
      else out.push(endsBlock(last.instruction) ? `the way on from ${at}` : `runs on from ${at}`);
    });
    if (out.length > 0) return out;
    // Discovery looks for warm code in the page that it starts in.
    const wasSearched = [this.origin, ...merged].some((part) => pageOf(part.start) === pageOf(start));
    return [wasSearched ? 'warm code of the page, reached by computed jumps' : 'reached by warm code'];
  }

  /** Blocks with their guest code, and with `ir` each one's IR. `mark`: the block that was asked for. */
  describe({ ir, mark = -1 }: { ir: boolean; mark?: number }): string[] {
    const before = ir ? this.lift((block) => block).blocks : [];
    const options = { slotName };
    return this.blocks.flatMap((block, i) => {
      const entry = this.entries.has(i) ? ', an entry' : '';
      const lines = [
        `${i === mark ? '>' : ' '} block ${i}: ${place(this.address(block.start), this.symbolOf)}${entry}; from: ${this.reasons(i).join(', ')}`,
        ...listing(this.code[i]!, this.symbolOf),
      ];
      if (ir)
        lines.push(
          ...['    IR', printBlock(before[i]!.ir, options), '    IR after the passes'],
          printBlock(block.ir, options),
        );
      return [...lines, ''];
    });
  }

  /** The Wasm text, made anew from the same bytes, or why there is none. */
  async wasmText(): Promise<string> {
    try {
      return (await translationText(this.request)) ?? '(nothing was translated)';
    } catch (error) {
      return `(there is none: ${String(error)})`;
    }
  }
}

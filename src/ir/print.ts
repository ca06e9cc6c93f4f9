/**
 * The IR's text form; `parse.ts` reads it back exactly. One op a line:
 *
 *     block {
 *       .var i32
 *       .mark 0 3
 *       v0 = get32 0
 *       v1 = i32.const 5
 *       v2 = i32.add v0 v1
 *       put32 {rm:1} v2
 *       if v2
 *         .. indented
 *       end
 *       v6 = call helper v0 v1
 *       branch v6 12 3
 *     }
 *     function helper(i32 i32) i32 faults {
 *
 * A line is `[name =] op [immediates] [arguments]`; a value is named after its op's index. `{name:width}` is a field,
 * `.var type` declares the next variable (a function's parameters come first and are not declared), `.mark delta
 * length` starts a guest instruction, `;` starts a comment.
 */
import { Field, type Block, type CallTarget, type IrFunction, type Op, type Operand } from './ir.js';
import { OPS } from './ops.js';

export interface PrintOptions {
  /** Name of a state slot, printed as a comment behind gets and puts. */
  readonly slotName?: (slot: number) => string | undefined;
}

function integer(n: number | bigint): string {
  if (typeof n === 'bigint') return n < 1024n ? `${n}` : `0x${n.toString(16)}`;
  if (n > -1024 && n < 1024) return `${n}`;
  return n < 0 ? `-0x${(-n).toString(16)}` : `0x${n.toString(16)}`;
}

function operand(o: Operand): string {
  return o instanceof Field ? `{${o.name}:${o.width}}` : integer(o);
}

function immediates(op: Op): string {
  const { imm } = op;
  if (imm === undefined) return '';
  if (Array.isArray(imm)) {
    const [first, second] = imm as readonly [Operand, Operand];
    return ` ${operand(first)} ${operand(second)}`;
  }
  if (OPS[op.name].imm === 'call') return ` ${(imm as CallTarget).name}`;
  return ` ${operand(imm as Operand)}`;
}

/** One op as a line without indentation. */
export function printOp(op: Op, index: number): string {
  const result = op.type === 'void' ? '' : `v${index} = `;
  const args = op.args.map((a) => ` v${a}`).join('');
  return `${result}${op.name}${immediates(op)}${args}`;
}

function body(block: Block, declaredVars: number, options: PrintOptions): string[] {
  const lines: string[] = [];
  for (let n = declaredVars; n < block.vars.length; n++) lines.push(`  .var ${block.vars[n]}`);
  let depth = 1;
  let mark = 0;
  const pad = (): string => '  '.repeat(Math.max(depth, 0));
  for (let i = 0; i <= block.ops.length; i++) {
    for (; mark < block.marks.length && block.marks[mark]!.at <= i; mark++) {
      const m = block.marks[mark]!;
      lines.push(`${pad()}.mark ${m.delta} ${m.length}`);
    }
    const op = block.ops[i];
    if (op === undefined) break;
    if (op.name === 'end' || op.name === 'else') depth--;
    let line = pad() + printOp(op, i);
    if (options.slotName && OPS[op.name].imm === 'slot' && typeof op.imm === 'number') {
      const name = options.slotName(op.imm);
      if (name !== undefined) line += ` ; ${name}`;
    }
    lines.push(line);
    if (op.name === 'if' || op.name === 'else' || op.name === 'loop') depth++;
  }
  return lines;
}

/** A block as text, without a newline at its end. */
export function printBlock(block: Block, options: PrintOptions = {}): string {
  return ['block {', ...body(block, 0, options), '}'].join('\n');
}

/** A function as text, without a newline at its end. */
export function printFunction(f: IrFunction, options: PrintOptions = {}): string {
  const result = f.result === 'void' ? '' : ` ${f.result}`;
  const head = `function ${f.name}(${f.params.join(' ')})${result}${f.faults ? ' faults' : ''} {`;
  return [head, ...body(f.body, f.params.length, options), '}'].join('\n');
}

/** Reads the text form that `print.ts` describes. Values may have any names; `print` renames them. */
import { Field, type Block, type CallTarget, type Imm, type IrFunction, type Mark } from './ir.js';
import type { Op, Operand, Value } from './ir.js';
import { OPS, type OpName, type Type } from './ops.js';

export interface ParseOptions {
  /** The function of that name, asked for when the text defines none before its use. */
  readonly functionNamed?: (name: string) => CallTarget | undefined;
  /** The field of that name and width; without it, one `Field` is made per name and width. */
  readonly fieldNamed?: (name: string, width: 1 | 4) => Field | undefined;
}

/** Text that is not IR. `line` counts from 1. */
export class ParseError extends Error {
  constructor(
    readonly line: number,
    message: string,
  ) {
    super(`line ${line}: ${message}`);
  }
}

export interface ParsedText {
  readonly blocks: readonly Block[];
  /** In the order of the text. */
  readonly functions: readonly IrFunction[];
}

const INTEGER = /^-?(?:0x[0-9a-f]+|[0-9]+)$/;
const FIELD = /^\{(\w+):([14])\}$/;
const FUNCTION = /^function ([^\s()]+)\(([^)]*)\)(?: (i32|i64))?( faults)? \{$/;

class Parser {
  private readonly lines: string[];
  private at = 0;
  private readonly fields = new Map<string, Field>();
  private readonly functions = new Map<string, IrFunction>();

  constructor(
    text: string,
    private readonly options: ParseOptions,
  ) {
    this.lines = text.split('\n').map((l) => l.replace(/;.*$/, '').trim());
  }

  fail(message: string): never {
    throw new ParseError(this.at, message);
  }

  /** The next line that says something. */
  private next(): string | undefined {
    while (this.at < this.lines.length) {
      const line = this.lines[this.at++]!;
      if (line !== '') return line;
    }
    return undefined;
  }

  parse(): ParsedText {
    const blocks: Block[] = [];
    for (let line = this.next(); line !== undefined; line = this.next()) {
      if (line === 'block {') {
        const block: Block = { ops: [], vars: [], marks: [] };
        this.body(block);
        blocks.push(block);
        continue;
      }
      const m = FUNCTION.exec(line);
      if (!m) this.fail(`expected "block {" or "function name(types) {", found "${line}"`);
      const name = m[1]!;
      const params = m[2]!
        .split(/[ ,]+/)
        .filter((t) => t !== '')
        .map((t) => this.type(t));
      const body: Block = { ops: [], vars: [...params], marks: [] };
      const result = (m[3] ?? 'void') as Type | 'void';
      const f: IrFunction = { name, params, result, faults: m[4] !== undefined, body };
      if (this.functions.has(name)) this.fail(`function ${name} is defined twice`);
      this.functions.set(name, f);
      this.body(body);
    }
    return { blocks, functions: [...this.functions.values()] };
  }

  private body(block: { ops: Op[]; vars: Type[]; marks: Mark[] }): void {
    const names = new Map<string, Value>();
    for (let line = this.next(); line !== '}'; line = this.next()) {
      if (line === undefined) this.fail('"}" is missing');
      const words = line.split(/\s+/);
      if (words[0] === '.var') block.vars.push(this.type(words[1]));
      else if (words[0] === '.mark') {
        block.marks.push({ at: block.ops.length, delta: this.int(words[1]), length: this.int(words[2]) });
      } else this.op(block, names, words);
    }
  }

  private op(block: Block, names: Map<string, Value>, words: string[]): void {
    const named = words[1] === '=' ? words[0] : undefined;
    let at = named === undefined ? 0 : 2;
    const name = words[at++] ?? '';
    if (!Object.hasOwn(OPS, name)) this.fail(`no op is called "${name}"`);
    const info = OPS[name as OpName];
    let imm: Imm;
    switch (info.imm) {
      case 'none':
        break;
      case 'bigint': {
        const word = words[at++] ?? '';
        if (!INTEGER.test(word)) this.fail(`"${word}" is not an integer`);
        imm = BigInt.asUintN(64, word.startsWith('-') ? -BigInt(word.slice(1)) : BigInt(word));
        break;
      }
      case 'call':
        imm = this.callee(words[at++] ?? '');
        break;
      case 'delta2':
        imm = [this.operand(words[at++]), this.operand(words[at++])];
        break;
      default:
        imm = this.operand(words[at++]);
        if (name === 'i32.const') imm = (imm as number) | 0;
    }
    const args: Value[] = [];
    for (; at < words.length; at++) {
      const v = names.get(words[at]!);
      if (v === undefined) this.fail(`value ${words[at]} is not defined above`);
      args.push(v);
    }
    const type = this.resultType(block, name as OpName, imm);
    if ((type === 'void') !== (named === undefined)) {
      this.fail(type === 'void' ? `${name} has no result` : `the result of ${name} needs a name`);
    }
    if (named !== undefined) {
      if (names.has(named)) this.fail(`value ${named} is defined twice`);
      names.set(named, block.ops.length as Value);
    }
    block.ops.push({ name: name as OpName, type, args, imm });
  }

  private resultType(block: Block, name: OpName, imm: Imm): Type | 'void' {
    const { result } = OPS[name];
    if (result !== 'any') return result;
    if (name === 'call') return (imm as CallTarget).result;
    return block.vars[imm as number] ?? this.fail(`no variable ${String(imm)}`);
  }

  private callee(name: string): CallTarget {
    return (
      this.functions.get(name) ??
      this.options.functionNamed?.(name) ??
      this.fail(`no function is called "${name}"`)
    );
  }

  private operand(word: string | undefined): Operand {
    const m = FIELD.exec(word ?? '');
    if (!m) return this.int(word);
    const width = Number(m[2]) as 1 | 4;
    const known = this.options.fieldNamed?.(m[1]!, width) ?? this.fields.get(m[0]);
    if (known) return known;
    const field = new Field(m[1]!, width);
    this.fields.set(m[0], field);
    return field;
  }

  private int(word: string | undefined): number {
    if (word === undefined || !INTEGER.test(word)) this.fail(`"${word ?? ''}" is not an integer`);
    return word.startsWith('-') ? -Number(word.slice(1)) : Number(word);
  }

  private type(word: string | undefined): Type {
    if (word === 'i32' || word === 'i64') return word;
    return this.fail(`"${word ?? ''}" is not a type`);
  }
}

/** Parses any number of blocks and functions; a function may call itself and those above it. Throws `ParseError`. */
export function parseText(text: string, options: ParseOptions = {}): ParsedText {
  return new Parser(text, options).parse();
}

/** Parses a text whose only block is returned. Throws `ParseError`. */
export function parseBlock(text: string, options: ParseOptions = {}): Block {
  const { blocks } = parseText(text, options);
  if (blocks.length !== 1) throw new ParseError(1, `expected one block, found ${blocks.length}`);
  return blocks[0]!;
}

/** Valid random blocks from a sequence of numbers, for property tests: equal numbers give equal blocks. */
import { Builder, defineFunction } from '../builder.js';
import { Field, type Block, type IrFunction, type Operand, type Value } from '../ir.js';
import { OPS, type OpName, type Type } from '../ops.js';
import { SCALAR_OPS } from '../semantics.js';

/** Fields that random forms use: three that name slots, and two numbers. */
export const SLOT_FIELDS = [new Field('rm', 1), new Field('reg', 1), new Field('base', 1)] as const;
export const NUMBER_FIELDS = [new Field('imm', 4), new Field('next', 4)] as const;

export interface RandomOptions {
  /** Use fields, so that the block is an instruction form. */
  readonly fields?: boolean;
  /** Nothing but a few gets and chains of pure ops, all of whose values are put: for folding. */
  readonly expressions?: boolean;
  /** Where to build; by default a new `Builder`. */
  readonly builder?: Builder;
}

const INTERESTING = [
  0, 1, -1, 2, 3, 4, 5, 7, 8, 15, 16, 24, 31, 32, 33, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff,
  0x10000, 0x7fffffff, -0x80000000, -0x80,
];

/** What random blocks call: one function that changes state, one that may fault. */
export const RANDOM_FUNCTIONS: readonly IrFunction[] = [
  defineFunction('mix', ['i32', 'i64'], 'i64', false, (b, x, y) => {
    b.put32(8, b.pure('i32.add', b.get32(8), x));
    b.return(b.pure('i64.xor', y, b.pure('i64.extend_i32_s', x)));
  }),
  defineFunction('check', ['i32'], 'void', true, (b, x) => {
    b.if(b.pure('i32.lt_s', x, b.const32(-5)), () => b.raise(13, x));
    b.put8(13, x);
  }),
];

/** How many values of each type `observe` puts. */
const OBSERVED = 40;

class Generator {
  private at = 0;
  /** Visible values and variables by type; truncated at the end of structures. */
  private values: Record<Type, Value[]> = { i32: [], i64: [] };
  private vars: Record<Type, number[]> = { i32: [], i64: [] };
  private depth = 0;
  private delta = 0;

  constructor(
    private readonly b: Builder,
    private readonly numbers: readonly number[],
    private readonly fields: boolean,
    private readonly expressions: boolean,
  ) {}

  private more(): boolean {
    return this.at < this.numbers.length;
  }
  private choose(n: number): number {
    return Math.abs(this.numbers[this.at++] ?? 0) % n;
  }
  private pick<T>(list: readonly T[]): T {
    return list[this.choose(list.length)]!;
  }

  private add(type: Type, v: Value): Value {
    this.values[type].push(v);
    return v;
  }
  private value(type: Type): Value {
    const list = this.values[type];
    const k = this.choose(list.length + 2);
    // Recent values more often than old ones, so that ops build on each other.
    if (list.length > 0 && k < 2) return list.at(-1)!;
    if (k > 0 && k <= list.length) return list.at(-k)!;
    return this.constant(type);
  }
  private constant(type: Type): Value {
    if (type === 'i32') {
      if (this.fields && this.choose(3) === 0)
        return this.add('i32', this.b.operand(this.pick(NUMBER_FIELDS)));
      return this.add('i32', this.b.const32(this.pick(INTERESTING)));
    }
    return this.add(
      'i64',
      this.b.const64(BigInt(this.pick(INTERESTING)) << BigInt(this.pick([0, 0, 31, 32]))),
    );
  }
  private i32(): Value {
    return this.value('i32');
  }
  private slot(): Operand {
    return this.fields && this.choose(2) === 0 ? this.pick(SLOT_FIELDS) : this.choose(14);
  }
  /** Mostly readable and writable; some fault. */
  private address(): Value {
    return this.b.pure(
      'i32.and',
      this.i32(),
      this.b.const32(this.pick([0xff, 0xff, 0xfff, 0x7ff, 0x7ff, 0x7ff, 0x7ff, 0x1fff])),
    );
  }

  /** Runs `body` with a scope of its own. */
  private scoped(body: () => void): void {
    const { values, vars } = this;
    this.values = { i32: [...values.i32], i64: [...values.i64] };
    this.vars = { i32: [...vars.i32], i64: [...vars.i64] };
    this.depth++;
    body();
    this.depth--;
    this.values = values;
    this.vars = vars;
  }
  private few(): void {
    for (let n = this.choose(4); n > 0 && this.more(); n--) this.statement();
  }

  private pure(): void {
    const name: OpName = this.pick(SCALAR_OPS);
    const { args, result } = OPS[name];
    const values = args.map((t, k) => (k > 0 && this.choose(3) === 0 ? this.constant(t) : this.value(t)));
    // Divisors without the values that have no meaning: 0 and -1.
    if (/\.(div|rem)_/.test(name)) {
      values[1] = name.startsWith('i32')
        ? this.b.pure('i32.or', this.b.pure('i32.and', values[1]!, this.b.const32(0x7fff)), this.b.const32(1))
        : this.b.pure(
            'i64.or',
            this.b.pure('i64.and', values[1]!, this.b.const64(0x7fffn)),
            this.b.const64(1n),
          );
    }
    this.add(result as Type, this.b.pure(name, ...values));
  }

  private statement(): void {
    const { b } = this;
    switch (this.choose(28)) {
      case 0:
        this.add('i32', this.pick([b.get8, b.get16]).call(b, this.slot()));
        break;
      case 1:
      case 2:
        this.add('i32', b.get32(this.slot()));
        break;
      case 3:
        this.add('i64', b.get64(this.slot()));
        break;
      case 4:
        this.pick([b.put8, b.put16]).call(b, this.slot(), this.i32());
        break;
      case 5:
      case 6:
      case 7:
        b.put32(this.slot(), this.i32());
        break;
      case 8:
        b.put64(this.slot(), this.value('i64'));
        break;
      case 9:
        this.add('i32', this.pick([b.ld8, b.ld16, b.ld32]).call(b, this.address(), this.choose(2) === 1));
        break;
      case 10:
        this.pick([b.st8, b.st16, b.st32]).call(b, this.address(), this.i32());
        break;
      case 11:
        if (this.choose(2)) this.add('i64', b.ld64(this.address(), false));
        else b.st64(this.address(), this.value('i64'));
        break;
      case 12:
        b.probe(this.address(), 1 + this.choose(64));
        break;
      case 13: {
        const address = b.pure('i32.and', this.i32(), b.const32(0x1f));
        if (this.choose(2)) this.add('i32', this.pick([b.peek8, b.peek16, b.peek32]).call(b, address, 4));
        else this.pick([b.poke8, b.poke16, b.poke32]).call(b, address, this.i32(), 4);
        break;
      }
      case 14: {
        const type: Type = this.choose(3) ? 'i32' : 'i64';
        const n = b.newVar(type);
        b.varSet(n, this.value(type));
        this.vars[type].push(n);
        break;
      }
      case 15:
        if (this.vars.i32.length) b.varSet(this.pick(this.vars.i32), this.i32());
        break;
      case 16:
        if (this.vars.i32.length) this.add('i32', b.varGet(this.pick(this.vars.i32)));
        if (this.vars.i64.length) this.add('i64', b.varGet(this.pick(this.vars.i64)));
        break;
      case 17:
      case 18:
        if (this.depth < 4) this.conditional();
        break;
      case 19:
        if (this.depth < 2) this.loop();
        break;
      case 20: {
        const condition = b.pure('i32.eq', this.i32(), this.i32());
        const errorCode = this.i32();
        const vector = this.choose(17);
        b.if(condition, () => b.raise(vector, errorCode));
        break;
      }
      case 21:
        if (this.choose(2)) this.add('i64', b.call(RANDOM_FUNCTIONS[0]!, this.i32(), this.value('i64')));
        else b.call(RANDOM_FUNCTIONS[1]!, this.i32());
        break;
      case 22:
        this.add('i32', this.pick([() => b.fuel(), () => b.pcrel(this.choose(16))])());
        this.add('i64', b.clock());
        if (this.choose(3) === 0) b.charge(this.i32());
        break;
      case 23: {
        const address = this.address();
        b.if(b.span(address, false), () => b.put32(0, b.peek32(b.direct(address, false))));
        break;
      }
      case 24:
        if (this.depth === 0) this.mark();
        break;
      default:
        this.pure();
    }
  }

  /** Puts the last values where no other op puts, so that they are seen. */
  private observe(): void {
    const { b, values } = this;
    values.i32.slice(-OBSERVED).forEach((v, k) => b.put32(320 + 4 * k, v));
    values.i64.slice(-OBSERVED).forEach((v, k) => b.put64(320 + 4 * OBSERVED + 8 * k, v));
  }

  private mark(): void {
    const length = 1 + this.choose(15);
    this.b.mark(this.delta, length);
    this.delta += length;
  }

  /** Each part has numbers of its own: the builder may leave one out, and what follows must not depend on that. */
  private conditional(): void {
    const condition = this.i32();
    const share = this.choose(12);
    const both = this.choose(2) === 1;
    const start = this.at;
    const part = (from: number) => (): void =>
      this.scoped(() => {
        this.at = from;
        this.few();
      });
    if (both) this.b.if(condition, part(start), part(start + share));
    else this.b.if(condition, part(start));
    this.at = start + 2 * share;
  }

  private loop(): void {
    const { b } = this;
    const n = b.newVar('i32');
    b.varSet(n, b.const32(this.choose(4)));
    this.scoped(() =>
      b.loopWhile(() => {
        this.few();
        const left = b.varGet(n);
        b.varSet(n, b.pure('i32.sub', left, b.const32(1)));
        return b.pure('i32.lt_s', b.const32(0), left);
      }),
    );
  }

  block(): Block {
    const { b } = this;
    this.mark();
    if (this.expressions) {
      this.add('i32', b.get32(0));
      this.add('i32', b.get8(4));
      this.add('i64', b.get64(8));
      while (this.more()) this.pure();
    } else while (this.more()) this.statement();
    if (this.expressions || this.choose(2)) this.observe();
    const delta = (): Operand => (this.fields && this.choose(2) ? NUMBER_FIELDS[1] : this.choose(40) - 20);
    switch (this.choose(4)) {
      case 0:
        b.goto(delta());
        break;
      case 1:
        b.branch(this.i32(), delta(), delta());
        break;
      case 2:
        b.jump(this.i32(), this.choose(4) as 0 | 1 | 2 | 3);
        break;
      default:
        b.leave(this.choose(9), this.i32());
    }
    return b.block();
  }
}

/** A block that `verifyBlock` accepts and that ends after few loop iterations. Never empty. */
export function randomBlock(numbers: readonly number[], options: RandomOptions = {}): Block {
  const { builder = new Builder(), fields = false, expressions = false } = options;
  return new Generator(builder, numbers, fields, expressions).block();
}

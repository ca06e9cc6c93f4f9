/**
 * Random programs with structure: branches that meet again, nested loops with several ways out, functions, jump tables,
 * code that changes itself; accesses at page ends. Written at once, then followed on the reference engine: where an
 * instruction would look at undefined flags they are defined in front of it, and what else is undefined is left out.
 */
import { Assembly, type Label, little } from './assembly.js';
import type { Case } from './case.js';
import type { EngineRunner } from './engine-runner.js';
import { CODE, CODE_BYTES, DATA, PAGE, READ_ONLY } from './layout.js';
import { ECX, ESP, Operations } from './operations.js';
import type { Program } from './program.js';
import type { Random } from './random.js';
import { isDefined, scrutinise } from './scrutiny.js';
import { x87Pool, x87State } from './x87-state.js';

const START = CODE + 0x100;
const ROOM = CODE_BYTES - 0x280;
const STATUS_AND_DF = 0xcd5;
/** Programs that run longer are given up. */
const MOST_STEPS = 1200;
/** Repairs of a program before it is given up. */
const MOST_REPAIRS = 24;
const MOST_FUNCTIONS = 3;
const JUMP_TABLE_AT = DATA + 0xd00;
const INT3 = 0xcc;
/** Behind ends of the program: nothing goes on there. */
const UD2 = [0x0f, 0x0b];
const X87_STATES = x87Pool(1);

interface Function {
  readonly label: Label;
  /** Bytes of arguments that it takes from the stack. */
  readonly takes: number;
}

class StructureMaker {
  readonly asm = new Assembly();
  private readonly ops: Operations;
  private readonly functions: Function[] = [];
  private depth = 0;
  private tables = 0;

  constructor(
    private readonly r: Random,
    /** About how many instructions to write. */
    private readonly length: number,
  ) {
    this.ops = new Operations(r, this.asm);
  }

  private get isFull(): boolean {
    return this.asm.length >= this.length;
  }
  private jump(to: Label): void {
    this.asm.jump([0xe9], this.r.chance(80) ? [0xeb] : undefined, to);
  }
  private jumpIf(cc: number, to: Label): void {
    this.asm.jump([0x0f, 0x80 | cc], this.r.chance(80) ? [0x70 | cc] : undefined, to);
  }

  /** A few statements. */
  private few(most: number): void {
    this.depth++;
    for (let n = this.r.between(1, most); n > 0 && !this.isFull; n--) this.statement();
    this.depth--;
  }

  private statement(): void {
    const { r, ops } = this;
    const n = r.below(this.depth > 3 ? 50 : 100);
    if (n < 18) ops.group();
    else if (n < 26) ops.compute();
    else if (n < 28) ops.absolutes();
    else if (n < 31) ops.table();
    else if (n < 34) this.onStack();
    else if (n < 37) ops.consume();
    else if (n < 39) ops.x87();
    else if (n < 42) ops.string();
    else if (n < 43) ops.divide();
    else if (n < 45) ops.frame();
    else if (n < 50) this.change();
    else if (n < 67) this.branch();
    else if (n < 85) this.loop();
    else if (n < 96) this.call();
    else this.choose();
  }

  private onStack(): void {
    const { r, ops } = this;
    const flags = r.chance(20);
    if (flags) this.asm.emit(0x9c);
    else ops.push();
    if (this.depth < 4) this.few(2);
    else ops.compute();
    if (flags) this.asm.emit(0x9d);
    else ops.pop();
  }

  private branch(): void {
    const { r, ops, asm } = this;
    const [otherwise, end] = [asm.label(), asm.label()];
    const both = r.chance(65);
    if (r.chance(80)) ops.compare();
    if (r.chance(6)) {
      // jecxz, across little.
      asm.jump([], [0xe3], end);
      ops.compute();
      asm.bind(end);
      return;
    }
    this.jumpIf(r.below(16), both ? otherwise : end);
    if (r.chance(30)) ops.compute();
    else this.few(2);
    // Flags that one of the ways sets.
    if (r.chance(40)) ops.compare();
    if (both) {
      this.jump(end);
      asm.bind(otherwise);
      if (r.chance(30)) ops.compute();
      else this.few(2);
      if (r.chance(25)) ops.compare();
    }
    asm.bind(end);
    if (r.chance(55)) ops.consume();
  }

  /** The body of a loop: `out` leaves it, `next` goes to its end. */
  private body(out: Label, next: Label, walks: boolean): void {
    const { r, ops } = this;
    const pointer = ops.pointers.find((reg) => !ops.kept.has(reg));
    const isWalked = walks && pointer !== undefined;
    if (r.chance(30)) ops.consume();
    if (isWalked) {
      for (let n = r.between(1, 4); n > 0; n--) ops.access(pointer, r.between(-12, 12));
      if (r.chance(30)) this.few(1);
    } else this.few(2);
    if (r.chance(25)) {
      ops.compare();
      this.jumpIf(r.below(16), r.chance(60) ? out : next);
      if (r.chance(50)) ops.group();
    }
    if (isWalked) ops.add(pointer, r.pick([1, 2, 4, 4, 8, 12, 16, -4, -8]));
  }

  private loop(): void {
    const { r, ops, asm } = this;
    const [out, next] = [asm.label(), asm.label()];
    const walks = r.chance(45);
    const times = r.between(1, this.depth > 2 ? 3 : 7);
    const pointer = ops.pointers.find((reg) => !ops.kept.has(reg));
    if (walks && pointer !== undefined && r.chance(80)) ops.set(pointer, ops.near() - r.below(24));
    const counter = ops.counters.find((reg) => !ops.kept.has(reg));
    const kind = counter === undefined ? 2 : r.below(5);
    if (kind === 0 && !ops.kept.has(ECX)) this.loopOnEcx(times, out, next, walks);
    else if (kind === 1) this.loopOnPointer(times, out, next);
    else if (kind === 2 || counter === undefined) this.loopInMemory(times, out, next, walks);
    else this.loopOnRegister(counter, times, out, next, walks);
    asm.bind(out);
    if (r.chance(40)) ops.consume();
  }

  private loopOnEcx(times: number, out: Label, next: Label, walks: boolean): void {
    const { r, ops, asm } = this;
    ops.set(ECX, times);
    ops.kept.add(ECX);
    if (r.chance(20)) asm.jump([], [0xe3], out);
    const head = asm.here();
    this.body(out, next, walks);
    asm.bind(next);
    if (r.chance(40)) {
      asm.emit(0x49);
      this.jumpIf(5, head);
    } else asm.jump([], [r.pick([0xe2, 0xe2, 0xe1, 0xe0])], head);
    ops.kept.delete(ECX);
  }

  private loopOnPointer(times: number, out: Label, next: Label): void {
    const { r, ops, asm } = this;
    const pointer = ops.pointers.find((reg) => !ops.kept.has(reg));
    if (pointer === undefined) return;
    const step = r.between(1, 16);
    const start = ops.near() - r.below(32);
    ops.set(pointer, start);
    ops.kept.add(pointer);
    const head = asm.here();
    for (let n = r.between(1, 4); n > 0; n--) ops.access(pointer, r.between(-8, 16));
    this.body(out, next, false);
    asm.bind(next);
    ops.add(pointer, step);
    asm.emit(0x81, 0xf8 | pointer, ...little(start + times * step));
    this.jumpIf(r.pick([2, 12]), head);
    ops.kept.delete(pointer);
  }

  private loopInMemory(times: number, out: Label, next: Label, walks: boolean): void {
    const { r, ops, asm } = this;
    const at = little(ops.counterAddress(this.depth));
    asm.emit(0xc7, 0x05, ...at, ...little(times));
    const head = asm.here();
    this.body(out, next, walks);
    asm.bind(next);
    if (r.chance(50)) asm.emit(0xff, 0x0d, ...at);
    else asm.emit(0x83, 0x2d, ...at, 1);
    this.jumpIf(r.pick([5, 15]), head);
  }

  private loopOnRegister(counter: number, times: number, out: Label, next: Label, walks: boolean): void {
    const { r, ops, asm } = this;
    const [head, middle, test] = [asm.label(), asm.label(), asm.label()];
    ops.set(counter, times);
    ops.kept.add(counter);
    // A second way into the loop, or one that tests first.
    const isEnteredTwice = r.chance(12);
    const testsFirst = !isEnteredTwice && r.chance(30);
    if (isEnteredTwice) {
      ops.compare();
      this.jumpIf(r.below(16), middle);
    }
    if (testsFirst) this.jump(test);
    asm.bind(head);
    if (isEnteredTwice) ops.group();
    asm.bind(middle);
    this.body(out, next, walks);
    asm.bind(next);
    asm.bind(test);
    switch (r.below(4)) {
      case 0:
        asm.emit(0x83, 0xe8 | counter, 1);
        this.jumpIf(r.pick([5, 15]), head);
        break;
      case 1:
        asm.emit(0x8d, 0x40 | (counter << 3) | counter, 0xff);
        asm.emit(0x85, 0xc0 | (counter << 3) | counter);
        this.jumpIf(r.pick([5, 9, 15]), head);
        break;
      default:
        asm.emit(0x48 + counter);
        this.jumpIf(r.pick([5, 5, 9, 15]), head);
    }
    ops.kept.delete(counter);
  }

  private function(): Function {
    const { r } = this;
    if (this.functions.length < MOST_FUNCTIONS && r.chance(70)) {
      const made = { label: this.asm.label(), takes: r.chance(20) ? 4 : 0 };
      this.functions.push(made);
      return made;
    }
    // Only functions further behind: no recursion.
    return this.functions.at(-1) ?? this.function();
  }

  private call(): void {
    const { r, ops, asm } = this;
    if (this.writing >= MOST_FUNCTIONS - 1) return ops.group();
    const known = this.functions.slice(this.writing + 1);
    const callee = known.length > 0 && r.chance(40) ? r.pick(known) : this.function();
    if (this.functions.indexOf(callee) <= this.writing) return ops.group();
    if (callee.takes > 0) ops.push();
    if (r.chance(40)) ops.compare();
    const via = ops.scratch();
    switch (r.below(6)) {
      case 0:
        asm.absolute([0xb8 + via, 0, 0, 0, 0], 1, callee.label);
        asm.emit(0xff, 0xd0 | via);
        break;
      case 1: {
        const at = JUMP_TABLE_AT + 0x100 + 4 * this.tables++;
        asm.table(at, [callee.label]);
        asm.emit(0xff, 0x15, ...little(at));
        break;
      }
      default:
        asm.jump([0xe8], undefined, callee.label);
    }
    if (r.chance(60)) ops.consume();
  }
  /** Number of the function that is being written; -1: the program itself. */
  private writing = -1;

  /** A jump through a table of four addresses. */
  private choose(): void {
    const { r, ops, asm } = this;
    const index = ops.scratch();
    const end = asm.label();
    const cases = Array.from({ length: 4 }, () => asm.label());
    asm.emit(0x83, 0xe0 | index, 3);
    const inCode = asm.label();
    const isInCode = r.chance(50);
    const at = JUMP_TABLE_AT + 16 * (this.tables++ & 7);
    if (isInCode) asm.absolute([0xff, 0x24, 0x85 | (index << 3), 0, 0, 0, 0], 3, inCode);
    else {
      asm.table(at, cases);
      asm.emit(0xff, 0x24, 0x85 | (index << 3), ...little(at));
    }
    if (isInCode) {
      asm.bind(inCode);
      for (const label of cases) asm.absolute([0, 0, 0, 0], 0, label, 0, false);
    }
    for (const label of cases) {
      asm.bind(label);
      if (r.chance(70)) ops.compute();
      if (r.chance(30)) ops.group();
      if (r.chance(70)) this.jump(end);
    }
    asm.bind(end);
  }

  private change(): void {
    const { r, ops } = this;
    const { emitStore, emitTarget } = ops.change();
    const storeFirst = r.chance(65);
    if (storeFirst) emitStore();
    else emitTarget();
    if (this.depth < 4 && r.chance(60)) this.few(2);
    else if (r.chance(50)) ops.compute();
    if (storeFirst) emitTarget();
    else emitStore();
  }

  write(): void {
    const { r, asm } = this;
    while (!this.isFull) this.few(3);
    asm.emit(INT3);
    asm.data(...UD2);
    for (this.writing = 0; this.writing < this.functions.length; this.writing++) {
      const { label, takes } = this.functions[this.writing]!;
      // Some functions stand on the next page.
      if (r.chance(15)) asm.data(...new Array<number[]>(r.between(100, 1200)).fill(UD2).flat());
      asm.bind(label);
      if (r.chance(40)) this.ops.consume();
      this.depth = 1;
      if (r.chance(50)) this.ops.group();
      this.few(2);
      if (r.chance(40)) this.ops.compare();
      asm.emit(...(takes > 0 ? [0xc2, takes, 0] : [0xc3]));
    }
    asm.data(...UD2);
  }

  registers(): number[] {
    const { r, ops } = this;
    const regs = Array.from({ length: 8 }, () => r.value());
    for (const reg of ops.pointers) regs[reg] = ops.near();
    regs[ESP] = this.stack();
    return regs.map((v) => v >>> 0);
  }
  private stack(): number {
    const { r } = this;
    switch (r.below(12)) {
      case 0:
      case 1:
        return DATA + PAGE + r.between(-4, 24);
      case 2:
        return DATA + r.between(4, 48);
      case 3:
        return READ_ONLY + r.between(-16, 0);
      default:
        return DATA + 0x1000 + 4 * r.between(32, 96);
    }
  }
}

/** A program of about `length` instructions, or undefined if nothing came of it that the manual defines. */
export function makeStructured(r: Random, length: number, author: EngineRunner): Program | undefined {
  const maker = new StructureMaker(r, length);
  maker.write();
  const { asm } = maker;
  const regs = maker.registers();
  const eflags = r.next() & STATUS_AND_DF;
  const start = r.chance(40) ? CODE + PAGE - r.between(1, 150) : START;
  const x87 = r.chance(20) ? x87State(r, X87_STATES) : undefined;
  const defineFlags = [0x39, 0xc0 | r.below(64)];
  for (let repair = 0; repair < MOST_REPAIRS; repair++) {
    const laidOut = asm.layout(start);
    if (laidOut === undefined || start - CODE + laidOut.code.length > ROOM) return undefined;
    const { code, patches, written } = laidOut;
    const input: Case = { eip: start, code, segments: 0, regs, eflags, patches, x87 };
    const finding = scrutinise(author, input, MOST_STEPS);
    if (isDefined(finding)) return { input, written, defined: finding };
    if (finding.kind === 'long') return undefined;
    const repaired = finding.kind === 'flags' ? asm.guard(finding.eip, defineFlags) : asm.drop(finding.eip);
    if (!repaired) return undefined;
  }
  return undefined;
}

/**
 * Get-forwarding: a get of a slot whose contents are known from an earlier put or get of the block becomes that
 * value. The block is built anew, so constants that become visible are folded on the way.
 */
import { Builder } from '../builder.js';
import type { Block, Op, Value } from '../ir.js';
import { SCALAR } from '../semantics.js';
import { slotAccess, MAY_ALIAS_FIELDS } from './slots.js';

/** Contents of the `width` bytes at `slot`: the low bytes of `value`, a value of the new block. */
interface Known {
  readonly slot: number;
  readonly width: number;
  readonly value: Value;
}

/** What is known of the slots at one point. Few entries at a time, so a list does. */
class Contents {
  constructor(private entries: readonly Known[] = []) {}

  /** The entry that covers all bytes of the access. */
  find(slot: number, width: number): Known | undefined {
    for (const e of this.entries) {
      if (e.slot <= slot && slot + width <= e.slot + e.width) return e;
    }
    return undefined;
  }
  write(slot: number, width: number, value: Value): void {
    const kept = this.entries.filter((e) => e.slot + e.width <= slot || slot + width <= e.slot);
    kept.push({ slot, width, value });
    this.entries = kept;
  }
  /** A get tells the contents, and makes nothing else untrue. */
  learn(slot: number, width: number, value: Value): void {
    this.entries = [...this.entries, { slot, width, value }];
  }
  forget(): void {
    this.entries = [];
  }
  forgetBelow(end: number): void {
    this.entries = this.entries.filter((e) => e.slot >= end);
  }
  copy(): Contents {
    return new Contents(this.entries);
  }
  /** What both ways to a point agree on. */
  meet(other: Contents): Contents {
    return new Contents(this.entries.filter((e) => other.entries.includes(e)));
  }
}

interface Open {
  readonly kind: 'if' | 'else' | 'loop';
  /** At the start of an if without else yet; after else: at the end of the then part; undefined: not reached. */
  other: Contents | undefined;
  /** At the start of the if. */
  readonly before: Contents;
}

export function forwardGets(block: Block): Block {
  const b = new Builder();
  b.vars.push(...block.vars);
  const renamed: Value[] = new Array<Value>(block.ops.length);
  const open: Open[] = [];
  let contents = new Contents();
  let reached = true;
  let mark = 0;

  const get = (op: Op, slot: number, width: number): Value => {
    const known = contents.find(slot, width);
    const wide = op.type === 'i64';
    if (known !== undefined && wide === (b.ops[known.value]!.type === 'i64')) {
      const shift = 8 * (slot - known.slot);
      if (wide) return known.value;
      const shifted = shift === 0 ? known.value : b.pure('i32.shr_u', known.value, b.const32(shift));
      return width === 4 ? shifted : b.pure('i32.and', shifted, b.const32(width === 1 ? 0xff : 0xffff));
    }
    const value = b.emit(op.name, op.type, [], op.imm);
    contents.learn(slot, width, value);
    return value;
  };

  for (let i = 0; i < block.ops.length; i++) {
    for (; mark < block.marks.length && block.marks[mark]!.at <= i; mark++) {
      b.mark(block.marks[mark]!.delta, block.marks[mark]!.length);
    }
    const op = block.ops[i]!;
    const args = op.args.map((a) => renamed[a]!);
    const access = slotAccess(op);
    if (access !== undefined) {
      const { slot, width, write } = access;
      if (slot === undefined) {
        renamed[i] = b.emit(op.name, op.type, args, op.imm);
        if (write) contents.forgetBelow(MAY_ALIAS_FIELDS);
      } else if (write) {
        renamed[i] = b.emit(op.name, op.type, args, op.imm);
        contents.write(slot, width, args[0]!);
      } else renamed[i] = get(op, slot, width);
      continue;
    }
    if (SCALAR[op.name] !== undefined) {
      renamed[i] = b.pure(op.name, ...args);
      continue;
    }
    renamed[i] = b.emit(op.name, op.type, args, op.imm);
    switch (op.name) {
      case 'if':
        open.push({ kind: 'if', other: contents.copy(), before: contents.copy() });
        break;
      case 'else': {
        const { before } = open.pop()!;
        open.push({ kind: 'else', other: reached ? contents : undefined, before });
        contents = before.copy();
        reached = true;
        break;
      }
      case 'end': {
        const { kind, other, before } = open.pop()!;
        if (kind === 'loop') contents.forget();
        else {
          // Values made in either part are not visible from here on: only what was known before it all counts.
          const ways = other === undefined ? contents : reached ? contents.meet(other) : other;
          contents = ways.meet(before);
        }
        reached = true;
        break;
      }
      case 'loop':
        contents.forget();
        open.push({ kind: 'loop', other: undefined, before: contents.copy() });
        break;
      case 'raise':
      case 'leave':
      case 'return':
        reached = false;
        break;
      case 'poke8':
      case 'poke16':
      case 'poke32':
      case 'poke64':
      case 'call':
        contents.forget();
        break;
    }
  }
  for (; mark < block.marks.length; mark++) b.mark(block.marks[mark]!.delta, block.marks[mark]!.length);
  return b.block();
}

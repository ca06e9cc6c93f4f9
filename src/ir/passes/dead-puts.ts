/**
 * Dead puts: a put all of whose bytes are put again before anything can look at them. Whatever may fault, call, peek
 * or end the block looks at all of them, so flags die only between ops that cannot fault. A store may have hit the code that
 * runs: then execution goes on elsewhere behind the store's instruction, so all bytes are looked at there too.
 */
import type { Block } from '../ir.js';
import { OPS, type OpInfo } from '../ops.js';
import { MAY_ALIAS_FIELDS, slotAccess } from './slots.js';

/** Slots from here on are never found dead. */
const TRACKED = 1024;

/** Bytes of the state that will be written before they are read, looking from some point on. */
type Dead = Uint8Array;

function clear(dead: Dead, from: number, to: number): void {
  dead.fill(0, from, Math.min(to, TRACKED));
}

function intersection(a: Dead, b: Dead): Dead {
  const both = new Uint8Array(TRACKED);
  for (let i = 0; i < TRACKED; i++) both[i] = a[i]! & b[i]!;
  return both;
}

/** Marks (1) the last op of each instruction that stores or calls a function, which may store. */
function endsOfStores({ ops, marks }: Block): Uint8Array {
  const ends = new Uint8Array(ops.length);
  for (let m = 0; m + 1 < marks.length; m++) {
    const end = marks[m + 1]!.at;
    for (let i = marks[m]!.at; i < end; i++) if (STORES.has(OPS[ops[i]!.name].effect)) ends[end - 1] = 1;
  }
  return ends;
}

/** Marks (1) in `dropped`, which has an entry per op, the puts that need not happen. */
export function findDeadPuts(block: Block, dropped: Uint8Array): void {
  const { ops } = block;
  /** Per open structure, walking backwards: what is dead behind it, and at the start of the else part if it has one. */
  const open: { after: Dead; otherwise: Dead | undefined }[] = [];
  let dead: Dead = new Uint8Array(TRACKED);
  const left = endsOfStores(block);
  for (let i = ops.length - 1; i >= 0; i--) {
    const op = ops[i]!;
    if (left[i]) clear(dead, 0, TRACKED);
    const access = slotAccess(op);
    if (access !== undefined) {
      const { slot, width, write } = access;
      if (slot === undefined) {
        if (!write) clear(dead, 0, MAY_ALIAS_FIELDS);
      } else if (!write) clear(dead, slot, slot + width);
      else if (slot + width <= TRACKED) {
        let all = 1;
        for (let k = slot; k < slot + width; k++) all &= dead[k]!;
        if (all) dropped[i] = 1;
        dead.fill(1, slot, slot + width);
      }
      continue;
    }
    switch (op.name) {
      case 'end':
        // Of a loop too: behind its end comes its continue_if, which forgets everything.
        open.push({ after: dead.slice(), otherwise: undefined });
        break;
      case 'else': {
        const scope = open.at(-1)!;
        scope.otherwise = dead;
        dead = scope.after.slice();
        break;
      }
      case 'if': {
        const { after, otherwise } = open.pop()!;
        dead = intersection(dead, otherwise ?? after);
        break;
      }
      case 'loop':
        open.pop();
        break;
      case 'continue_if':
      case 'return':
        clear(dead, 0, TRACKED);
        break;
      default:
        if (LOOKS.has(OPS[op.name].effect)) clear(dead, 0, TRACKED);
    }
  }
}

/** Effects of ops after which the state as it is may be seen. */
const LOOKS: ReadonlySet<OpInfo['effect']> = new Set(['load', 'store', 'fault', 'call', 'peek', 'end']);
const STORES: ReadonlySet<OpInfo['effect']> = new Set(['store', 'call']);

/**
 * Dead code: ops whose results nobody uses and that do nothing else, writes of variables that are never read, and
 * ifs that contain nothing. Loads stay: they may fault.
 */
import type { Block, Mark, Op, Value } from '../ir.js';
import { OPS, type Effect } from '../ops.js';

/** Effects of ops that may go when their result is not used. */
const REMOVABLE: ReadonlySet<Effect> = new Set(['pure', 'get', 'peek']);
const REMOVABLE_NAMES: ReadonlySet<string> = new Set(['var.get', 'clock', 'fuel', 'span', 'direct']);

/** Marks (1) in `dropped`, which may already hold other ops, those that are dead. */
export function findDeadCode(block: Block, dropped: Uint8Array): void {
  const { ops } = block;
  const used = new Uint8Array(ops.length);
  const read = new Uint8Array(block.vars.length);
  // In a loop a variable may be read above where it is written, so reads are counted first; a read whose value turns
  // out unused keeps its variable alive until the next time this runs.
  for (let i = 0; i < ops.length; i++) {
    if (!dropped[i] && ops[i]!.name === 'var.get') read[ops[i]!.imm as number] = 1;
  }
  /** Per open structure, walking backwards: its `else` and `end`, and whether anything is left inside. */
  const open: { end: number; otherwise: number; filled: boolean }[] = [];
  for (let i = ops.length - 1; i >= 0; i--) {
    if (dropped[i]) continue;
    const op = ops[i]!;
    switch (op.name) {
      case 'end':
        open.push({ end: i, otherwise: -1, filled: false });
        continue;
      case 'else':
        open.at(-1)!.otherwise = i;
        continue;
      case 'if': {
        const { end, otherwise, filled } = open.pop()!;
        if (filled) break;
        dropped[i] = dropped[end] = 1;
        if (otherwise >= 0) dropped[otherwise] = 1;
        continue;
      }
      case 'loop':
        open.pop();
        break;
      case 'var.set':
        if (!read[op.imm as number]) {
          dropped[i] = 1;
          continue;
        }
        break;
      default:
        if (!used[i] && (REMOVABLE.has(OPS[op.name].effect) || REMOVABLE_NAMES.has(op.name))) {
          dropped[i] = 1;
          continue;
        }
    }
    for (let k = 0; k < op.args.length; k++) used[op.args[k]!] = 1;
    if (open.length > 0) open.at(-1)!.filled = true;
  }
}

/** The block without its dropped ops; no kept op may use a dropped one. */
export function compact(block: Block, dropped: Uint8Array): Block {
  const { ops } = block;
  const renamed = new Int32Array(ops.length + 1);
  const kept: Op[] = [];
  for (let i = 0; i < ops.length; i++) {
    renamed[i] = kept.length;
    if (dropped[i]) continue;
    const op = ops[i]!;
    let { args } = op;
    for (let k = 0; k < op.args.length; k++) {
      if (renamed[op.args[k]!] !== op.args[k]) {
        args = op.args.map((a) => renamed[a] as Value);
        break;
      }
    }
    kept.push(args === op.args ? op : { name: op.name, type: op.type, args, imm: op.imm });
  }
  renamed[ops.length] = kept.length;
  const marks: Mark[] = block.marks.map((m) => ({ at: renamed[m.at]!, delta: m.delta, length: m.length }));
  return { ops: kept, vars: block.vars, marks };
}

/**
 * Branch hints: the custom section `metadata.code.branch_hint`, which Binaryen's API cannot make. What is unlikely is
 * marked in the code itself, by a condition that is negated twice (engines see through it); `withBranchHints` finds
 * the marks in the finished bytes.
 *
 * Without hints V8 allocates registers as if the slow path of every TLB check were as likely as the hit: all that lives
 * across its call is spilled before the check and loaded again behind it, on the way of the hit too.
 */
import { HEADER_BYTES, leb, named, Reader, SECTION } from './wasm-bytes.js';

const NAME = 'metadata.code.branch_hint';
/** A hint's byte, and how many bytes it has. */
const UNLIKELY = [1, 0];

// Opcodes.
const IF = 0x04;
const BR_IF = 0x0d;
const BR_TABLE = 0x0e;
const PREFIX = 0xfc;
const EQZ = 0x45;

/** LEB128 numbers behind an opcode, as [first opcode, last opcode, numbers]; none behind the others. */
const IMMEDIATES: readonly (readonly [number, number, number])[] = [
  [0x02, IF, 1],
  [0x0c, BR_IF, 1],
  [0x10, 0x10, 1],
  [0x11, 0x11, 2],
  [0x20, 0x26, 1],
  [0x28, 0x3e, 2],
  [0x3f, 0x42, 1],
];
/** Behind the opcodes of the prefix, by their number: conversions have none, bulk memory one or two. */
const PREFIX_IMMEDIATES = [0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 2, 1];

const immediatesOf = new Uint8Array(256);
for (const [first, last, numbers] of IMMEDIATES) immediatesOf.fill(numbers, first, last + 1);

/** Offsets, from the start of the function body [start, end), of its marked branches. */
function markedBranches(r: Reader, end: number): number[] {
  const start = r.at;
  for (let groups = r.u32(); groups > 0; groups--) {
    r.skip(1);
    r.byte();
  }
  const found: number[] = [];
  // How many negations stand directly before.
  let negations = 0;
  while (r.at < end) {
    const at = r.at;
    const opcode = r.byte();
    if (opcode === EQZ) {
      negations++;
      continue;
    }
    if (negations >= 2 && (opcode === IF || opcode === BR_IF)) found.push(at - start);
    negations = 0;
    if (opcode === BR_TABLE) {
      const labels = r.u32();
      r.skip(labels + 1);
    } else if (opcode === PREFIX) {
      const number = r.u32();
      r.skip(PREFIX_IMMEDIATES[number]!);
    } else r.skip(immediatesOf[opcode]!);
  }
  return found;
}

/** Functions that the module imports, from the start of its import section's content. */
function importedFunctions(r: Reader): number {
  let functions = 0;
  for (let left = r.u32(); left > 0; left--) {
    r.name();
    r.name();
    const kind = r.byte();
    if (kind === IMPORT.function) {
      functions++;
      r.skip(1);
    } else if (kind === IMPORT.global) {
      r.byte();
      r.byte();
    } else {
      if (kind === IMPORT.table) r.byte();
      const hasMaximum = r.byte() & 1;
      r.skip(1 + hasMaximum);
    }
  }
  return functions;
}
const IMPORT = { function: 0, table: 1, memory: 2, global: 3 } as const;

/** The hints of the functions in a code section, and how many functions have some. */
function hintsOf(r: Reader, imported: number): { functions: number; hints: number[] } {
  const hints: number[] = [];
  let functions = 0;
  const count = r.u32();
  for (let i = 0; i < count; i++) {
    const bytes = r.u32();
    const end = r.at + bytes;
    const offsets = markedBranches(r, end);
    r.at = end;
    if (offsets.length === 0) continue;
    functions++;
    hints.push(...leb(imported + i), ...leb(offsets.length));
    for (const offset of offsets) hints.push(...leb(offset), ...UNLIKELY);
  }
  return { functions, hints };
}

/** The module with a hint for every marked branch: in front of its code section, as the proposal wants it. */
export function withBranchHints(wasm: Uint8Array): Uint8Array {
  const r = new Reader(wasm, HEADER_BYTES);
  let imported = 0;
  while (r.at < wasm.length) {
    const start = r.at;
    const section = r.byte();
    const size = r.u32();
    const next = r.at + size;
    if (section === SECTION.import) imported = importedFunctions(r);
    else if (section === SECTION.code) {
      const { functions, hints } = hintsOf(r, imported);
      if (functions === 0) return wasm;
      const head = [...named(NAME), ...leb(functions)];
      const all = [SECTION.custom, ...leb(head.length + hints.length), ...head];
      const out = new Uint8Array(wasm.length + all.length + hints.length);
      out.set(wasm.subarray(0, start), 0);
      out.set(all, start);
      out.set(hints, start + all.length);
      out.set(wasm.subarray(start), start + all.length + hints.length);
      return out;
    }
    r.at = next;
  }
  return wasm;
}

/**
 * The IR's op table: the one definition of every op. The printer, parser, verifier, passes, reference evaluator
 * and Wasm lowering are all driven by it.
 *
 * Pure ops carry the name and the meaning of the WebAssembly instruction of that name (WebAssembly core
 * specification 2.0, section 4.3), except that shift counts are taken modulo the width as there, and that
 * `ext8_s`/`ext16_s` are `extend8_s`/`extend16_s`. Everything else is described beside its row.
 */

export type Type = 'i32' | 'i64';
/** `void`: the op has no result. `any`: the type stands in the op (variables, calls). */
export type ResultType = Type | 'void' | 'any';

/**
 * What an op does besides computing its result.
 * - `pure`: nothing; may be moved, shared, folded or dropped.
 * - `get` / `put`: reads / writes one statically known slot of the CPU state.
 * - `peek` / `poke`: reads / writes control memory at a computed address.
 * - `load` / `store`: guest memory at a linear address; may fault, in which case the instruction has not happened.
 * - `var`: a local variable of the block or function.
 * - `control`: structure inside an instruction (if/else/end, loop/end).
 * - `fault`: may end the instruction with an exception.
 * - `call`: an IR function; whatever that does.
 * - `env`: asks the machine (clock, fuel); not to be folded or moved.
 * - `end`: a terminator: ends the basic block.
 */
export type Effect =
  | 'pure'
  | 'get'
  | 'put'
  | 'peek'
  | 'poke'
  | 'load'
  | 'store'
  | 'var'
  | 'control'
  | 'fault'
  | 'call'
  | 'env'
  | 'end';

export interface OpInfo {
  readonly result: ResultType;
  readonly args: readonly Type[];
  readonly effect: Effect;
  /** What `Op.imm` holds: nothing, a number, a slot/displacement (number or field), or as named. */
  readonly imm:
    'none' | 'number' | 'bigint' | 'slot' | 'delta' | 'field' | 'var' | 'call' | 'delta2' | 'leave';
}

const I = 'i32';
const L = 'i64';

function pure(result: Type, ...args: Type[]): OpInfo {
  return { result, args, effect: 'pure', imm: 'none' };
}

const i32Binary = pure(I, I, I);
const i64Binary = pure(L, L, L);
const i64Compare = pure(I, L, L);

export const OPS = {
  // Constants.
  /** imm: int32. */
  'i32.const': { result: I, args: [], effect: 'pure', imm: 'number' },
  /** imm: bigint, 0 .. 2^64-1. */
  'i64.const': { result: L, args: [], effect: 'pure', imm: 'bigint' },
  /** The 32-bit value of operand field `imm` of the instruction form (symbolic lifting only). */
  field: { result: I, args: [], effect: 'pure', imm: 'field' },

  // Pure 32-bit.
  'i32.add': i32Binary,
  'i32.sub': i32Binary,
  'i32.mul': i32Binary,
  'i32.and': i32Binary,
  'i32.or': i32Binary,
  'i32.xor': i32Binary,
  'i32.shl': i32Binary,
  'i32.shr_u': i32Binary,
  'i32.shr_s': i32Binary,
  'i32.rotl': i32Binary,
  'i32.rotr': i32Binary,
  /** Division: the lifter guards against a zero divisor and INT_MIN / -1, which have no meaning here. */
  'i32.div_u': i32Binary,
  'i32.div_s': i32Binary,
  'i32.rem_u': i32Binary,
  'i32.rem_s': i32Binary,
  'i32.eqz': pure(I, I),
  'i32.eq': i32Binary,
  'i32.ne': i32Binary,
  'i32.lt_u': i32Binary,
  'i32.lt_s': i32Binary,
  'i32.le_u': i32Binary,
  'i32.le_s': i32Binary,
  'i32.clz': pure(I, I),
  'i32.ctz': pure(I, I),
  'i32.popcnt': pure(I, I),
  'i32.ext8_s': pure(I, I),
  'i32.ext16_s': pure(I, I),
  /** args: condition, value if nonzero, value if zero. Note the order: the condition comes first. */
  'i32.select': pure(I, I, I, I),

  // Pure 64-bit.
  'i64.add': i64Binary,
  'i64.sub': i64Binary,
  'i64.mul': i64Binary,
  'i64.and': i64Binary,
  'i64.or': i64Binary,
  'i64.xor': i64Binary,
  'i64.shl': i64Binary,
  'i64.shr_u': i64Binary,
  'i64.shr_s': i64Binary,
  'i64.rotl': i64Binary,
  'i64.div_u': i64Binary,
  'i64.div_s': i64Binary,
  'i64.rem_u': i64Binary,
  'i64.rem_s': i64Binary,
  'i64.eqz': pure(I, L),
  'i64.eq': i64Compare,
  'i64.ne': i64Compare,
  'i64.lt_u': i64Compare,
  'i64.lt_s': i64Compare,
  'i64.le_u': i64Compare,
  'i64.le_s': i64Compare,
  'i64.clz': pure(L, L),
  'i64.ctz': pure(L, L),
  'i64.select': pure(L, I, L, L),
  'i64.extend_i32_u': pure(L, I),
  'i64.extend_i32_s': pure(L, I),
  'i32.wrap_i64': pure(I, L),

  // CPU state. A slot is a byte offset into the CPU state, or a field that holds one. Narrow reads zero-extend,
  // narrow writes store the low bits and leave the neighbouring bytes alone.
  get8: { result: I, args: [], effect: 'get', imm: 'slot' },
  get16: { result: I, args: [], effect: 'get', imm: 'slot' },
  get32: { result: I, args: [], effect: 'get', imm: 'slot' },
  get64: { result: L, args: [], effect: 'get', imm: 'slot' },
  put8: { result: 'void', args: [I], effect: 'put', imm: 'slot' },
  put16: { result: 'void', args: [I], effect: 'put', imm: 'slot' },
  put32: { result: 'void', args: [I], effect: 'put', imm: 'slot' },
  put64: { result: 'void', args: [L], effect: 'put', imm: 'slot' },

  // Control memory (CPU state and tables) at a computed byte address + imm.
  peek8: { result: I, args: [I], effect: 'peek', imm: 'number' },
  peek16: { result: I, args: [I], effect: 'peek', imm: 'number' },
  peek32: { result: I, args: [I], effect: 'peek', imm: 'number' },
  peek64: { result: L, args: [I], effect: 'peek', imm: 'number' },
  poke8: { result: 'void', args: [I, I], effect: 'poke', imm: 'number' },
  poke16: { result: 'void', args: [I, I], effect: 'poke', imm: 'number' },
  poke32: { result: 'void', args: [I, I], effect: 'poke', imm: 'number' },
  poke64: { result: 'void', args: [I, L], effect: 'poke', imm: 'number' },

  // Guest memory at a linear address, at the current privilege. imm of a load: 0 = read; 1 = read for a
  // read-modify-write (needs write permission, and a page fault says "write"). Any alignment; an access across two
  // pages checks both before anything is written.
  ld8: { result: I, args: [I], effect: 'load', imm: 'number' },
  ld16: { result: I, args: [I], effect: 'load', imm: 'number' },
  ld32: { result: I, args: [I], effect: 'load', imm: 'number' },
  ld64: { result: L, args: [I], effect: 'load', imm: 'number' },
  st8: { result: 'void', args: [I, I], effect: 'store', imm: 'none' },
  st16: { result: 'void', args: [I, I], effect: 'store', imm: 'none' },
  st32: { result: 'void', args: [I, I], effect: 'store', imm: 'none' },
  st64: { result: 'void', args: [I, L], effect: 'store', imm: 'none' },
  /** Faults unless the imm (1..4096) bytes from the address can be written; writes nothing. */
  probe: { result: 'void', args: [I], effect: 'load', imm: 'number' },
  /**
   * args: linear address; imm: 0 read, 1 write. The number of bytes (0..4096) from the address to the end of its
   * page if they can be accessed directly right now, else 0. 0 is always a correct answer: never faults.
   */
  span: { result: I, args: [I], effect: 'env', imm: 'number' },
  /** args: linear address for which `span` just gave a nonzero answer; imm as there. Control-memory address for peek/poke. */
  direct: { result: I, args: [I], effect: 'env', imm: 'number' },

  // Variables of the block or function, written before they are read. imm: variable number.
  'var.get': { result: 'any', args: [], effect: 'var', imm: 'var' },
  'var.set': { result: 'void', args: [], effect: 'var', imm: 'var' }, // one argument of the variable's type

  // Structure. Values defined inside are not visible outside: merge through variables.
  if: { result: 'void', args: [I], effect: 'control', imm: 'none' },
  else: { result: 'void', args: [], effect: 'control', imm: 'none' },
  /** Closes the innermost if or loop. */
  end: { result: 'void', args: [], effect: 'control', imm: 'none' },
  /** Runs its body once, and again for as long as `continue_if` says so. */
  loop: { result: 'void', args: [], effect: 'control', imm: 'none' },
  /** Goes back to the start of the innermost loop if the argument is nonzero. */
  continue_if: { result: 'void', args: [I], effect: 'control', imm: 'none' },
  /** Functions only: leave the function; its one argument has the function's result type, none if void. */
  return: { result: 'void', args: [], effect: 'control', imm: 'none' },

  /** Calls IR function imm with the arguments. If the function may fault and did, the instruction ends there. */
  call: { result: 'any', args: [], effect: 'call', imm: 'call' },
  /**
   * args: error code. imm: exception vector. The instruction faults: state is that of its start (the lifter sees to
   * it that nothing was changed before), eip stays on it.
   */
  raise: { result: 'void', args: [I], effect: 'fault', imm: 'number' },

  /** The offset (eip) of the current instruction's first byte plus imm; imm is a delta or a field. */
  pcrel: { result: I, args: [], effect: 'pure', imm: 'delta' },
  /** Time-stamp counter at the start of this instruction. */
  clock: { result: L, args: [], effect: 'env', imm: 'none' },
  /** How many more guest instructions the budget allows beyond this one (>= 0). */
  fuel: { result: I, args: [], effect: 'env', imm: 'none' },
  /** Counts the argument (<= fuel) as further executed guest instructions (bulk iterations of rep). */
  charge: { result: 'void', args: [I], effect: 'env', imm: 'none' },

  // Terminators. Targets are deltas from the current instruction's first byte, or fields.
  /** Falls or jumps to a known place. */
  goto: { result: 'void', args: [], effect: 'end', imm: 'delta' },
  /** args: condition; imm: [taken, not taken]. */
  branch: { result: 'void', args: [I], effect: 'end', imm: 'delta2' },
  /** args: eip. imm 0 = jump, 1 = call, 2 = return, 3 = jump after CPL, segments or mode may have changed. */
  jump: { result: 'void', args: [I], effect: 'end', imm: 'number' },
  /**
   * Leaves the engine for its owner. imm: reason (see LEAVE in frontend-x86/leave.ts); args: an i32 detail such as a vector.
   * The instruction is complete but for what the owner does; EIP stays on the instruction and EXIT_NEXT tells the next.
   */
  leave: { result: 'void', args: [I], effect: 'end', imm: 'leave' },
} as const satisfies Record<string, OpInfo>;

export type OpName = keyof typeof OPS;

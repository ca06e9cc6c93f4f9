/** All cases of the vectors, from the opcode rows and a seed. */
import { ROWS, type Row } from '../../src/frontend-x86/opcodes.js';
import { rmKinds } from '../../src/frontend-x86/forms.js';
import type { Case } from './case.js';
import { encode, environments, places, type Encoding, type Environment } from './encode.js';
import { CODE, PAGE, SEGMENT_SETS, SEGMENTS } from './layout.js';
import { Random } from './random.js';
import { StateMaker, target } from './state.js';
import { x87Pool, x87State } from './x87-state.js';

/**
 * What the vectors leave out: results that belong to the machine (`cpuid`, `rdtsc`, table registers), system calls
 * (`int`), what a hypervisor takes (`vmcall`, and `icebp`, whose eip some get wrong), and SSE's control register.
 */
const LEFT_OUT = new Set([
  ...[
    'int',
    'cpuid',
    'rdtsc',
    'vmcall',
    'icebp',
    'sldt',
    'str',
    'sgdt',
    'sidt',
    'smsw',
    'ldmxcsr',
    'stmxcsr',
    'fxsave',
    'fxrstor',
  ],
]);
/** Rows that jump somewhere. */
const FAR_SELECTORS = [0x23, 0x23, 0x23, 0x23, 0, 0x2b, 0xfff8];

const isX87 = (row: Row): boolean =>
  (row.map === 0 && row.opcode >= 0xd8 && row.opcode <= 0xdf) || row.op === 'fwait';

export type Topic = 'integer' | 'segments' | 'x87';

export interface GenerateOptions {
  readonly seed: number;
  readonly topic: Topic;
}

const BASES = 256;

/** Register sets that cases start from (they change some registers). */
export function baseRegisters(seed: number): number[][] {
  const r = new Random(seed ^ 0x5bd1e995);
  return Array.from({ length: BASES }, () => Array.from({ length: 8 }, () => r.value()));
}

class Generator {
  readonly r: Random;
  readonly cases: Case[] = [];
  private readonly bases: number[][];
  private readonly pool: Uint8Array[];
  constructor(private readonly options: GenerateOptions) {
    this.r = new Random(options.seed);
    this.bases = baseRegisters(options.seed);
    this.pool = x87Pool(options.seed);
  }

  private eipOf(set: number, length: number): number {
    const { r } = this;
    const selector = SEGMENT_SETS[set]![1]!;
    const base = SEGMENTS.find((s) => s.selector === selector)!.base;
    // Now and then across the two code pages.
    if (length > 1 && r.chance(4)) return CODE + PAGE - r.between(1, length - 1) - base;
    return CODE + PAGE - 0x100 - base;
  }

  private encoding(
    row: Row,
    e: Environment,
    place: readonly [number, number, number],
    set: number,
  ): Encoding {
    const { r } = this;
    const [mod, rm, reg] = place;
    return encode(r, row, {
      environment: e,
      mod,
      rm,
      reg,
      absolute: row.operands.includes('Ap') ? CODE + r.between(0x20, 0x1f00) : target(r, 4),
      jump: row.operands.includes('Jb') ? r.between(-128, 127) : r.between(-0xe00, 0xe00),
      farSelector: r.pick(FAR_SELECTORS),
      flat: set === 0,
    });
  }

  private add(row: Row, encoding: Encoding, set: number, times: number): void {
    const { r } = this;
    const eip = this.eipOf(set, encoding.bytes.length);
    for (let n = 0; n < times; n++) {
      const maker = new StateMaker(r, encoding, set, eip, r.pick(this.bases));
      this.cases.push(maker.make(isX87(row) ? x87State(r, this.pool) : undefined));
    }
  }

  private integerRow(row: Row): void {
    const { r } = this;
    for (const e of environments(r, row)) {
      const rare = e.override !== 0 || e.lock || e.address16;
      const list = places(r, row, e.address16);
      const privileged =
        row.op === 'privileged' || row.op === 'ud' || row.op === 'nop' || row.op === 'mov_dr';
      const chosen = privileged ? [r.pick(list)] : rare ? list.filter(() => r.chance(45)) : list;
      for (const place of chosen) {
        const memory = row.hasModrm && place[0] !== 3;
        this.add(row, this.encoding(row, e, place, 0), 0, privileged ? 1 : memory ? 2 : 2);
      }
      // Many values for few encodings.
      if (!rare && !privileged && !row.op.endsWith('cc')) {
        const deep = this.encoding(row, e, r.pick(list), 0);
        this.add(row, deep, 0, 40);
        if (list.length === 1) this.add(row, this.encoding(row, e, r.pick(list), 0), 0, 40);
      }
      if (row.op.endsWith('cc')) this.add(row, this.encoding(row, e, r.pick(list), 0), 0, 10);
    }
  }

  private segmentedRow(row: Row): void {
    const { r } = this;
    const { memory } = rmKinds(row);
    const matters =
      memory ||
      row.flags.has('stack') ||
      row.flags.has('string') ||
      /^(retf?|iret|callf|jmpf|pop|push)$/.test(row.op);
    if (!matters && !row.operands.some((code) => /^O[bv]$/.test(code))) return;
    if (row.op === 'privileged' || row.op === 'nop' || row.op === 'ud') return;
    for (const e of environments(r, row)) {
      const list = places(r, row, e.address16).filter(([mod]) => mod !== 3 || !memory);
      for (let set = 1; set < SEGMENT_SETS.length; set++) {
        for (let n = 0; n < 3; n++) {
          const place = list.length > 0 ? r.pick(list) : ([3, 0, 0] as const);
          this.add(row, this.encoding(row, e, place, set), set, 2);
        }
      }
    }
  }

  private x87Row(row: Row): void {
    const { r } = this;
    const fixed = row.modrm >= 0 || !row.hasModrm;
    for (const e of environments(r, row)) {
      if (!fixed && (e.address16 || e.override !== 0) && !r.chance(40)) continue;
      const list = places(r, row, e.address16);
      if (fixed) {
        const times = row.operands.length > 0 ? 25 : 120;
        this.add(row, this.encoding(row, e, list[0]!, 0), 0, times);
        continue;
      }
      for (let n = 0; n < (e.address16 || e.override ? 4 : 16); n++) {
        this.add(row, this.encoding(row, e, r.pick(list), 0), 0, 8);
      }
    }
  }

  run(): Case[] {
    for (const row of ROWS) {
      if (LEFT_OUT.has(row.op)) continue;
      if (isX87(row) !== (this.options.topic === 'x87')) continue;
      if (this.options.topic === 'x87') this.x87Row(row);
      else if (this.options.topic === 'segments') this.segmentedRow(row);
      else this.integerRow(row);
    }
    return this.cases;
  }
}

/** Cases in a fixed order; the same for the same seed and opcode tables. */
export function generateCases(options: GenerateOptions): Case[] {
  return new Generator(options).run();
}

/**
 * Aliasing: an instruction form's operands may turn out to be the same register. The form's IR with its fields bound must do
 * exactly what the IR of the instruction itself does.
 */
import { bindFields } from '../../ir/bind.js';
import { Builder } from '../../ir/builder.js';
import { GuestFault } from '../../ir/environment.js';
import { evaluate } from '../../ir/evaluate.js';
import type { Block } from '../../ir/ir.js';
import * as S from '../cpu-state.js';
import { decode } from '../decode.js';
import { fieldValue } from '../decoded-instruction.js';
import { allForms, formName, symbolic } from '../forms.js';
import type { FieldName, Instruction } from '../instruction.js';
import { sampleEncoding } from '../sample.js';
import { GUEST_BYTES, Machine } from './fixture.js';
import { ALU } from './alu.js';
import { BCD } from './bcd.js';
import { BITS } from './bits.js';
import { CONTROL } from './control.js';
import { lift } from './lift.js';
import { MOVE } from './move.js';
import { MULDIV } from './muldiv.js';
import { SEGMENT } from './segment.js';
import { SHIFT } from './shift.js';
import { STACK } from './stack.js';
import { STRING } from './string.js';
import { SYSTEM } from './system.js';

const TABLES = [MOVE, ALU, SHIFT, MULDIV, BITS, STRING, BCD, STACK, CONTROL, SEGMENT, SYSTEM];
const INTEGER_OPS = new Set(TABLES.flatMap((table) => Object.keys(table)));

let seed = 1;
function random(n: number): number {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return (seed >>> 8) % n;
}

const PATTERN = Uint8Array.from({ length: GUEST_BYTES }, () => random(256));

function blockOf(i: Instruction, length: number): Block {
  const b = new Builder();
  b.mark(0, length);
  lift(b, i);
  return b.block();
}

/** A machine whose registers mostly hold addresses of guest memory; the same one for the same number. */
function machine(n: number): Machine {
  seed = n;
  const m = new Machine();
  for (let slot = 0; slot < 32; slot += 4)
    m.set(slot, random(4) ? 0x1000 + random(0x800) : random(0x1000000) * 257);
  m.set(S.FLAG_RESULT, random(2) ? 0 : -random(300));
  m.set(S.FLAG_AUX, random(2) ? -0x80000000 : 8);
  new Uint8Array(m.buffer).set(PATTERN, m.guest.byteOffset);
  return m;
}

function run(m: Machine, block: Block): unknown {
  try {
    return evaluate(block, m, { eip: m.eip });
  } catch (e) {
    if (e instanceof GuestFault) return e;
    throw e;
  }
}

test('forms with their fields bound do what the instructions do', () => {
  const slots = (form: Instruction, n: number) => {
    const pick = (size: unknown) => (size === 1 ? [0, 1, 4, 5][random(4)]! : 4 * random(n));
    const width = (k: number) => (form.operands[k]?.kind === 'reg' ? form.operands[k].size : 4);
    const one = pick(Math.min(width(0) as number, width(1) as number));
    // 16-bit addresses: ebx + esi, or edi alone.
    const [base, index] =
      form.addressSize === 4 ? [4 * random(n), 4 * random(4)] : random(2) ? [S.EBX, S.ESI] : [S.EDI, S.ZERO];
    return { rm: one, reg: random(3) ? one : pick(width(1)), base, index };
  };
  let compared = 0;
  for (const form of allForms()) {
    if (!INTEGER_OPS.has(form.op)) continue;
    for (let n = 1; n <= 8; n++) {
      seed = n * 7919;
      const values = { ...slots(form, n < 6 ? 2 : 8), disp: random(64), imm: random(70), imm2: random(4) };
      const { bytes, flat } = sampleEncoding(form, values);
      const concrete = decode(bytes, 0, bytes.length, flat);
      // `xchg eax, eax` is a nop.
      if (concrete === 'more' || concrete.form !== form.form) continue;
      const valueOf = ({ name }: { name: string }) => fieldValue(concrete, name as FieldName);
      const bound = bindFields(blockOf(symbolic(form), concrete.length), valueOf);
      const a = machine(n);
      const b = machine(n);
      const name = `${formName(form)} ${Buffer.from(bytes).toString('hex')}`;
      const [one, other] = [run(a, bound), run(b, blockOf(concrete, concrete.length))];
      if (JSON.stringify(one) !== JSON.stringify(other)) expect([name, one]).toEqual([name, other]);
      const same = Buffer.compare(Buffer.from(a.buffer), Buffer.from(b.buffer));
      if (same !== 0) throw new Error(`${name}: the states differ`);
      compared++;
    }
  }
  expect(compared).toBeGreaterThan(5000);
});

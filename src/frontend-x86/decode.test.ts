import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { decode } from './decode.js';
import type { DecodedInstruction } from './decoded-instruction.js';
import { disassemble } from './disassemble.js';
import { allForms, fieldValue, formCount, formName, symbolic } from './forms.js';
import { AddressShape, type FieldName } from './instruction.js';
import { sampleEncoding } from './sample.js';
import { EBP, EBX, EDI, ESI, ESP, SS, ZERO, FS, DS } from './cpu-state.js';
import { Field } from '../ir/ir.js';

function hex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/[0-9a-f]{2}/g)!, (byte) => parseInt(byte, 16));
}
function one(text: string, flat = true): DecodedInstruction {
  const bytes = hex(text);
  const insn = decode(bytes, 0, bytes.length, flat);
  if (insn === 'more') throw new Error(`${text} goes on`);
  return insn;
}
function address(insn: DecodedInstruction) {
  const operand = insn.operands.find((o) => o.kind === 'mem');
  if (operand?.kind !== 'mem') throw new Error('no memory operand');
  return operand.address;
}

/** Bytes that begin like instructions more often than noise does. */
const byteStrings = fc
  .tuple(
    fc.array(fc.constantFrom(0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x64, 0x65, 0x3e), { maxLength: 4 }),
    fc.boolean(),
    fc.uint8Array({ maxLength: 18 }),
  )
  .map(([prefixes, two, rest]) => Uint8Array.from([...prefixes, ...(two ? [0x0f] : []), ...rest]));

describe('any bytes', () => {
  test('decode to 1..15 available bytes, the same each time, and only those bytes count', () => {
    fc.assert(
      fc.property(byteStrings, fc.boolean(), fc.uint8Array({ maxLength: 20 }), (bytes, flat, other) => {
        const insn = decode(bytes, 0, bytes.length, flat);
        if (insn === 'more') return bytes.length < 15;
        const { length } = insn;
        if (length < 1 || length > 15 || length > bytes.length) return false;
        const again = decode(
          Uint8Array.from([...other, ...bytes.slice(0, length)]),
          other.length,
          length,
          flat,
        );
        expect(again).toEqual(insn);
        expect(() => disassemble(insn, 0x1000)).not.toThrow();
        expect(() => insn.operands).not.toThrow();
        // One byte less is not enough, except where the length itself is the fault.
        return insn.op === 'too_long' || decode(bytes, 0, length - 1, flat) === 'more';
      }),
      { numRuns: 3000 },
    );
  });

  test('match the form that symbolic() shows', () => {
    fc.assert(
      fc.property(byteStrings, fc.boolean(), (bytes, flat) => {
        const insn = decode(bytes, 0, bytes.length, flat);
        if (insn === 'more') return;
        const form = symbolic(insn);
        expect(form.form).toBe(insn.form);
        expect([insn.op, insn.cc, insn.operandSize, insn.addressSize, insn.rep, insn.flat]).toEqual([
          form.op,
          form.cc,
          form.operandSize,
          form.addressSize,
          form.rep,
          form.flat,
        ]);
        // Wherever the form has a number, the instruction has the same one.
        const same = (concrete: unknown, pattern: unknown): void => {
          if (pattern instanceof Field) {
            expect(concrete).toBe(fieldValue(insn, pattern.name as FieldName));
          } else if (typeof pattern === 'object' && pattern !== null) {
            for (const [name, part] of Object.entries(pattern)) {
              const meaningless =
                'shape' in pattern &&
                (pattern.shape as AddressShape) < AddressShape.fsgs &&
                name.startsWith('segment');
              if (!meaningless) same((concrete as Record<string, unknown>)[name], part);
            }
          } else {
            expect(concrete).toBe(pattern);
          }
        };
        same(insn.operands, form.operands);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('forms', () => {
  test('are dense, have different names, and each is what its sample decodes to', () => {
    const names = new Set<string>();
    let number = 0;
    for (const form of allForms()) {
      expect(form.form).toBe(number++);
      names.add(formName(form));
      const { bytes, flat } = sampleEncoding(form);
      const insn = decode(bytes, 0, bytes.length, flat);
      if (insn === 'more') throw new Error(`${formName(form)}: sample too short`);
      expect(`${formName(insn)} ${insn.length}`).toBe(`${formName(form)} ${bytes.length}`);
    }
    expect(names.size).toBe(formCount());
    expect(number).toBe(formCount());
  });

  test('samples take the field values they are given', () => {
    const form = one('8b84 b3 78563412').form;
    const values = { reg: EDI, base: ESP, index: EBP, scale: 3, disp: -5 };
    const { bytes, flat } = sampleEncoding(form, values);
    const insn = decode(bytes, 0, bytes.length, flat) as DecodedInstruction;
    for (const [name, value] of Object.entries(values)) {
      expect(fieldValue(insn, name as FieldName)).toBe(value);
    }
  });

  test('byte registers are slots, so high and low ones share a form', () => {
    expect(one('88e1').form).toBe(one('88c1').form);
    expect(one('88e1').operands[1]).toEqual({ kind: 'reg', slot: 1, size: 1 });
    expect(formName(one('8b451c'))).toBe('mov.32 reg,[base]');
  });

  test('short and long immediates share a form', () => {
    expect(one('83c001').form).toBe(one('81c001000000').form);
    expect(one('eb00').form).toBe(one('e900000000').form);
    expect(one('7402').form).toBe(one('0f8402000000').form);
  });
});

describe('addresses', () => {
  test('flat shapes', () => {
    expect(address(one('8b0578563412'))).toMatchObject({ shape: AddressShape.absolute, disp: 0x12345678 });
    expect(address(one('8b442404'))).toMatchObject({ shape: AddressShape.base, base: ESP, disp: 4 });
    expect(address(one('8b0433'))).toMatchObject({ shape: AddressShape.indexed, base: EBX, index: ESI });
    expect(address(one('8b04b500000000'))).toMatchObject({
      shape: AddressShape.indexed,
      base: ZERO,
      scale: 2,
    });
  });
  test('segments', () => {
    expect(address(one('64a114000000'))).toMatchObject({ shape: AddressShape.fsgs, segment: FS });
    expect(address(one('368b00')).shape).toBe(AddressShape.base);
    expect(address(one('8b4500', false))).toMatchObject({ shape: AddressShape.general, segment: SS });
    expect(address(one('8b00', false))).toMatchObject({ shape: AddressShape.general, segment: DS });
    expect(address(one('648d00', false)).shape).toBe(AddressShape.base);
  });
  test('16-bit', () => {
    expect(address(one('678b42fe'))).toMatchObject({ shape: AddressShape.general16, segment: SS, disp: -2 });
    expect(address(one('67a13412'))).toMatchObject({
      shape: AddressShape.general16,
      base: ZERO,
      disp: 0x1234,
    });
  });
  test('rare instructions have one flat shape', () => {
    expect(one('d900').form).toBe(one('d904b3').form);
    expect(address(one('d900'))).toMatchObject({ shape: AddressShape.indexed, index: ZERO });
  });
});

describe('prefixes', () => {
  test('an override moves the source of a string operation, not its destination', () => {
    expect(one('64a4')).toMatchObject({ op: 'movs', segment: FS, flat: false });
    expect(one('64aa')).toMatchObject({ op: 'stos', flat: true });
  });
  test('rep', () => {
    expect(one('f3a5')).toMatchObject({ op: 'movs', rep: 'rep', operandSize: 4 });
    expect(one('f2a4')).toMatchObject({ op: 'movs', rep: 'rep', operandSize: 1 });
    expect(one('f2ae')).toMatchObject({ op: 'scas', rep: 'repne' });
    expect(one('f3c3')).toMatchObject({ op: 'ret', rep: 'none' });
  });
  test('lock is for some instructions with memory destinations', () => {
    expect(one('f00fb10a')).toMatchObject({ op: 'cmpxchg', lock: true });
    expect(one('f00fb1ca').op).toBe('ud');
    expect(one('f08b00').op).toBe('ud');
    expect(one('f03900').op).toBe('ud');
  });
  test('more than 15 bytes', () => {
    const bytes = new Uint8Array(20).fill(0x66);
    bytes[14] = 0x90;
    expect(decode(bytes, 0, 20, true)).toMatchObject({ op: 'nop', length: 15 });
    bytes[14] = 0x66;
    expect(decode(bytes, 0, 20, true)).toMatchObject({ op: 'too_long', length: 15 });
    expect(decode(bytes, 0, 14, true)).toBe('more');
  });
});

// What a processor answered to these bytes at the end of a page.
test.each([
  ['8ec8', 'mov to cs'],
  ['8cf0', 'no such segment register'],
  ['fed0', 'fe /2'],
  ['fff8', 'ff /7'],
  ['c60011', 'c6 /0 is mov'],
  ['c60811', 'c6 /1 takes its immediate along'],
  ['66c7081122', 'c7 /1 likewise, of 16 bits'],
  ['d9d1', 'beside fnop'],
  ['d948 10', 'd9 /1 takes its displacement along'],
  ['0f0a', 'no row'],
  ['8dc0', 'lea of a register'],
  ['0fc7c8', 'cmpxchg8b of a register'],
  ['f090', 'lock nop'],
  ['f00fba20 01', 'lock bt'],
  ['660faee8', 'lfence with 66'],
  ['0f0b', 'ud2'],
])('%s: %s', (bytes, what) => {
  const insn = one(bytes);
  expect([insn.op, insn.length]).toEqual([what === 'c6 /0 is mov' ? 'mov' : 'ud', hex(bytes).length]);
});

test('instructions that must not run in rings 1 to 3 are one form', () => {
  for (const bytes of ['f4', 'fa', 'fb', 'ed', 'f36d', '0f06', '0f22c0', '0f0110', '0f30']) {
    expect(one(bytes).op).toBe('privileged');
    expect(one(bytes).form).toBe(one('f4').form);
  }
  expect(disassemble(one('0f22c0'), 0)).toBe('mov cr0,eax');
  expect(disassemble(one('f36d'), 0)).toBe('rep ins DWORD PTR es:[edi],dx');
  expect(one('0f23f8')).toMatchObject({ op: 'mov_dr' });
});

describe('relative targets', () => {
  test('count from the start of the instruction', () => {
    expect(one('ebfe').operands[0]).toEqual({ kind: 'rel', target: 0 });
    expect(one('e800000000').operands[0]).toEqual({ kind: 'rel', target: 5 });
  });
});

test('lengths and texts are those of objdump', () => {
  const samples = readFileSync('src/frontend-x86/decode.samples.txt', 'utf8').split('\n').filter(Boolean);
  for (const sample of samples) {
    const [bytes, text] = sample.split('\t');
    const insn = one(bytes!);
    expect(`${bytes} ${insn.length} ${disassemble(insn, 0x1000)}`).toBe(
      `${bytes} ${hex(bytes!).length} ${text}`,
    );
  }
  expect(samples.length).toBeGreaterThan(1000);
});

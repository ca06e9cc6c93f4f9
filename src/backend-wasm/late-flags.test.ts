/** Which flags can be left to others, and that what computes them is the lifter's own. */
import { FLAG_AUX, FLAG_RESULT } from '../frontend-x86/cpu-state.js';
import { Builder } from '../ir/builder.js';
import { optimize } from '../ir/passes/optimize.js';
import type { Block } from '../ir/ir.js';
import { decode } from '../frontend-x86/decode.js';
import { lift } from '../frontend-x86/lift/lift.js';
import { canWait, changedBeforeFlags, recipeOf } from './late-flags.js';

/** The instructions as one block. */
function blockOf(...bytes: number[]): Block {
  const code = Uint8Array.from(bytes);
  const b = new Builder();
  for (let at = 0; at < code.length;) {
    const insn = decode(code, at, code.length - at, true);
    if (insn === 'more') throw new Error('half an instruction');
    b.mark(at, insn.length);
    lift(b, insn);
    at += insn.length;
  }
  return optimize(b.block());
}

const EAX = 0;
const EDX = 8;
const CMP_EAX_EDX = [0x39, 0xd0];
const CMP_EAX_100 = [0x3d, 0, 1, 0, 0];
const ADD_EAX_EDX = [0x01, 0xd0];
const STORE_AT_EAX = [0xc6, 0x00, 0x01]; // mov byte [eax], 1
const LOAD_EAX = [0x8b, 0x00]; // mov eax, [eax]
const CMP_MEMORY = [0x83, 0x38, 0x05]; // cmp dword [eax], 5
const MOV_EDX_5 = [0xba, 5, 0, 0, 0];
const JB = [0x72, 0xf0];

describe('a recipe', () => {
  const registers = (...bytes: number[]): number[] | undefined => {
    const recipe = recipeOf(blockOf(...bytes));
    return recipe && [...recipe.registers].sort((a, b) => a - b);
  };

  test('of a compare: the registers that it compared', () => {
    expect(registers(...CMP_EAX_EDX, ...JB)).toEqual([EAX, EDX]);
    expect(registers(...CMP_EAX_100, ...JB)).toEqual([EAX]);
    expect(registers(0x85, 0xd2, ...JB)).toEqual([EDX]); // test edx, edx
  });

  test('none where a register is not what it was', () => {
    expect(registers(...CMP_EAX_EDX, ...MOV_EDX_5, ...JB)).toBeUndefined();
    expect(registers(...ADD_EAX_EDX, ...JB)).toBeUndefined();
  });

  test('but where it was changed to what the flags are of', () => {
    expect(registers(...MOV_EDX_5, ...CMP_EAX_EDX, ...JB)).toEqual([EAX, EDX]);
    expect(registers(...LOAD_EAX, ...CMP_EAX_100, ...JB)).toEqual([EAX]);
  });

  test('also where the compare became one with what was there before a constant was added', () => {
    expect(registers(0x83, 0xc0, 0x04, ...CMP_EAX_100, ...JB)).toEqual([EAX]); // add eax, 4
    expect(registers(0x89, 0xd0, ...CMP_EAX_100, ...MOV_EDX_5, ...JB)).toEqual([EAX]); // mov eax, edx
  });

  test('none of memory, of other flags, or of none', () => {
    expect(registers(...CMP_MEMORY, ...JB)).toBeUndefined();
    expect(registers(0x48, ...JB)).toBeUndefined(); // dec eax: CF stays
    expect(registers(...MOV_EDX_5, ...JB)).toBeUndefined();
  });
});

describe('a block that the flags are left to', () => {
  const changed = (...bytes: number[]): number[] | undefined => {
    const slots = changedBeforeFlags(blockOf(...bytes));
    return slots && [...slots].sort((a, b) => a - b);
  };

  test('may change registers behind its last way out before it overwrites them', () => {
    expect(changed(...STORE_AT_EAX, ...ADD_EAX_EDX, ...CMP_EAX_100, ...JB)).toEqual([]);
    expect(changed(...LOAD_EAX, ...CMP_EAX_100, ...JB)).toEqual([]);
  });

  test('and is told which it has changed at a way out', () => {
    expect(changed(...MOV_EDX_5, ...LOAD_EAX, ...CMP_EAX_100, ...JB)).toEqual([EDX]);
    // Where code was stored to, the next instruction is not executed here.
    expect(changed(0x50, ...MOV_EDX_5, ...CMP_EAX_100, ...JB)).toEqual([16]); // push eax
  });

  test('may neither look at them nor leave them as they are', () => {
    expect(changed(...STORE_AT_EAX, ...JB)).toBeUndefined();
    expect(changed(...STORE_AT_EAX, 0x40, ...CMP_EAX_100, ...JB)).toEqual([]); // inc eax: its CF is overwritten
    expect(changed(0x40, ...STORE_AT_EAX, ...CMP_EAX_100, ...JB)).toBeUndefined();
    expect(changed(0x9c, ...CMP_EAX_100, ...JB)).toBeUndefined(); // pushf
    expect(changed(...MOV_EDX_5, 0xe9, 0, 0, 0, 0)).toBeUndefined();
    expect(changed(0xf3, 0xa4)).toBeUndefined(); // rep movsb
  });

  test('can wait if it changes no register that the recipe looks at', () => {
    const recipe = recipeOf(blockOf(...CMP_EAX_EDX, ...JB))!;
    expect(canWait(recipe, new Set())).toBe(true);
    expect(canWait(recipe, new Set([4, 20]))).toBe(true);
    expect(canWait(recipe, new Set([EDX]))).toBe(false);
  });
});

test('flag slots are what recipes are about', () => {
  const puts = blockOf(...CMP_EAX_EDX, ...JB)
    .ops.filter((op) => op.name === 'put32')
    .map((op) => op.imm);
  expect(puts).toEqual([FLAG_RESULT, FLAG_AUX]);
});

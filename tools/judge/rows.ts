/** The opcode rows that random programs are made of. */
import { rmKinds } from '../../src/frontend-x86/forms.js';
import { ROWS, type Row } from '../../src/frontend-x86/opcodes.js';
import { LEFT_OUT } from './scrutiny.js';

const RARE = new Set('privileged ud nop int3 into bound lds les lss lfs lgs arpl aam'.split(' '));
const isX87 = (row: Row): boolean => row.map === 0 && row.opcode >= 0xd8 && row.opcode <= 0xdf;
export const isJump = (row: Row): boolean => row.operands.includes('Jb') || row.operands.includes('Jz');

const COMMON: readonly Row[] = ROWS.filter(
  (row) => !LEFT_OUT.has(row.op) && !RARE.has(row.op) && !isX87(row),
);
export const JUMPS = COMMON.filter(isJump);
export const PLAIN = COMMON.filter((row) => !isJump(row));
export const X87 = ROWS.filter((row) => !LEFT_OUT.has(row.op) && isX87(row));
export const SELDOM = ROWS.filter((row) => RARE.has(row.op));

/** Ops that move the stack pointer or eip, or use fixed addresses: structured programs place them themselves. */
const PLACED = new Set('push pop pushf popf call jmp ret leave xlat std cld bound'.split(' '));
const isFree = (row: Row): boolean =>
  !PLACED.has(row.op) && !row.flags.has('string') && !row.operands.some((code) => /^S|^[CD]d/.test(code));

/** Operations without control flow and stack, on registers and on memory. */
export const ON_REGISTERS = PLAIN.filter((row) => isFree(row) && (rmKinds(row).register || !row.hasModrm));
export const ON_MEMORY = PLAIN.filter((row) => isFree(row) && rmKinds(row).memory);
const USUAL = new Set('mov add sub and or xor cmp test inc dec movzx movsx'.split(' '));
export const USUALLY_ON_MEMORY = ON_MEMORY.filter((row) => USUAL.has(row.op));
export const X87_ON_MEMORY = X87.filter((row) => rmKinds(row).memory);
export const X87_ON_REGISTERS = X87.filter((row) => rmKinds(row).register || row.modrm >= 0);

/** Something to translate for nothing: the first translation is several times slower, and the guest's first are the hottest. */
import { dataTlbFor } from '../backend-wasm/data-tlb.js';
import type { TranslationRequest } from './translator.js';

/** A loop with a bit of everything that compilers make. */
const CODE = Uint8Array.of(
  ...[0x55], // push ebp
  ...[0x89, 0xe5], // mov ebp, esp
  ...[0x53], // push ebx
  ...[0x8b, 0x5d, 0x08], // mov ebx, [ebp + 8]
  ...[0x31, 0xc0], // xor eax, eax
  ...[0x8b, 0x14, 0x83], // loop: mov edx, [ebx + eax * 4]
  ...[0x0f, 0xb6, 0x4b, 0x01], // movzx ecx, byte [ebx + 1]
  ...[0x01, 0xca], // add edx, ecx
  ...[0x85, 0xd2], // test edx, edx
  ...[0x74, 0x17], // jz out
  ...[0x89, 0x54, 0x83, 0x10], // mov [ebx + eax * 4 + 16], edx
  ...[0xc1, 0xe2, 0x02], // shl edx, 2
  ...[0x8d, 0x4c, 0x42, 0x01], // lea ecx, [edx + eax * 2 + 1]
  ...[0x81, 0xf9, 0x00, 0x01, 0x00, 0x00], // cmp ecx, 0x100
  ...[0x40], // inc eax
  ...[0x3b, 0x45, 0x0c], // cmp eax, [ebp + 12]
  ...[0x75, 0xdc], // jne loop
  ...[0x5b, 0x5d, 0xc3], // out: pop ebx; pop ebp; ret
);
const LOOP = 0x09;
const BEHIND_JZ = 0x16;
const OUT = 0x2d;

const page = new Uint8Array(4096);
page.set(CODE);

/** The first takes 30 ms, the last 1.5. */
export const WARM_UP_ROUNDS = 20;

/** The loop as if a guest ran it. */
export const WARM_UP: TranslationRequest = {
  leaders: [0, LOOP, BEHIND_JZ, OUT],
  entries: [0],
  pages: new Map([[0, page]]),
  name: 'warm-up',
  dataTlb: dataTlbFor(1),
};

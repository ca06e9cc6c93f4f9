/** Test fixture: runs one x87 instruction given as bytes, from and to the 108-byte image that fnsave writes. */
import { GuestFault } from '../../ir/environment.js';
import { Builder } from '../../ir/builder.js';
import { evaluate, evaluateFunction } from '../../ir/evaluate.js';
import * as S from '../cpu-state.js';
import { decode } from '../decode.js';
import { Machine } from './fixture.js';
import { lift } from './lift.js';
import { RESTORE, SAVE } from './x87-environment.js';

export const IMAGE_BYTES = 108;
/** Where the fixture keeps the operand, and the image while it is loaded and saved. */
const OPERAND = 0x800;
const IMAGE = 0x1000;

export interface X87Result {
  /** As fnsave wrote it. */
  readonly image: Uint8Array;
  /** 16 bytes at [esi]. */
  readonly memory: Uint8Array;
  /** ZF PF CF … as EFLAGS bits. */
  readonly flags: number;
  /** ax. */
  readonly ax: number;
  /** Vector of the exception it raised, or -1. */
  readonly vector: number;
}

const blocks = new Map<string, ReturnType<Builder['block']>>();
let machine: Machine | undefined;

/** `flags`: ZF, PF, CF before. The operand stands at [esi]; ax is 0 before. */
export function runX87(code: Uint8Array, image: Uint8Array, memory: Uint8Array, flags: number): X87Result {
  const key = code.join();
  let block = blocks.get(key);
  if (block === undefined) {
    const i = decode(code, 0, code.length, true);
    if (i === 'more') throw new Error('not a whole instruction');
    const b = new Builder();
    b.mark(0, code.length);
    lift(b, i);
    blocks.set(key, (block = b.block()));
  }
  const m = (machine ??= new Machine());
  const bytes = new Uint8Array(m.guest.buffer, m.guest.byteOffset);
  bytes.set(image, IMAGE);
  bytes.set(memory, OPERAND);
  const at = { eip: 0 };
  evaluateFunction(RESTORE[4], [IMAGE], m, at);
  m.set(S.ESI, OPERAND);
  m.set(S.EAX, 0);
  m.set(S.FLAG_RESULT, flags & S.F_ZF ? 0 : 1);
  const parity = flags & S.F_PF ? 1 : 0;
  const flip = parity === (flags & S.F_ZF ? 1 : 0) ? 0 : 0x100;
  m.set(S.FLAG_AUX, (flags & S.F_CF ? 0xc0000000 : 0) | flip);
  let vector = -1;
  try {
    evaluate(block, m, at);
  } catch (e) {
    if (!(e instanceof GuestFault)) throw e;
    vector = e.vector;
  }
  evaluateFunction(SAVE[4], [IMAGE], m, at);
  return {
    image: bytes.slice(IMAGE, IMAGE + IMAGE_BYTES),
    memory: bytes.slice(OPERAND, OPERAND + memory.length),
    flags: m.status,
    ax: m.get(S.EAX) & 0xffff,
    vector,
  };
}

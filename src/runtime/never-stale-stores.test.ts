/**
 * No engine runs bytes that a store has overwritten. Each case has code that has run often enough to be translated, and
 * then stores into it; the next instruction has to be the new one.
 */
import {
  ALIAS,
  CALL,
  CODE,
  DATA,
  Guest,
  JMP,
  JZ,
  KINDS,
  MOV_EAX,
  NEW,
  NOP,
  OLD,
  PAGE,
  RET,
  STORE,
  TEST_EBX,
} from './testing/code-guest.js';

interface StoreCase {
  readonly name: string;
  /** Bytes at CODE. edx is where it stores. */
  readonly code: readonly number[];
  /** What is elsewhere. */
  readonly more?: readonly (readonly [address: number, bytes: readonly number[]])[];
  /** Where the store goes when it is to change code. */
  readonly target: number;
  /** What it stores; default NEW. */
  readonly ebx?: number;
  /** eax before (default OLD), of the call that stores, and of the next. */
  readonly before?: number;
  readonly during: number;
  readonly after: number;
  /** Has page tables, with the page of CODE at ALIAS too. */
  readonly paging?: boolean;
}

const own = CODE + STORE.length + 1;
const PUSHES = [0x89, 0xe5, 0x89, 0xd4]; // mov ebp, esp; mov esp, edx
const UNDO = [0x89, 0xec]; // mov esp, ebp
const far = CODE + 3 * PAGE;
const straddler = CODE + PAGE - 2;

const STORES: readonly StoreCase[] = [
  {
    name: 'its own block, behind the store',
    code: [...STORE, ...MOV_EAX(OLD), ...RET],
    target: own,
    during: NEW,
    after: NEW,
  },
  {
    name: 'its own block, the instruction that comes next after others',
    code: [...STORE, ...NOP, ...NOP, ...NOP, ...MOV_EAX(OLD), ...RET],
    target: own + 3,
    during: NEW,
    after: NEW,
  },
  {
    name: 'its own block, before the store',
    code: [...MOV_EAX(OLD), ...STORE, ...RET],
    target: CODE + 1,
    during: OLD,
    after: NEW,
  },
  {
    name: 'the storing instruction itself: it becomes nops and a ret',
    code: [...MOV_EAX(OLD), ...STORE, ...NOP, ...NOP, 0x40, ...RET], // inc eax
    target: CODE + 5,
    ebx: 0xc3909090,
    before: OLD + 1,
    during: OLD,
    after: OLD,
  },
  {
    name: 'another block of the region',
    // test ebx, ebx; jz over; mov eax, OLD … the store comes first and the branch between.
    code: [...STORE, ...TEST_EBX, ...JZ(5), ...MOV_EAX(OLD), ...RET],
    target: CODE + 7,
    during: NEW,
    after: NEW,
  },
  {
    name: 'a block that jumps back to the one that runs',
    // jmp over; back: mov eax, OLD; ret; over: store; jmp back
    code: [0xeb, 0x06, ...MOV_EAX(OLD), ...RET, ...STORE, 0xeb, 0xf6],
    target: CODE + 3,
    during: NEW,
    after: NEW,
  },
  {
    name: 'a block on another page that is called next',
    code: [...STORE, ...CALL(CODE + 2, far), ...RET],
    more: [[far, [...MOV_EAX(OLD), ...RET]]],
    target: far + 1,
    during: NEW,
    after: NEW,
  },
  {
    name: 'the page it was called from and returns to',
    code: [...CALL(CODE, far), ...MOV_EAX(OLD), ...RET],
    more: [[far, [...STORE, ...RET]]],
    target: CODE + 6,
    during: NEW,
    after: NEW,
  },
  {
    name: 'the second page of an instruction on two',
    code: [...STORE, ...JMP(CODE + 2, straddler)],
    more: [[straddler, [...MOV_EAX(OLD), ...RET]]],
    target: straddler + 2,
    // Three bytes of the operand, and the ret again.
    ebx: 0xc3222222,
    during: 0x22222211,
    after: 0x22222211,
  },
  {
    name: 'code behind its page, from a store across both',
    code: [...STORE, ...JMP(CODE + 2, CODE + PAGE - 8)],
    more: [[CODE + PAGE - 8, [0xeb, 0x06, 0, 0, 0, 0, 0, 0, 0x40, 0x40, ...MOV_EAX(OLD), ...RET]]],
    // The store's upper half becomes the two bytes at the start of the next page.
    ebx: 0x90900000,
    target: CODE + PAGE - 2,
    during: OLD,
    after: OLD,
  },
  {
    name: 'its own block through a second mapping',
    code: [...STORE, ...MOV_EAX(OLD), ...RET],
    target: ALIAS + 3,
    during: NEW,
    after: NEW,
    paging: true,
  },
  {
    name: 'by a rep string operation',
    // push ecx; mov ecx, 4; mov edi, edx; mov al, bl; rep stosb; pop ecx
    code: [0x51, 0xb9, 4, 0, 0, 0, 0x89, 0xd7, 0x88, 0xd8, 0xf3, 0xaa, 0x59, ...MOV_EAX(OLD), ...RET],
    target: CODE + 14,
    during: NEW,
    after: NEW,
  },
  {
    name: 'by rep movsd through a second mapping',
    // push ecx; push ebx; mov ecx, 1; mov esi, esp; mov edi, edx; rep movsd; pop ebx; pop ecx
    code: [
      ...[0x51, 0x53, 0xb9, 1, 0, 0, 0, 0x89, 0xe6, 0x89, 0xd7, 0xf3, 0xa5, 0x5b, 0x59],
      ...MOV_EAX(OLD),
      ...RET,
    ],
    target: ALIAS + 16,
    during: NEW,
    after: NEW,
    paging: true,
  },
  {
    name: 'by push',
    code: [...PUSHES, 0x53, ...UNDO, ...MOV_EAX(OLD), ...RET],
    target: CODE + 8 + 4,
    during: NEW,
    after: NEW,
  },
  {
    name: 'by call',
    code: [...PUSHES, 0xe8, 0, 0, 0, 0, ...MOV_EAX(OLD), ...UNDO, ...RET],
    target: CODE + 10 + 4,
    during: CODE + 9,
    after: CODE + 9,
  },
  {
    name: 'by a read-modify-write',
    code: [0x31, 0x1a, ...MOV_EAX(OLD ^ 0), ...RET], // xor [edx], ebx
    target: CODE + 3,
    during: (OLD ^ NEW) >>> 0,
    after: (OLD ^ NEW) >>> 0,
  },
  {
    name: 'by xchg',
    code: [0x87, 0x1a, ...MOV_EAX(OLD), ...RET],
    target: CODE + 3,
    during: NEW,
    after: NEW,
  },
  {
    name: 'by cmpxchg8b',
    // push ecx; push edx; mov edi, edx; mov eax, [edi]; mov edx, [edi+4]; mov ecx, edx; lock cmpxchg8b [edi]; pop edx; pop ecx
    code: [
      ...[
        0x51, 0x52, 0x89, 0xd7, 0x8b, 0x07, 0x8b, 0x57, 0x04, 0x89, 0xd1, 0xf0, 0x0f, 0xc7, 0x0f, 0x5a, 0x59,
      ],
      ...MOV_EAX(OLD),
      ...RET,
    ],
    target: CODE + 18,
    during: NEW,
    after: NEW,
  },
  {
    name: 'by an x87 store',
    // push ebx; fild dword [esp]; fistp dword [edx]; pop ebx
    code: [0x53, 0xdb, 0x04, 0x24, 0xdb, 0x1a, 0x5b, ...MOV_EAX(OLD), ...RET],
    target: CODE + 8,
    during: NEW,
    after: NEW,
  },
  {
    name: 'the last instructions of a block, which do nothing and fall through',
    code: [
      // push esi; mov esi, 2; push ebx; fild dword [esp]; pop ebx; fistp dword [edx]
      ...[0x56, 0xbe, 2, 0, 0, 0, ...MOV_EAX(OLD), 0x53, 0xdb, 0x04, 0x24, 0x5b, 0xdb, 0x1a],
      // Four nops; loop: dec esi; jnz loop; pop esi
      ...[...NOP, ...NOP, ...NOP, ...NOP, 0x4e, 0x75, 0xfd, 0x5e, ...RET],
    ],
    target: CODE + 18,
    ebx: 0x40404040, // four times inc eax
    during: OLD + 4,
    after: OLD + 4,
  },
  {
    name: 'by setcc',
    code: [0x39, 0xdb, 0x0f, 0x94, 0x02, ...MOV_EAX(OLD), ...RET], // cmp ebx, ebx; sete [edx]
    target: CODE + 6,
    during: (OLD & ~0xff) | 1,
    after: (OLD & ~0xff) | 1,
  },
];

/** Instructions that each case's two calls took, of the first engine that ran it. */
const counts = new Map<string, number>();

describe.each(KINDS)('%s: a store into', (kind) => {
  test.each(STORES.map((c) => [c.name, c] as const))('%s', (name, c) => {
    const guest = new Guest(kind);
    if (c.paging) {
      guest.paging();
      guest.map(ALIAS, CODE);
    }
    guest.put(CODE, c.code);
    for (const [address, bytes] of c.more ?? []) guest.put(address, bytes);
    expect(guest.heat(DATA, c.ebx)).toBe(c.before ?? OLD);
    if (kind === 'jit' || kind === 'auto')
      expect(guest.engine.counters()['regions entered']).toBeGreaterThan(0);
    const before = guest.engine.instructions;
    expect(guest.call(1, c.target, c.ebx)).toBe(c.during);
    expect(guest.call(1, DATA, c.ebx)).toBe(c.after);
    const instructions = guest.engine.instructions - before;
    expect(guest.heat(DATA, c.ebx)).toBe(c.after);
    expect(instructions).toBe(counts.get(name) ?? instructions);
    counts.set(name, instructions);
  });
});

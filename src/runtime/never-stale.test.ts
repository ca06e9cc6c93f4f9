/**
 * No engine runs bytes that were overwritten. Each case has code that has run often enough to be translated, and then
 * changes it in one of the ways there are; the next execution has to see the new bytes, to the instruction.
 */
import * as S from '../frontend-x86/cpu-state.js';
import { LEAVE } from '../frontend-x86/leave.js';
import { createEngine, type EngineKind } from './create-engine.js';
import type { Engine } from './engine.js';

const KINDS: readonly EngineKind[] = ['interp', 'jit', 'auto', 'reference'];
/** Calls after which an engine has translated what it wants to. */
const OFTEN: Readonly<Record<EngineKind, number>> = { interp: 50, jit: 50, auto: 5000, reference: 50 };
const PAGE = 0x1000;
const DRIVER = 0x8000;
const CODE = 0x10000;
const DATA = 0x40000;
const STACK = 0x50000;
const DIRECTORY = 0x60000;
const TABLE = 0x61000;
const OTHER_DIRECTORY = 0x62000;
const OTHER_TABLE = 0x63000;
const ALIAS = 0x80000;
const COPY = 0x90000;
const PRESENT_WRITABLE = 3;

const OLD = 0x11111111;
const NEW = 0x22222222;

// Instructions.
const dword = (n: number): number[] => [n & 0xff, (n >>> 8) & 0xff, (n >>> 16) & 0xff, (n >>> 24) & 0xff];
const MOV_EAX = (n: number): number[] => [0xb8, ...dword(n)];
const ADD_EAX = (n: number): number[] => [0x05, ...dword(n)];
const RET = [0xc3];
const NOP = [0x90];
const STORE = [0x89, 0x1a]; // mov [edx], ebx
const CALL = (from: number, to: number): number[] => [0xe8, ...dword(to - from - 5)];
const JMP = (from: number, to: number): number[] => [0xe9, ...dword(to - from - 5)];
const TEST_EBX = [0x85, 0xdb];
const JZ = (by: number): number[] => [0x74, by];

class Guest {
  readonly engine: Engine;

  constructor(private readonly kind: EngineKind) {
    this.engine = createEngine({ ramBytes: 0x100000, devicePages: 0, kind });
    const { cpu } = this.engine;
    for (let s = 0; s < 6; s++) {
      cpu.set(S.SEGMENT_LIMIT + 4 * s, 0xffffffff);
      cpu.set(S.SEGMENT_ATTR + 4 * s, s === S.CS ? 0xc0bb : 0xc0b3);
    }
    cpu.set(S.CPL, 1);
    cpu.set(S.INTERRUPT_SHADOW, 0xffffffff);
    cpu.set(S.FPU_CONTROL, 0x37f);
    cpu.eflags = 2;
    this.engine.segmentsChanged();
    // loop: call CODE; dec ecx; jnz loop; int 0x20
    this.put(DRIVER, [...CALL(DRIVER, CODE), 0x49, 0x75, 0xf8, 0xcd, 0x20]);
  }

  put(address: number, bytes: readonly number[]): void {
    this.engine.memory.write(address, Uint8Array.from(bytes));
  }

  /** Virtual = physical for all of RAM, in both page tables. */
  paging(): void {
    const { memory, mmu } = this.engine;
    for (const [directory, table] of [
      [DIRECTORY, TABLE],
      [OTHER_DIRECTORY, OTHER_TABLE],
    ] as const) {
      memory.write32(directory, table | PRESENT_WRITABLE);
      for (let page = 0; page < 256; page++)
        memory.write32(table + 4 * page, (page * PAGE) | PRESENT_WRITABLE);
    }
    mmu.setPageTable(DIRECTORY, false);
  }

  map(virtual: number, physical: number, directory = DIRECTORY, table = TABLE): void {
    this.engine.memory.write32(table + (virtual >>> 12) * 4, physical | PRESENT_WRITABLE);
    this.engine.mmu.flushPage(directory, virtual);
  }

  /** Calls CODE until it must have been translated. */
  heat(edx = DATA, ebx = NEW): number {
    return this.call(OFTEN[this.kind], edx, ebx);
  }

  /** Calls CODE so often. Returns eax, unsigned. */
  call(times: number, edx = DATA, ebx = NEW): number {
    const { engine } = this;
    engine.cpu.setReg(1, times);
    engine.cpu.setReg(2, edx);
    engine.cpu.setReg(3, ebx);
    engine.cpu.setReg(4, STACK);
    engine.cpu.eip = DRIVER;
    this.finish();
    return engine.cpu.reg(0);
  }

  finish(): void {
    // A run may end early, as when much code has to be looked up.
    let reason: number = LEAVE.budget;
    for (let runs = 0; reason === LEAVE.budget && runs < 1000; runs++) reason = this.engine.run(1_000_000);
    expect(reason).toBe(LEAVE.int);
    expect(this.engine.cpu.get(S.EXIT_DETAIL)).toBe(0x20);
  }
}

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
    if (kind === 'jit') expect(guest.engine.counters()['regions entered']).toBeGreaterThan(0);
    const before = guest.engine.instructions;
    expect(guest.call(1, c.target, c.ebx)).toBe(c.during);
    expect(guest.call(1, DATA, c.ebx)).toBe(c.after);
    const instructions = guest.engine.instructions - before;
    expect(guest.heat(DATA, c.ebx)).toBe(c.after);
    expect(instructions).toBe(counts.get(name) ?? instructions);
    counts.set(name, instructions);
  });
});

describe.each(KINDS)('%s:', (kind) => {
  const CALLED = [...MOV_EAX(OLD), ...RET];
  function translated(code: readonly number[] = CALLED): Guest {
    const guest = new Guest(kind);
    guest.put(CODE, code);
    expect(guest.heat()).toBe(OLD);
    return guest;
  }

  test('a Host write of a dword', () => {
    const guest = translated();
    guest.engine.memory.write32(CODE + 1, NEW);
    expect(guest.call(1)).toBe(NEW);
  });

  test('a Host write of a byte, of a word, of bytes on two pages', () => {
    const guest = translated();
    guest.engine.memory.write8(CODE + 1, 0x33);
    expect(guest.heat()).toBe(0x11111133);
    guest.engine.memory.write16(CODE + 3, 0x4444);
    expect(guest.heat()).toBe(0x44441133);
    guest.engine.memory.write(CODE - 100, new Uint8Array(104).fill(0x90));
    guest.engine.memory.write(CODE, Uint8Array.from([...MOV_EAX(NEW), ...RET]));
    expect(guest.call(1)).toBe(NEW);
  });

  test('DMA into a view', () => {
    const guest = translated();
    const target = guest.engine.memory.writable(CODE - 8, 64);
    target.set(MOV_EAX(NEW), 8);
    guest.engine.memory.written(CODE - 8, 64);
    expect(guest.call(1)).toBe(NEW);
  });

  test('a Host write while the run is cut inside the block, as of an interrupt frame', () => {
    const guest = translated([...NOP, ...NOP, ...NOP, ...MOV_EAX(OLD), ...RET]);
    const { engine } = guest;
    engine.cpu.setReg(1, 1);
    engine.cpu.eip = DRIVER;
    // The call and two of the nops.
    expect(engine.run(3)).toBe(LEAVE.budget);
    expect(engine.cpu.eip).toBe(CODE + 2);
    engine.memory.write32(CODE + 4, NEW);
    guest.finish();
    expect(engine.cpu.reg(0)).toBe(NEW);
  });

  test('any budget gives the same', () => {
    const guest = translated([...STORE, ...MOV_EAX(OLD), ...RET]);
    const { engine } = guest;
    for (let budget = 1; budget < 9; budget++) {
      guest.put(CODE, [...STORE, ...MOV_EAX(OLD), ...RET]);
      expect(guest.call(50)).toBe(OLD);
      engine.cpu.setReg(1, 1);
      engine.cpu.setReg(2, CODE + 3);
      engine.cpu.setReg(3, NEW);
      engine.cpu.eip = DRIVER;
      let reason: number = LEAVE.budget;
      while (reason === LEAVE.budget) reason = engine.run(budget);
      expect(reason).toBe(LEAVE.int);
      expect(engine.cpu.reg(0)).toBe(NEW);
    }
  });

  test('remapping the page of the code', () => {
    const guest = new Guest(kind);
    guest.paging();
    guest.put(CODE, CALLED);
    guest.put(COPY, [...MOV_EAX(NEW), ...RET]);
    expect(guest.heat()).toBe(OLD);
    guest.map(CODE, COPY);
    expect(guest.heat()).toBe(NEW);
    guest.map(CODE, CODE);
    expect(guest.call(1)).toBe(OLD);
  });

  test('remapping the second page of an instruction on two, and of code that runs on', () => {
    for (const at of [CODE + PAGE - 2, CODE + PAGE - 8]) {
      const guest = new Guest(kind);
      guest.paging();
      guest.put(CODE, JMP(CODE, at));
      const filling = Array.from({ length: CODE + PAGE - 2 - at }, () => 0x90);
      if (at === CODE + PAGE - 2) guest.put(at, CALLED);
      else guest.put(at, [...filling, 0x90, 0x90, ...CALLED]);
      const rest = at === CODE + PAGE - 2 ? CALLED.slice(2) : CALLED;
      guest.put(CODE + PAGE, rest);
      guest.put(COPY, at === CODE + PAGE - 2 ? [0x22, 0x22, 0x22, 0xc3] : [...MOV_EAX(NEW), ...RET]);
      expect(guest.heat()).toBe(OLD);
      guest.map(CODE + PAGE, COPY);
      expect(guest.heat()).toBe(at === CODE + PAGE - 2 ? 0x22222211 : NEW);
      guest.map(CODE + PAGE, CODE + PAGE);
      expect(guest.call(1)).toBe(OLD);
    }
  });

  test('another address space with other code at the same place', () => {
    const guest = new Guest(kind);
    guest.paging();
    guest.put(CODE, CALLED);
    guest.put(COPY, [...MOV_EAX(NEW), ...RET]);
    guest.map(CODE, COPY, OTHER_DIRECTORY, OTHER_TABLE);
    for (let i = 0; i < 3; i++) {
      guest.engine.mmu.setPageTable(DIRECTORY, false);
      expect(guest.heat()).toBe(OLD);
      guest.engine.mmu.setPageTable(OTHER_DIRECTORY, false);
      expect(guest.heat()).toBe(NEW);
    }
  });

  test('a physical page at two addresses: eip is that of each', () => {
    const guest = new Guest(kind);
    guest.paging();
    guest.map(ALIAS, CODE);
    // call next; next: pop eax; ret
    guest.put(CODE, [0xe8, 0, 0, 0, 0, 0x58, ...RET]);
    expect(guest.heat()).toBe(CODE + 5);
    guest.put(DRIVER, CALL(DRIVER, ALIAS));
    expect(guest.heat()).toBe(ALIAS + 5);
  });

  test('the accessed bit in a page table whose bytes are run', () => {
    const guest = new Guest(kind);
    guest.paging();
    // mov eax, [page table entry of DATA]; ret: the entry in front is not present, the one behind is never used.
    const entry = TABLE + (DATA >>> 12) * 4;
    guest.put(entry - 4, [0, 0, 0, 0xb8]);
    guest.put(entry + 4, [0xc3]);
    guest.put(DRIVER, CALL(DRIVER, entry - 1));
    const value = (DATA | PRESENT_WRITABLE) >>> 0;
    expect(guest.heat()).toBe(value);
    // mov ebx, [DATA]; jmp to it
    guest.put(CODE, [0x8b, 0x1d, ...dword(DATA), ...JMP(CODE + 6, entry - 1)]);
    guest.put(DRIVER, CALL(DRIVER, CODE));
    expect(guest.call(1)).toBe(value | 0x20);
  });

  test('data beside code is written without dropping the code', () => {
    const data = CODE + 0x800;
    const guest = translated([...STORE, ...MOV_EAX(OLD), ...RET]);
    guest.call(10, data);
    const before = guest.engine.counters()['code invalidations'] ?? 0;
    expect(guest.heat(data)).toBe(OLD);
    expect(guest.engine.memory.read32(data)).toBe(NEW);
    expect(guest.engine.counters()['code invalidations'] ?? 0).toBe(before);
  });

  test('a guest that translates: new code at the same place again and again', () => {
    const guest = new Guest(kind);
    for (let i = 0; i < 40; i++) {
      // add eax, i, so often; then ret
      const code = MOV_EAX(0);
      for (let k = 0; k <= i % 7; k++) code.push(...ADD_EAX(i));
      guest.put(CODE, [...code, ...RET]);
      expect(guest.call(100 * (1 + (i % 3)))).toBe(i * (1 + (i % 7)));
    }
  });
});

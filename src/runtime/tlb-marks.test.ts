/** The TLBs after any sequence of accesses and flushes: nothing stale in them, and nothing that later flushes would overlook. */
import * as fc from 'fast-check';
import {
  DATA_ENTRY_BYTES,
  dataTlbFor,
  entriesOf,
  FOR_LOADS,
  FOR_STORES,
  NO_PAGE,
  physicalOf,
} from '../backend-wasm/data-tlb.js';
import * as L from '../backend-wasm/memory-layout.js';
import * as S from '../frontend-x86/cpu-state.js';
import { LEAVE } from '../frontend-x86/leave.js';
import type { InterpreterEngine } from './interpreter-engine.js';
import {
  CODE,
  DATA,
  DIRECTORY,
  Guest,
  OTHER_DIRECTORY,
  OTHER_TABLE,
  PAGE,
  RAM_BYTES,
  RET,
  STACK,
  TABLE,
} from './testing/code-guest.js';

const USER_WRITABLE = 7;
/** Address spaces have their RAM at each of these, 4 MiB each: neighbours, and places whose entries meet. */
const WINDOWS = [0, 0x400000, 0x4000000, 0xc0000000, 0xc4000000];
/** More page directories than there are TLBs for. */
const ROOTS = [
  DIRECTORY,
  OTHER_DIRECTORY,
  ...Array.from({ length: L.TLB_CONTEXTS }, (_, i) => 0xb0000 + i * PAGE),
];
/** Where the kernel’s part may start: also in the middle of the windows, and of one of them. */
const KERNELS = [0xc0000000, 0x4000000, 0x4001000];
const SET_PTE = 21;
const SET_PGD = 22;
const NEW_PGTABLE = 23;
const FLUSH_TLB = 24;
const END = 0x20;
/** mov eax, [edx]; mov [edx], eax */
const LOAD = [0x8b, 0x02, ...RET];
const LOAD_AND_STORE = [0x8b, 0x02, 0x89, 0x02, ...RET];

/** One of few pages, so that accesses and flushes meet. */
const anAddress = fc
  .tuple(fc.constantFrom(...WINDOWS), fc.constantFrom(0, 1, 31, 32, DATA >>> 12, STACK >>> 12))
  .map(([window, page]) => window + page * PAGE);
const aRoot = fc.oneof(
  fc.constantFrom(...ROOTS),
  // So that flushes meet something.
  fc.constantFrom<number>(DIRECTORY, OTHER_DIRECTORY),
);
const aStep = fc.oneof(
  fc.record({ do: fc.constant('load' as const), address: anAddress, user: fc.boolean() }),
  fc.record({ do: fc.constant('store' as const), address: anAddress, user: fc.boolean() }),
  fc.record({ do: fc.constant('execute' as const), address: anAddress, user: fc.boolean() }),
  fc.record({ do: fc.constant('switch' as const), root: aRoot }),
  fc.record({ do: fc.constant('switch by call' as const), root: aRoot }),
  fc.record({ do: fc.constant('flush user' as const) }),
  fc.record({ do: fc.constant('flush user by call' as const) }),
  fc.record({ do: fc.constant('flush page' as const), root: aRoot, address: anAddress }),
  fc.record({ do: fc.constant('set pte' as const), root: aRoot, address: anAddress }),
  fc.record({ do: fc.constant('flush top' as const), root: aRoot, address: anAddress }),
  fc.record({ do: fc.constant('drop store entries' as const), address: anAddress }),
  fc.record({ do: fc.constant('flush execution' as const) }),
  fc.record({ do: fc.constant('flush all' as const) }),
  fc.record({ do: fc.constant('kernel address' as const), address: fc.constantFrom(...KERNELS) }),
);

/** The engine leaves the first of these calls to the Host, for there are entries of the kernel's, and performs the others. */
const BOTH_WAYS = [
  { do: 'load' as const, address: WINDOWS[3]!, user: false },
  { do: 'flush top' as const, root: DIRECTORY, address: WINDOWS[3]! },
  { do: 'flush top' as const, root: DIRECTORY, address: WINDOWS[4]! },
  { do: 'load' as const, address: WINDOWS[1]!, user: true },
  { do: 'flush top' as const, root: DIRECTORY, address: WINDOWS[1]! },
];

/** Entries of both parts in one group, of which one stays. */
const OF_BOTH_PARTS = [
  { do: 'load' as const, address: DATA, user: false },
  { do: 'load' as const, address: WINDOWS[3]!, user: false },
  { do: 'flush user' as const },
];

interface Entry {
  readonly context: number;
  readonly tlb: number;
  readonly index: number;
  readonly kind: 'load' | 'store' | 'execute';
  readonly page: number;
}

const DATA_TLB = dataTlbFor(RAM_BYTES);
const ENTRIES = entriesOf(DATA_TLB);

function indexOf(address: number, kind: Entry['kind']): number {
  return (address >>> 12) & ((kind === 'execute' ? L.TLB_EXECUTION_ENTRIES : ENTRIES) - 1);
}

/** Addresses of all TLBs, two for each context. */
const TLBS = Array.from({ length: 2 * L.TLB_CONTEXTS }, (_, i) => L.TLB_POOL + i * L.TLB_BYTES);
const NOBODY = -1;

function contextOf(tlb: number): number {
  return Math.floor((tlb - L.TLB_POOL) / L.TLB_CONTEXT_BYTES);
}

class Machine {
  readonly guest = new Guest('interp');
  readonly engine = this.guest.engine as InterpreterEngine;
  private root: number = DIRECTORY;
  /** First linear address of the kernel's part. */
  private start = 0;

  constructor() {
    const { memory, cpu } = this.engine;
    this.guest.paging();
    for (let page = 0; page < RAM_BYTES >>> 12; page++)
      for (const table of [TABLE, OTHER_TABLE])
        memory.write32(table + 4 * page, (page * PAGE) | USER_WRITABLE);
    for (const window of WINDOWS) {
      memory.write32(DIRECTORY + (window >>> 22) * 4, TABLE | USER_WRITABLE);
      for (const root of ROOTS.slice(1))
        memory.write32(root + (window >>> 22) * 4, OTHER_TABLE | USER_WRITABLE);
    }
    this.kernel = KERNELS[0]!;
    cpu.set(S.SET_PTE_NUMBER, SET_PTE);
    cpu.set(S.FLUSH_ASYNC_NUMBER, 30);
    cpu.set(S.SET_PGD_NUMBER, SET_PGD);
    cpu.set(S.NEW_PGTABLE_NUMBER, NEW_PGTABLE);
    cpu.set(S.FLUSH_TLB_NUMBER, FLUSH_TLB);
    cpu.set(S.HYPERCALL_ARGUMENT_1, 4 * 3);
    cpu.set(S.HYPERCALL_ARGUMENT_2, 4 * 1);
    cpu.set(S.DIRECT_INT_VECTOR, 0xffffffff);
    // A ring that nothing is in.
    const ring = 0x70000;
    cpu.set(S.RING_STATUS, ring);
    cpu.set(S.RING_ENTRIES, ring + 0x100);
    cpu.set(S.RING_ENTRY_BYTES, 20);
    memory.write(ring, new Uint8Array(S.RING_SIZE).fill(S.RING_FREE));
  }

  access(address: number, user: boolean, code: readonly number[]): void {
    const { guest } = this;
    guest.put(CODE, code);
    this.level(user);
    guest.call(1, address);
    this.level(false);
  }

  private level(user: boolean): void {
    const { engine } = this;
    engine.cpu.set(S.CPL, user ? 3 : 1);
    engine.segmentsChanged();
  }

  execute(address: number, user: boolean): void {
    this.level(user);
    this.engine.mmu.setExecutable(address, L.CODE_MAPS);
    this.level(false);
  }

  switchTo(root: number): void {
    this.root = root;
    this.engine.mmu.setPageTable(root, false);
  }

  /** Makes a hypercall. Returns whether the engine performed it. */
  call(number: number, ebx: number, ecx = 0): boolean {
    const { engine } = this;
    const { cpu } = engine;
    this.guest.put(CODE, [0xcd, S.HYPERCALL_VECTOR, 0xcd, END]);
    cpu.set(S.DIRECT_TRAPS, 1);
    cpu.setReg(0, number);
    cpu.setReg(1, ecx);
    cpu.setReg(3, ebx);
    cpu.setReg(4, STACK);
    cpu.eip = CODE;
    expect(engine.run(10)).toBe(LEAVE.int);
    cpu.set(S.DIRECT_TRAPS, 0);
    return cpu.get(S.EXIT_DETAIL) === END;
  }

  setPte(root: number, address: number): void {
    expect(this.call(SET_PTE, root, address)).toBe(true);
  }

  /** Whether the engine knows the address space, and has switched to it. */
  switchByCall(root: number): boolean {
    const { mmu, memory } = this.engine;
    const isKnown = memory.i32
      .subarray(L.TLB_OWNERS >> 2, (L.TLB_OWNERS >> 2) + L.TLB_CONTEXTS)
      .includes(root);
    expect(this.call(NEW_PGTABLE, root)).toBe(isKnown);
    if (isKnown) this.root = root;
    expect(mmu.root).toBe(this.root);
    if (isKnown) this.expectLastUsed();
    return isKnown;
  }

  /** The TLB of the current address space is the last to give way to another's. */
  private expectLastUsed(): void {
    const contexts = Array.from({ length: L.TLB_CONTEXTS - 1 }, (_, i) => i + 1);
    const lastUse = (context: number): number =>
      this.engine.memory.i32[(L.TLB_LAST_USE >> 2) + context]! >>> 0;
    const used = contexts.filter((context) => this.ownerOf({ context }) !== NOBODY);
    const current = used.filter((context) => this.ownerOf({ context }) >>> 0 === this.root);
    const latest = used.sort((a, b) => lastUse(a) - lastUse(b)).at(-1);
    expect(current).toEqual([latest]);
  }

  /** Whether a TLB may have something of an address's top level entry. */
  isMarked(tlb: number, address: number): boolean {
    return this.engine.memory.u8[tlb + L.TLB_RANGES + (address >>> L.TLB_RANGE_BITS)] !== 0;
  }

  get kernel(): number {
    return this.start;
  }
  set kernel(address: number) {
    this.start = address;
    this.engine.mmu.kernelAddress = address;
  }

  get current(): number {
    return this.root;
  }

  /** All entries of all TLBs. */
  entries(): Entry[] {
    const { i32, u8 } = this.engine.memory;
    const found: Entry[] = [];
    for (const tlb of this.made()) {
      const context = contextOf(tlb);
      const data = u8.subarray(tlb, tlb + ENTRIES * DATA_ENTRY_BYTES);
      const hasData = Buffer.compare(data, u8.subarray(L.EMPTY_TLB, L.EMPTY_TLB + data.length)) !== 0;
      for (let index = 0; hasData && index < ENTRIES; index++)
        for (const [kind, at] of [
          ['load', FOR_LOADS],
          ['store', FOR_STORES],
        ] as const) {
          const distance = i32[(tlb + DATA_ENTRY_BYTES * index + at) >> 2]!;
          const physical = physicalOf(DATA_TLB, index, distance);
          if (physical !== NO_PAGE)
            found.push({ context, tlb, index, kind, page: (physical - distance) >>> 0 });
        }
      for (let index = 0; index < L.TLB_EXECUTION_ENTRIES; index++) {
        const page = i32[(tlb + L.TLB_DATA_BYTES + 8 * index) >> 2]! >>> 0;
        if (page !== L.NO_TAG >>> 0) found.push({ context, tlb, index, kind: 'execute', page });
      }
    }
    return found;
  }

  ownerOf({ context }: Pick<Entry, 'context'>): number {
    return this.engine.memory.i32[(L.TLB_OWNERS >> 2) + context]!;
  }

  /** TLBs that are in use: that of linear addresses, and those of address spaces that there were. */
  private made(): number[] {
    return TLBS.filter((tlb) => contextOf(tlb) === 0 || this.ownerOf({ context: contextOf(tlb) }) !== NOBODY);
  }

  /** Copies of all TLBs, by their addresses in control memory. */
  bytes(): Map<number, Uint8Array> {
    const { u8 } = this.engine.memory;
    const copies = new Map<number, Uint8Array>();
    for (const tlb of this.made()) {
      copies.set(tlb, u8.slice(tlb, tlb + ENTRIES * DATA_ENTRY_BYTES));
      copies.set(tlb + L.TLB_DATA_BYTES, u8.slice(tlb + L.TLB_DATA_BYTES, tlb + L.TLB_BYTES));
    }
    return copies;
  }

  restore(copies: ReadonlyMap<number, Uint8Array>): void {
    for (const [at, bytes] of copies) this.engine.memory.u8.set(bytes, at);
  }
}

/** Flushes find entries by these marks: none may be missing. */
function expectMarked(machine: Machine): void {
  const { u8 } = machine.engine.memory;
  const unmarked = machine.entries().filter(({ tlb, index, kind, page }) => {
    const [groups, bits] =
      kind === 'execute'
        ? [L.TLB_EXECUTION_GROUPS, L.TLB_EXECUTION_GROUP_BITS]
        : [L.TLB_GROUPS, L.TLB_GROUP_BITS];
    const group = index >> bits;
    const mark = page < machine.kernel ? L.MARKED.user : L.MARKED.kernel;
    const range = u8[tlb + L.TLB_RANGES + (page >>> L.TLB_RANGE_BITS)]!;
    return range === 0 || (u8[tlb + groups + group]! & mark) === 0;
  });
  expect(unmarked).toEqual([]);
  // A page that becomes code loses its entries for stores by these.
  const { i32 } = machine.engine.memory;
  const unknown = machine.entries().filter(({ kind, page }) => {
    const pfn = (page & (RAM_BYTES - 1)) >>> 12;
    const flags = u8[L.PAGE_FLAGS + pfn]!;
    if (kind !== 'store') return false;
    if (flags & L.PAGE_HAS_CODE || !(flags & L.PAGE_HAS_STORE_ENTRY)) return true;
    const isOnly = i32[(L.PAGE_STORED_FROM >> 2) + pfn]! >>> 0 === page;
    return !isOnly && !(flags & L.PAGE_HAS_MORE_STORE_ENTRIES);
  });
  expect(unknown).toEqual([]);
}

/** Drops take as long as there are marks: none may be left of the user part in TLBs that it went from. */
function expectUserUnmarked(machine: Machine, isIts: (tlb: number) => boolean): void {
  const { u8 } = machine.engine.memory;
  const user = (at: number, groups: number): boolean =>
    u8.subarray(at, at + groups).some((mark) => mark & L.MARKED.user);
  const marked = TLBS.filter(isIts).filter(
    (tlb) =>
      user(tlb + L.TLB_GROUPS, (ENTRIES * DATA_ENTRY_BYTES) / L.TLB_GROUP_BYTES) ||
      user(tlb + L.TLB_EXECUTION_GROUPS, L.TLB_EXECUTION_GROUP_COUNT),
  );
  expect(marked).toEqual([]);
}

test('flushes leave what they do not concern, and nothing else; what the engine does of them is the same as by the Host', () => {
  const machine = new Machine();
  const { mmu } = machine.engine;
  /** Entries that flushes left, and others. */
  let left = 0;
  let gone = 0;
  const calls = { performed: 0, left: 0 };
  /** Runs a flush, after which exactly the entries that it does not concern are there. */
  const expectGone = (flush: () => void, concerns: (entry: Entry) => boolean): void => {
    const before = machine.entries();
    flush();
    const rest = before.filter((entry) => !concerns(entry));
    left += rest.length;
    gone += before.length - rest.length;
    expect(machine.entries()).toEqual(rest);
  };
  /** Runs a flush as the Host does it, and then from the same state as a hypercall, which the engine may leave to the Host. */
  const expectSame = (
    flush: () => void,
    concerns: (entry: Entry) => boolean,
    call: () => boolean,
  ): boolean => {
    // What the guest's code itself brings in has to be there before.
    machine.setPte(machine.current, DATA);
    const before = machine.bytes();
    expectGone(flush, concerns);
    const byHost = machine.entries();
    machine.restore(before);
    const isDone = call();
    calls[isDone ? 'performed' : 'left']++;
    if (!isDone) flush();
    // The engine goes on executing: it may have looked its own page up again.
    const isOwn = ({ kind, page }: Entry): boolean => kind === 'execute' && page === CODE;
    const others = (entries: readonly Entry[]): Entry[] => entries.filter((entry) => !isOwn(entry));
    expect(others(machine.entries())).toEqual(others(byHost));
    return isDone;
  };
  const steps = fc.array(aStep, { minLength: 1, maxLength: 40 });
  const isIn = (address: number, page: number): boolean => address >>> 22 === page >>> 22;
  fc.assert(
    fc.property(steps, (list) => {
      mmu.flushAll();
      expect(machine.entries()).toEqual([]);
      for (const step of list) {
        switch (step.do) {
          case 'load':
          case 'store':
            machine.access(step.address, step.user, step.do === 'load' ? LOAD : LOAD_AND_STORE);
            break;
          case 'execute':
            machine.execute(step.address, step.user);
            break;
          case 'switch':
            machine.switchTo(step.root);
            break;
          case 'switch by call':
            if (!machine.switchByCall(step.root)) machine.switchTo(step.root);
            break;
          case 'flush user':
            expectGone(
              () => mmu.flushUser(),
              (entry) => machine.ownerOf(entry) === machine.current && entry.page < machine.kernel,
            );
            expectUserUnmarked(
              machine,
              (tlb) => machine.ownerOf({ context: contextOf(tlb) }) === machine.current,
            );
            break;
          case 'flush user by call': {
            const isDone = expectSame(
              () => mmu.flushUser(),
              (entry) => machine.ownerOf(entry) === machine.current && entry.page < machine.kernel,
              () => machine.call(FLUSH_TLB, 0),
            );
            expect(isDone).toBe(true);
            break;
          }
          case 'flush page': {
            const { root, address } = step;
            // Whatever page is at the index goes, in all TLBs for the kernel's.
            expectGone(
              () => mmu.flushPage(root, address),
              (entry) =>
                entry.index === indexOf(address, entry.kind) &&
                (address >= machine.kernel || machine.ownerOf(entry) === root),
            );
            break;
          }
          case 'set pte': {
            const { root, address } = step;
            // What the guest's code itself brings in has to be there before.
            machine.setPte(root, DATA);
            const before = machine.bytes();
            mmu.flushPage(root, address);
            const byHost = machine.bytes();
            machine.restore(before);
            machine.setPte(root, address);
            // The engine goes on executing: on its way back it may look its own page up again.
            if (indexOf(address, 'execute') !== indexOf(CODE, 'execute'))
              for (const [at, bytes] of machine.bytes())
                expect(Buffer.compare(bytes, byHost.get(at)!)).toBe(0);
            break;
          }
          case 'flush top': {
            const { root, address } = step;
            const isOfKernel = (address | (2 ** L.TLB_RANGE_BITS - 1)) >>> 0 >= machine.kernel;
            const isIts = (entry: Entry): boolean => isOfKernel || machine.ownerOf(entry) === root;
            machine.setPte(root, DATA);
            const marked = new Set(TLBS.filter((tlb) => machine.isMarked(tlb, address)));
            const concerns = (entry: Entry): boolean =>
              isIts(entry) &&
              marked.has(entry.tlb) &&
              (isOfKernel ? isIn(address, entry.page) : entry.page < machine.kernel);
            const flush = (): void => {
              mmu.flushTopLevel(root, address >>> 22);
              if (isOfKernel) return;
              const wasFlushed = (tlb: number): boolean =>
                machine.ownerOf({ context: contextOf(tlb) }) === root && marked.has(tlb);
              expectUserUnmarked(machine, wasFlushed);
              const ranges = machine.kernel >>> L.TLB_RANGE_BITS;
              for (const tlb of TLBS.filter(wasFlushed))
                for (let range = 0; range < ranges; range++)
                  expect(machine.isMarked(tlb, range << L.TLB_RANGE_BITS)).toBe(false);
            };
            const isDone = expectSame(flush, concerns, () => machine.call(SET_PGD, root, address >>> 22));
            if (!isDone) expect(isOfKernel).toBe(true);
            break;
          }
          case 'drop store entries': {
            const pfn = (step.address & (RAM_BYTES - 1)) >>> 12;
            expectGone(
              () => mmu.dropStoreEntries(pfn),
              (entry) => entry.kind === 'store' && (entry.page & (RAM_BYTES - 1)) >>> 12 === pfn,
            );
            break;
          }
          case 'kernel address':
            expectGone(
              () => (machine.kernel = step.address),
              () => true,
            );
            break;
          case 'flush execution':
            expectGone(
              () => mmu.flushExecution(),
              (entry) => entry.kind === 'execute',
            );
            break;
          case 'flush all':
            expectGone(
              () => mmu.flushAll(),
              () => true,
            );
        }
        expectMarked(machine);
      }
    }),
    { numRuns: 60, examples: [[BOTH_WAYS], [OF_BOTH_PARTS]] },
  );
  expect(Math.min(calls.performed, calls.left)).toBeGreaterThan(0);
  expect(gone).toBeGreaterThan(0);
  expect(left).toBeGreaterThan(0);
});

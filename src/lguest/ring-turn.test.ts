/** A turn of the ring is one turn, whoever performs its entries: the engine, the Host, or one after the other. */
import { createHash } from 'node:crypto';
import { GDT } from '../backend-wasm/memory-layout.js';
import * as S from '../frontend-x86/cpu-state.js';
import { createEngine, type EngineKind } from '../runtime/create-engine.js';
import '../runtime/offer-reference-engine.js';
import { dword } from '../runtime/testing/code-guest.js';
import { LINUX_3_10 } from './abi/linux-3.10.js';
import { VirtualClock } from './clock.js';
import { Host } from './core.js';
import { fillLguestData } from './testing/scripted-engine.js';

const RAM_BYTES = 0x100000;
const DATA = 0x40000;
const CODE = 0x1000;
const STACK = 0x80000;
const FLUSH_ASYNC = 0;
const LGUEST_INIT = 1;
const SET_STACK = 7;
const SET_PTE = 14;
const NOTIFY = 17;
const KERNEL_STACK = 0x69;
/** The ring's one entry that is no SET_PTE: a NOTIFY of a device that fills the first entry anew. */
const NOTIFIED = 5;
const { data, ringEntryBytes, ringOffsets, argumentRegisters } = LINUX_3_10;

function call(number: number, ...args: number[]): number[] {
  const moves = args.flatMap((value, i) => [0xb8 + argumentRegisters[i]!, ...dword(value)]);
  return [...moves, 0xb8, ...dword(number), 0xcd, S.HYPERCALL_VECTOR];
}

function play(kind: EngineKind, directTraps: boolean): { end: object; byEngine: number } {
  const engine = createEngine({ ramBytes: RAM_BYTES, devicePages: 0, kind });
  const { memory, cpu } = engine;
  const host = new Host({
    engine,
    gdtAddress: GDT,
    clock: new VirtualClock(0),
    directTraps,
    abi: LINUX_3_10,
    onNotify: () => {
      memory.write8(DATA + data.hcallStatus, 0);
      return true;
    },
  });
  host.start(CODE);
  fillLguestData(memory, LINUX_3_10, DATA);
  const code = [
    ...[0xbc, ...dword(STACK)],
    ...call(LGUEST_INIT, DATA),
    ...call(SET_STACK, KERNEL_STACK, STACK, 1),
    ...call(FLUSH_ASYNC),
    ...[0xeb, 0xfe],
  ];
  memory.write(CODE, Uint8Array.from(code));
  for (let at = 0; at < S.RING_SIZE; at++) {
    const entry = DATA + data.hcalls + at * ringEntryBytes;
    memory.write32(entry + ringOffsets[0], at === NOTIFIED ? NOTIFY : SET_PTE);
  }
  // The calls before the last meet a ring without entries.
  for (let n = 0; host.hypercalls.counts.direct[SET_STACK] === 0; n++) {
    expect(n).toBeLessThan(20);
    host.run(1);
  }
  memory.write(DATA + data.hcallStatus, new Uint8Array(S.RING_SIZE));
  host.run(100);
  return {
    end: {
      instructions: engine.instructions,
      eip: cpu.eip,
      next: cpu.get(S.RING_NEXT),
      counts: host.hypercalls.counts,
      memory: createHash('sha256').update(memory.view(0, RAM_BYTES)).digest('hex'),
    },
    byEngine: cpu.get(S.RING_CALLS + 4 * SET_PTE),
  };
}

test.each(['interp', 'jit', 'auto'] as const)('%s leaves a guest as the Host alone does', (kind) => {
  const direct = play(kind, true);
  const byHost = play('reference', false);
  expect(direct.end).toEqual(byHost.end);
  expect(direct.byEngine).toBe(NOTIFIED);
  expect(byHost.byEngine).toBe(0);
});

describe('the calls that the engine performs by itself', () => {
  const NEW_PGTABLE = 4;
  const SET_PGD = 15;
  const LOAD_TLS = 16;
  const DIRECTORY = 0x90000;
  const TABLE = 0x91000;
  const TLS = 0x92000;
  const PRESENT_WRITABLE = 3;
  const CALLS: readonly (readonly [number: number, ...args: number[]])[] = [
    [FLUSH_ASYNC],
    [SET_PTE, DIRECTORY, 0x5000],
    [SET_PGD, DIRECTORY, 100],
    [NEW_PGTABLE, DIRECTORY],
    [SET_STACK, KERNEL_STACK, STACK - 64, 1],
    [LOAD_TLS, TLS],
  ];
  const numbers = CALLS.map(([number]) => number);
  /** What every guest does first, and then each call, directly and in the ring. */
  const CODE_BYTES = [
    ...[0xbc, ...dword(STACK)],
    ...call(LGUEST_INIT, DATA),
    ...call(SET_STACK, KERNEL_STACK, STACK, 1),
    ...call(NEW_PGTABLE, DIRECTORY),
    ...call(LOAD_TLS, TLS),
    // From here on in a ring that is filled.
    ...CALLS.flatMap((made) => call(...made)),
    ...[0xeb, 0xfe],
  ];

  function outcome(kind: EngineKind, directTraps: boolean): { end: object; byEngine: number[][] } {
    const engine = createEngine({ ramBytes: RAM_BYTES, devicePages: 0, kind });
    const { memory, cpu } = engine;
    const clock = new VirtualClock(0);
    const host = new Host({ engine, gdtAddress: GDT, clock, directTraps, abi: LINUX_3_10 });
    host.start(CODE);
    fillLguestData(memory, LINUX_3_10, DATA);
    memory.write(CODE, Uint8Array.from(CODE_BYTES));
    memory.write32(DIRECTORY, TABLE | PRESENT_WRITABLE);
    for (let page = 0; page < RAM_BYTES >>> 12; page++)
      memory.write32(TABLE + 4 * page, (page << 12) | PRESENT_WRITABLE);
    [0x1234ffff, 0x00cff200, 0, 0, 0x5678ffff, 0x00cf9200].forEach((half, i) =>
      memory.write32(TLS + 4 * i, half),
    );
    for (let n = 0; host.hypercalls.counts.direct[LOAD_TLS] === 0; n++) {
      expect(n).toBeLessThan(40);
      host.run(1);
    }
    CALLS.forEach(([number, ...args], at) => {
      const entry = DATA + data.hcalls + at * ringEntryBytes;
      memory.write32(entry + ringOffsets[0], number);
      for (const [i, offset] of ringOffsets.slice(1).entries())
        if (offset >= 0) memory.write32(entry + offset, args[i] ?? 0);
      memory.write8(DATA + data.hcallStatus + at, 0);
    });
    host.run(200);
    const slots = [
      S.DIRECT_ESP,
      S.EIP,
      S.ESP,
      S.RING_NEXT,
      ...[0, 1, 2, 3, 4, 5].map((i) => GDT + 48 + 4 * i),
    ];
    return {
      end: {
        instructions: engine.instructions,
        root: engine.mmu.root,
        slots: slots.map((slot) => cpu.view.getUint32(slot, true)),
        counts: host.hypercalls.counts,
        memory: createHash('sha256').update(memory.view(0, RAM_BYTES)).digest('hex'),
      },
      byEngine: [S.DIRECT_CALLS, S.RING_CALLS].map((calls) => numbers.map((n) => cpu.get(calls + 4 * n))),
    };
  }

  test.each(['interp', 'jit', 'auto'] as const)('%s, as the Host alone does', (kind) => {
    const direct = outcome(kind, true);
    const byHost = outcome('reference', false);
    expect(direct.end).toEqual(byHost.end);
    const each = (count: number): number[] => numbers.map(() => count);
    expect(direct.byEngine).toEqual([each(1), each(1)]);
    expect(byHost.byEngine).toEqual([each(0), each(0)]);
  });
});

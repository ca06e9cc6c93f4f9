/** Guest code that has been decoded and translated runs without JavaScript, and nothing is allocated for it. */
import { type HeapProfiler, Session } from 'node:inspector';
import { LEAVE } from '../frontend-x86/leave.js';
import * as S from '../frontend-x86/cpu-state.js';
import { dataTlbFor, entriesOf } from '../backend-wasm/data-tlb.js';
import { type IMPORTS, MISS_SAMPLE, TRANSITION_SAMPLE } from '../backend-wasm/memory-layout.js';
import {
  CALL,
  CODE,
  DATA,
  DIRECTORY,
  DRIVER,
  dword,
  Guest,
  MOV_EAX,
  PAGE,
  PRESENT_WRITABLE,
  RAM_BYTES,
  RET,
  STACK,
  TABLE,
} from './testing/code-guest.js';
import type { EngineKind } from './create-engine.js';

const HOT: readonly EngineKind[] = ['interp', 'jit', 'auto'];
const FUNCTION = CODE + 0x100;
const FAR = CODE + 3 * PAGE;
/** Calls of CODE in a measured run. */
const CALLS = 200_000;
/** The run itself takes some, and each sample of a transition or a miss. The smallest object in each call is 12 times as much. */
const ALLOWED_BYTES = CALLS;
/** More instructions than all of it. */
const BUDGET = 100_000_000;
/** Where the same data are seen a second time: by the same entry of the TLB. */
const AGAIN = entriesOf(dataTlbFor(RAM_BYTES)) * PAGE;

/** How often generated code has called each JavaScript function, by name. */
const counts = new Map<string, number>();
const { Instance } = WebAssembly;

/** An import that counts; functions of other Wasm modules stay. */
function counting(name: string, value: WebAssembly.ImportValue): WebAssembly.ImportValue {
  const isGenerated = typeof value === 'function' && /^\d+$/.test(value.name);
  if (typeof value !== 'function' || isGenerated) return value;
  return (...args: unknown[]) => {
    counts.set(name, (counts.get(name) ?? 0) + 1);
    return value(...args) as unknown;
  };
}

beforeAll(() => {
  WebAssembly.Instance = new Proxy(Instance, {
    construct(target, [module, { env }]: [WebAssembly.Module, { env: WebAssembly.ModuleImports }]) {
      const counted = Object.entries(env).map(([name, value]) => [name, counting(name, value)]);
      return new target(module, { env: Object.fromEntries(counted) as WebAssembly.ModuleImports });
    },
  });
});
afterAll(() => {
  WebAssembly.Instance = Instance;
});

/** Bytes that were allocated on the JavaScript heap meanwhile, collected or not, by function. */
function allocated(run: () => void): Map<string, number> {
  const session = new Session();
  const byFunction = new Map<string, number>();
  const collect = ({ callFrame, selfSize, children }: HeapProfiler.SamplingHeapProfileNode): void => {
    // What the measurement itself takes.
    const isOwn = callFrame.url.startsWith('node:inspector') || callFrame.functionName === '';
    const { functionName } = callFrame;
    if (!isOwn && selfSize > 0) byFunction.set(functionName, (byFunction.get(functionName) ?? 0) + selfSize);
    children.forEach(collect);
  };
  session.connect();
  try {
    const options = {
      samplingInterval: 1024,
      includeObjectsCollectedByMajorGC: true,
      includeObjectsCollectedByMinorGC: true,
    };
    session.post('HeapProfiler.startSampling', options, (error) => {
      if (error) throw error;
    });
    run();
    session.post('HeapProfiler.stopSampling', (error, { profile }) => {
      if (error) throw error;
      collect(profile.head);
    });
  } finally {
    session.disconnect();
  }
  return byFunction;
}

const sum = (sizes: Map<string, number>): number => [...sizes.values()].reduce((a, b) => a + b, 0);

/** Calls CODE so often in one run of the engine. Returns whether that came to its end. */
function callInOneRun({ engine }: Guest, times: number): boolean {
  engine.cpu.setReg(1, times);
  engine.cpu.setReg(2, DATA);
  engine.cpu.setReg(4, STACK);
  engine.cpu.eip = DRIVER;
  return engine.run(BUDGET) === LEAVE.int && engine.cpu.get(S.EXIT_DETAIL) === 0x20;
}

/** A run of many calls of CODE, all that is needed for it being there. */
interface Measured {
  /** How often JavaScript was called, by name; the owner, who is told of the end, left out. */
  readonly calls: Readonly<Record<string, number>>;
  readonly misses: number;
  readonly transitions: number;
}

function measured(guest: Guest): Measured {
  guest.heat();
  guest.heat();
  const { engine } = guest;
  const before = engine.counters();
  let ended = false;
  counts.clear();
  const bytes = allocated(() => (ended = callInOneRun(guest, CALLS)));
  expect(ended).toBe(true);
  expect(sum(bytes) < ALLOWED_BYTES ? 'little' : Object.fromEntries(bytes)).toBe('little');
  const after = engine.counters();
  const since = (name: string): number => (after[name] ?? 0) - (before[name] ?? 0);
  const { serve, ...others } = Object.fromEntries(counts);
  expect(serve).toBe(1);
  return {
    calls: others,
    misses: since('TLB misses') + since('region exits: TLB miss'),
    transitions: since('transitions from region to region'),
  };
}

/** Samples are told to the engine: no other calls, and no more. */
function expectSamples({ calls, misses, transitions }: Measured): void {
  const { missed = 0, transition = 0, ...others } = calls;
  expect(others).toEqual({});
  expect(missed).toBeLessThanOrEqual(misses / MISS_SAMPLE + 1);
  expect(transition).toBeLessThanOrEqual(transitions / TRANSITION_SAMPLE + 1);
}

/** Accesses of all sizes, a string operation, the FPU; calls and returns in the page, into another, and through a register. */
const TRAFFIC = [
  ...[0x8b, 0x02], // mov eax, [edx]
  ...[0x83, 0xc0, 0x03], // add eax, 3
  ...[0x89, 0x42, 0x04], // mov [edx + 4], eax
  ...[0x0f, 0xb6, 0x5a, 0x01], // movzx ebx, byte [edx + 1]
  ...[0x88, 0x5a, 0x08], // mov [edx + 8], bl
  ...[0x66, 0x83, 0x42, 0x0a, 0x05], // add word [edx + 10], 5
  ...[0xd9, 0x02], // fld dword [edx]
  ...[0xdd, 0x5a, 0x10], // fstp qword [edx + 16]
  ...[0x51], // push ecx
  ...[0xb9, ...dword(4)], // mov ecx, 4
  ...[0x89, 0xd6], // mov esi, edx
  ...[0x8d, 0x7a, 0x40], // lea edi, [edx + 64]
  ...[0xf3, 0xa5], // rep movsd
  ...[0x59], // pop ecx
];
const CALL_ALL = [
  ...CALL(CODE + TRAFFIC.length, FUNCTION),
  ...CALL(CODE + TRAFFIC.length + 5, FAR),
  ...MOV_EAX(FUNCTION),
  ...[0xff, 0xd0], // call eax
  ...RET,
];
/** push ebp; mov ebp, esp; mov eax, [ebp + 4]; leave; ret */
const FRAME = [0x55, 0x89, 0xe5, 0x8b, 0x45, 0x04, 0xc9, ...RET];

test('the measurement sees calls and allocations', () => {
  const guest = new Guest('interp');
  // rdtsc; ret
  guest.put(CODE, [0x0f, 0x31, ...RET]);
  guest.heat();
  counts.clear();
  const bytes = allocated(() => void callInOneRun(guest, CALLS));
  expect(counts.get('clock' satisfies keyof typeof IMPORTS)).toBe(CALLS);
  expect(sum(bytes)).toBeGreaterThan(10 * ALLOWED_BYTES);
});

describe.each(HOT)('%s', (kind) => {
  test('memory, the stack, calls and returns', () => {
    const guest = new Guest(kind);
    guest.put(CODE, [...TRAFFIC, ...CALL_ALL]);
    guest.put(FUNCTION, FRAME);
    guest.put(FAR, FRAME);
    const found = measured(guest);
    expect(found.misses).toBe(0);
    expectSamples(found);
  });

  test('accesses that the TLB does not have', () => {
    const guest = new Guest(kind);
    guest.paging();
    guest.engine.memory.write32(DIRECTORY + 4 * (AGAIN >>> 22), TABLE | PRESENT_WRITABLE);
    // mov eax, [edx]; add eax, [edx + AGAIN]; mov [edx + 4], eax; ret
    guest.put(CODE, [0x8b, 0x02, 0x03, 0x82, ...dword(AGAIN), 0x89, 0x42, 0x04, ...RET]);
    const found = measured(guest);
    expect(found.misses).toBeGreaterThan(CALLS);
    expectSamples(found);
  });
});

/** Machine code of the interpreter is taken whole, and for that very module. */
import fc from 'fast-check';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DATA_TLBS } from '../backend-wasm/data-tlb.js';
import {
  isMachineCodeFile,
  machineCodeFile,
  readMachineCode,
  writeMachineCode,
} from './interpreter-machine-code.js';

const WASM = Uint8Array.of(1, 2, 3, 4, 5);
const CODE = Uint8Array.from({ length: 1000 }, (_, i) => i);

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lguest-machine-code-'));
  path = join(folder, machineCodeFile(DATA_TLBS[0]!));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('what was written is read, with a buffer of its own', () => {
  writeMachineCode(path, WASM, CODE);
  const read = readMachineCode(path, WASM)!;
  expect(read).toEqual(CODE);
  expect(read.buffer.byteLength).toBe(CODE.length);
  expect(readdirSync(folder)).toHaveLength(1);
});

test('without a file there is none, nor for another module', () => {
  expect(readMachineCode(path, WASM)).toBeUndefined();
  writeMachineCode(path, WASM, CODE);
  expect(readMachineCode(path, WASM.subarray(1))).toBeUndefined();
});

test('of what was cut, or changed, there is none', () => {
  writeMachineCode(path, WASM, CODE);
  const whole = readFileSync(path);
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.boolean(), (at, isCut) => {
      const broken = Buffer.from(isCut ? whole.subarray(0, at) : whole);
      if (!isCut) broken[at]! ^= 1;
      writeFileSync(path, broken);
      expect(readMachineCode(path, WASM)).toBeUndefined();
    }),
    { examples: [[0, true]] },
  );
});

test('machines of each size have a file of their own', () => {
  const names = DATA_TLBS.map(machineCodeFile);
  expect(new Set(names).size).toBe(7);
  expect(names).toContain('interpreter-64.v8');
  for (const name of names)
    expect([name, `${name}.0123456789abcdef`, `${name}x`].map(isMachineCodeFile)).toEqual([
      true,
      true,
      false,
    ]);
});

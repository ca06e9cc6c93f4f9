/** The import rule fails on what it forbids, and the linter uses it. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { Linter } from 'eslint';
import { parser } from 'typescript-eslint';
import { packageRoot } from '../src/runtime/load-interpreter.js';
import rule from './import-zones.mjs';

const ROOT = packageRoot();

function lint(file: string, code: string): string[] {
  const config = {
    files: ['**/*.ts'],
    languageOptions: { parser: parser as Linter.Parser },
    plugins: { zones: { rules: { rule } } },
    rules: { 'zones/rule': 'error' },
  } as Linter.Config;
  return new Linter({ cwd: ROOT }).verify(code, [config], join(ROOT, file)).map((m) => m.message);
}

test.each([
  ['src/ir/fold.ts', "import { R } from '../frontend-x86/cpu-state.js';"],
  ['src/frontend-x86/lift/alu.ts', "import { Host } from '../../lguest/core.js';"],
  ['src/frontend-x86/decode.ts', "import type { Engine } from '../runtime/engine.js';"],
  ['src/backend-wasm/lower.ts', "import { Cpu } from '../runtime/cpu.js';"],
  ['src/runtime/mmu.ts', "export { GuestDeath } from '../lguest/death.js';"],
  ['src/runtime/mmu.ts', "export * from '../lguest/death.js';"],
  ['src/lguest/core.ts', "import { Lowering } from '../backend-wasm/lower.js';"],
  ['src/lguest/core.ts', "const m = await import('../launcher/machine.js');"],
  ['src/lguest/core.ts', "let m: import('../launcher/machine.js').Machine;"],
  ['src/launcher/machine.ts', "import { Machine } from '../index.js';"],
  ['src/launcher/machine.ts', "import { build } from '../../tools/setup.mjs';"],
  ['src/runtime/build-interpreter.ts', "import binaryen from 'binaryen';"],
])('%s: %s', (file, code) => {
  expect(lint(file, code)).toHaveLength(1);
});

test.each([
  ['src/frontend-x86/lift/alu.ts', "import { Builder } from '../../ir/builder.js';"],
  ['src/backend-wasm/binaryen.ts', "import binaryen from 'binaryen';"],
  ['src/lguest/core.ts', "import { GDT } from '../backend-wasm/memory-layout.js';"],
  ['src/launcher/main.ts', "import { Machine } from './machine.js'; import fs from 'node:fs';"],
  ['src/index.ts', "export { Machine } from './launcher/machine.js';"],
  ['test/launcher.test.ts', "import { Machine } from '../src/index.js';"],
])('%s may: %s', (file, code) => {
  expect(lint(file, code)).toEqual([]);
});

test('the linter uses it for all of src', () => {
  const eslint = join(ROOT, 'node_modules', 'eslint', 'bin', 'eslint.js');
  for (const file of ['src/ir/ir.ts', 'src/launcher/main.ts']) {
    const args = [eslint, '--print-config', file];
    const config = JSON.parse(execFileSync(process.execPath, args, { cwd: ROOT, encoding: 'utf8' })) as {
      rules: Record<string, unknown[]>;
    };
    expect(config.rules['lguest/import-zones']).toEqual([2]);
  }
});

/** Binaryen without its string: what is taken out, that what is left is refused if it does not work, and who uses it. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../src/runtime/load-interpreter.js';
import { BINARYEN_MODULE, BINARYEN_WASM, installStripped, stripped } from './stripped-binaryen.js';

const DIST = join(packageRoot(), 'dist');
const LONG = 'x'.repeat(1 << 20);
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'stripped-'));
  mkdirSync(join(folder, 'src/backend-wasm'), { recursive: true });
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('the longest literal', () => {
  test.each([
    ['a template', `const a = \`\\\`${LONG}\`, b = 'kept'; // '${LONG}`],
    ['a string', `const a = "\\"${LONG}", b = 'kept'; /* \`${LONG}\` */`],
  ])('goes, when it is %s', (_, source) => {
    const left = stripped(source);
    expect(left.slice(-(LONG.length + 40))).toMatch(/const a = '', b = 'kept'; \/[/*] ['`]x+/);
  });

  test('has to be long', () => {
    expect(() => stripped(`const a = '${'x'.repeat(1000)}';`)).toThrow('no literal');
    expect(() => stripped(`// '${LONG}'`)).toThrow('no literal');
  });
});

test('nothing waits', () => {
  const source = `var f=async function(){return await async function(){return await 1}()},{x}=await import("node:module"),y='${LONG}';`;
  const left = stripped(source);
  expect(left).toMatch(
    /var f= ?function\(\)\{return \( ?function\(\)\{return \(1\)\}\(\)\)\},\{x\}=\(nodeModule\),y='';$/,
  );
});

test('what has another interface is not installed', async () => {
  const importer = join(folder, 'src/backend-wasm/binaryen.js');
  writeFileSync(importer, "import binaryen from 'binaryen';\n");
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  await expect(
    installStripped(folder, { wasm: new Uint8Array(8), source: 'export default { Module: class {} };' }),
  ).rejects.toThrow('another interface');
  expect(existsSync(join(folder, BINARYEN_WASM)) || existsSync(join(folder, BINARYEN_MODULE))).toBe(false);
  expect(readFileSync(importer, 'utf8')).toBe("import binaryen from 'binaryen';\n");
});

test('the package is installed where only its one importer finds it', async () => {
  const source = readFileSync(join(DIST, BINARYEN_MODULE), 'utf8');
  const wasm = readFileSync(join(DIST, BINARYEN_WASM));
  const importer = join(folder, 'src/backend-wasm/binaryen.js');
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  writeFileSync(importer, 'export {};\n');
  await expect(installStripped(folder, { wasm, source })).rejects.toThrow('does not import it');
  writeFileSync(importer, "import binaryen from 'binaryen';\n");
  await installStripped(folder, { wasm, source });
  expect(readFileSync(importer, 'utf8')).toBe("import binaryen from '../../binaryen.js';\n");
});

test('the build uses it', () => {
  const code = readFileSync(join(DIST, 'src/backend-wasm/binaryen.js'), 'utf8');
  expect(code).toContain("from '../../binaryen.js'");
  expect(code).not.toContain("from 'binaryen'");
});

/**
 * Builds the guest programs under test/roms/ from their sources with gcc.
 *
 *   node tools/build-roms.mjs [--check] [name …]
 *
 * A rom is a directory with C (`*.c`) and assembly (`*.S`) files; the image is `<name>/<name>.elf`, an ELF32 executable
 * without symbols, linked with the small kernel in `lib/` unless the directory has a linker script of its own
 * (`<name>.lds`), in which case it stands alone. Files whose names start with "user" (and `bench-programs.c`) are linked for ring 3.
 * Sources that belong to another rom are named in a file `sources`, one path per line.
 * `--check` builds into a temporary directory and compares with the committed images; different compilers
 * give different bytes, so it is a check for the compiler named in `test/roms/compiler.txt` and is skipped for others.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROMS = fileURLToPath(new URL('../test/roms/', import.meta.url));
const COMPILER_FILE = join(ROMS, 'compiler.txt');
const COMPILE = (
  '-m32 -march=i686 -O2 -std=gnu11 -ffreestanding -fno-pie -fno-stack-protector -fcf-protection=none ' +
  '-fno-asynchronous-unwind-tables -fno-ident -ffunction-sections -fdata-sections -fno-tree-loop-distribute-patterns ' +
  '-mno-sse -mno-mmx -mpreferred-stack-boundary=2 -Wall -Wextra -Werror -Wa,--noexecstack'
).split(' ');
const LINK =
  '-m32 -nostdlib -static -no-pie -Wl,--build-id=none -Wl,--gc-sections -Wl,-s -Wl,-z,max-page-size=32 -Wl,-z,common-page-size=32'
    .split(' ')
    .concat('-Wl,-z,noexecstack', '-Wl,--no-warn-rwx-segments');

class BuildFailure extends Error {}

const sourcesIn = (directory) =>
  readdirSync(directory)
    .filter((file) => /\.[cS]$/.test(file) && file !== 'native.c')
    .sort()
    .map((file) => join(directory, file));

/** Version of the compiler in the path, or undefined. */
function compilerVersion() {
  try {
    return execFileSync('gcc', ['--version'], { encoding: 'utf8' }).split('\n')[0];
  } catch {
    return undefined;
  }
}

/** Runs gcc; its own messages say what is wrong with a source. */
function gcc(options) {
  const { status } = spawnSync('gcc', options, { cwd: ROMS, stdio: 'inherit' });
  if (status !== 0) throw new BuildFailure();
}

/** Compiles one source to an object in `directory`, its name unique by the folder it came from. */
function compile(source, directory) {
  const object = join(directory, `${basename(join(source, '..'))}.${basename(source)}.o`);
  if (!existsSync(object)) gcc([...COMPILE, '-c', source, '-o', object]);
  return object;
}

/** Links the rom `name` and returns the path of the image in `directory`. */
function build(name, directory) {
  const folder = join(ROMS, name);
  const own = join(folder, `${name}.lds`);
  const standalone = existsSync(own);
  const listed = existsSync(join(folder, 'sources'))
    ? readFileSync(join(folder, 'sources'), 'utf8')
        .trim()
        .split('\n')
        .map((path) => join(folder, path))
    : [];
  const sources = [...(standalone ? [] : sourcesIn(join(ROMS, 'lib'))), ...sourcesIn(folder), ...listed];
  const image = join(directory, `${name}.elf`);
  const script = standalone ? own : join(ROMS, 'lib', 'rom.lds');
  const objects = sources.map((source) => compile(source, directory));
  gcc([...LINK, '-T', script, ...objects, '-o', image]);
  return image;
}

const options = process.argv.slice(2);
const check = options.includes('--check');
const chosen = options.filter((option) => !option.startsWith('--'));
const all = readdirSync(ROMS, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && entry.name !== 'lib')
  .map((entry) => entry.name)
  .filter((name) => sourcesIn(join(ROMS, name)).length > 0 || existsSync(join(ROMS, name, 'sources')))
  .sort();
const names = chosen.length ? chosen : all;
const unknown = names.find((name) => !all.includes(name));
if (unknown) {
  console.error(`No rom "${unknown}" under test/roms. Known: ${all.join(', ')}.`);
  process.exit(2);
}
const version = compilerVersion();
if (!version) {
  console.log('gcc is not installed: the committed images are used as they are.');
  process.exit(0);
}
const builtWith = existsSync(COMPILER_FILE) ? readFileSync(COMPILER_FILE, 'utf8').trim() : version;
if (check && builtWith !== version) {
  console.log(`The images were built with "${builtWith}", here is "${version}": not compared.`);
  process.exit(0);
}

const directory = mkdtempSync(join(tmpdir(), 'roms-'));
let different = 0;
try {
  for (const name of names) {
    const built = readFileSync(build(name, directory));
    const target = join(ROMS, name, `${name}.elf`);
    const same = existsSync(target) && built.equals(readFileSync(target));
    if (check) {
      if (!same) different++;
      console.log(`${same ? 'same     ' : 'DIFFERENT'} ${name} ${built.length} bytes`);
    } else {
      if (!same) writeFileSync(target, built);
      console.log(`${same ? 'unchanged' : 'built    '} ${name} ${built.length} bytes`);
    }
  }
  if (!check && !chosen.length) writeFileSync(COMPILER_FILE, `${version}\n`);
} catch (error) {
  if (!(error instanceof BuildFailure)) throw error;
  process.exitCode = 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}
if (different) {
  console.error(`${different} image(s) differ from their sources: run node tools/build-roms.mjs and commit.`);
  process.exit(1);
}

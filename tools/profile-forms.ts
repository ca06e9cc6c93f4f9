/**
 * Counts which instruction forms, and which pairs of them, guests execute: the source of `runtime/hot-forms.ts`.
 *
 *     node dist/tools/profile-forms.js MEBIBYTES KERNEL [INITRD [KERNEL ARGUMENTS]] > profile.json
 */
import { readFileSync } from 'node:fs';
import { PROFILE_HANDLERS } from '../src/backend-wasm/interpreter.js';
import { CODE_MAP_BYTES, CODE_MAP_COUNT, CODE_MAPS, GDT } from '../src/backend-wasm/memory-layout.js';
import { formName } from '../src/frontend-x86/forms.js';
import { VirtualClock } from '../src/lguest/clock.js';
import { Host } from '../src/lguest/core.js';
import { bootParameters } from '../src/launcher/boot-params.js';
import { DeviceBus, layoutDevices } from '../src/launcher/device-bus.js';
import { placeInitrd } from '../src/launcher/initrd.js';
import { loadKernel } from '../src/launcher/load-kernel.js';
import { ConsoleDevice } from '../src/launcher/virtio-console.js';
import { buildInterpreter } from '../src/runtime/build-interpreter.js';
import { InterpreterEngine } from '../src/runtime/interpreter-engine.js';

// Half of the code maps' room is never reached in a short run.
const TABLE = CODE_MAPS + (CODE_MAP_COUNT >> 1) * CODE_MAP_BYTES;
const MOST_INSTRUCTIONS = 5e9;

const [mebibytes, kernelFile, initrdFile, ...kernelArguments] = process.argv.slice(2);
const ramBytes = Number(mebibytes) * 2 ** 20;
const image = buildInterpreter({ validate: false, profile: TABLE });
const layout = layoutDevices([new ConsoleDevice((bytes) => void process.stderr.write(bytes))], ramBytes);
const engine = new InterpreterEngine({
  ramBytes,
  devicePages: layout.pages,
  interpreter: {
    module: new WebAssembly.Module(image.wasm as BufferSource),
    forms: image.forms,
    pairs: image.pairs,
  },
});
const bus: { current?: DeviceBus } = {};
const host = new Host({
  engine,
  gdtAddress: GDT,
  clock: new VirtualClock(),
  onNotify: (address) => bus.current!.notify(address),
  onEarlyConsole: (text) => void process.stderr.write(text),
});
bus.current = new DeviceBus(layout, { memory: engine.memory, raiseIrq: (irq) => host.raiseIrq(irq) });
const kernel = loadKernel(readFileSync(kernelFile!), kernelFile!, ramBytes, 'host');
const initrdBytes = initrdFile ? readFileSync(initrdFile) : undefined;
const initrd = initrdBytes?.length
  ? placeInitrd(initrdBytes.length, initrdFile!, ramBytes, kernel.end)
  : undefined;
engine.memory.write(
  0,
  bootParameters({ ramBytes, commandLine: kernelArguments.join(' '), ...(initrd && { initrd }) }),
);
for (const { address, bytes } of kernel.segments) engine.memory.write(address, bytes);
if (initrd) engine.memory.write(initrd.address, initrdBytes!);
host.start(kernel.entry);
for (;;) {
  const event = host.run(10_000_000);
  if (event.kind === 'shutdown' || engine.instructions > MOST_INSTRUCTIONS) break;
  if (event.kind === 'halted' && event.until === undefined) break;
}

const names = image.forms.map((f) => formName(f.id));
const count = (at: number): number => engine.memory.data.getUint32(TABLE + 4 * at, true);
const nameOf = (handler: number): string =>
  handler === 0 ? '(resume)' : handler === 1 ? '(cross)' : names[handler - 2]!;
const singles: [string, number][] = [];
for (let h = 0; h < names.length + 2; h++) if (count(h)) singles.push([nameOf(h), count(h)]);
const pairs: [string, string, number][] = [];
for (let p = 0; p < 65536; p++) {
  const n = count(PROFILE_HANDLERS + p);
  if (n) pairs.push([nameOf(p >> 8), nameOf(p & 255), n]);
}
singles.sort((a, b) => b[1] - a[1]);
pairs.sort((a, b) => b[2] - a[2]);
console.log(JSON.stringify({ instructions: engine.instructions, singles, pairs }));

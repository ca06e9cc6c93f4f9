/**
 * Counts which runs of instruction forms guests execute: what `tools/choose-sequences` reads.
 *
 *     node dist/tools/profile-forms.js MEBIBYTES KERNEL [INITRD [KERNEL ARGUMENTS]] > profile.json
 *
 * The blocks' own entry counters are read now and then; what is dropped in between counts only up to the last time.
 */
import { readFileSync } from 'node:fs';
import { GDT, RAM } from '../src/backend-wasm/memory-layout.js';
import { decode } from '../src/frontend-x86/decode.js';
import { formName } from '../src/frontend-x86/forms.js';
import { VirtualClock } from '../src/lguest/clock.js';
import { Host } from '../src/lguest/core.js';
import { bootParameters } from '../src/launcher/boot-params.js';
import { DeviceBus, layoutDevices } from '../src/launcher/device-bus.js';
import { placeInitrd } from '../src/launcher/initrd.js';
import { loadKernel } from '../src/launcher/load-kernel.js';
import { ConsoleDevice } from '../src/launcher/virtio-console.js';
import { InterpreterEngine } from '../src/runtime/interpreter-engine.js';
import { loadInterpreter } from '../src/runtime/load-interpreter.js';

const PAGE = 4096;
const STEP = 2_000_000;
const MOST_INSTRUCTIONS = 5e9;
const LONGEST_INSTRUCTION = 15;

const [mebibytes, kernelFile, initrdFile, ...kernelArguments] = process.argv.slice(2);
const ramBytes = Number(mebibytes) * 2 ** 20;
const layout = layoutDevices([new ConsoleDevice((bytes) => void process.stderr.write(bytes))], ramBytes);
const engine = new InterpreterEngine({
  ramBytes,
  devicePages: layout.pages,
  interpreter: loadInterpreter(),
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

/** Entries of the block at a guest-physical address when it was last looked at. */
const seen = new Map<number, number>();
/** Entries of blocks, by the names of their forms. */
const runs = new Map<string, number>();

/** The forms of a block's instructions, as far as they lie in one page. */
function formsAt(address: number, instructions: number): string {
  const names: string[] = [];
  const end = (address | (PAGE - 1)) + 1;
  for (let at = address; names.length < instructions && at < end;) {
    const insn = decode(engine.memory.u8, RAM + at, Math.min(LONGEST_INSTRUCTION, end - at), true);
    if (insn === 'more') break;
    names.push(formName(insn.form));
    at += insn.length;
  }
  return names.join(';');
}

function look(): void {
  for (let pfn = 0; pfn < ramBytes / PAGE; pfn++) {
    const page = engine.code.describePage(pfn);
    for (const { offset, instructions, countdown } of page?.blocks ?? []) {
      const address = pfn * PAGE + offset;
      const entries = Math.round((page!.heat - countdown) / instructions);
      const before = seen.get(address) ?? 0;
      const more = entries >= before ? entries - before : entries;
      seen.set(address, entries);
      if (more === 0) continue;
      const key = formsAt(address, instructions);
      runs.set(key, (runs.get(key) ?? 0) + more);
    }
  }
}

for (;;) {
  const event = host.run(STEP);
  look();
  if (event.kind === 'shutdown' || engine.instructions > MOST_INSTRUCTIONS) break;
  if (event.kind === 'halted' && event.until === undefined) break;
}
const blocks = [...runs].sort((a, b) => b[1] - a[1]).map(([forms, count]) => [count, forms.split(';')]);
console.log(JSON.stringify({ instructions: engine.instructions, blocks }));

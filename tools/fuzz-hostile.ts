/**
 * Hostile guests by the thousand: `npm run fuzz:hostile -- [first seed] [runs] [instructions]`. Each runs under the
 * interpreter (or `--engine=jit`, `--engine=auto`) and the reference engine in virtual time. Ends in budget, sleep, shutdown and GuestDeath are good; any
 * other exception, a hang, growth of memory or a difference between the engines is a bug, and makes the exit status 1.
 */
import { fileURLToPath } from 'node:url';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import type { EngineKind } from '../src/runtime/create-engine.js';
import { GuestMaker, Random } from './fuzz/guest.js';
import { deviceAddresses, FuzzMachine } from './fuzz/machine.js';

const HANG_MILLISECONDS = 20_000;
/** Runs after which memory is expected not to grow any more, and how much it may, in MiB. */
const WARM_RUNS = 200;
const GROWTH = 200;

interface Job {
  first: number;
  runs: number;
  instructions: number;
  trace: boolean;
  engine: EngineKind;
}

type Report = { seed: number; ended: string; problem?: string } | { done: true; growth: number };

function runOne(seed: number, a: FuzzMachine, b: FuzzMachine, job: Job): Report {
  const guest = new GuestMaker(seed, deviceAddresses()).make();
  const r = new Random(seed ^ 0x5eed);
  a.load(guest);
  b.load(guest);
  // Slices differ between the two: what happens must not depend on them.
  const slices = [1 + r.below(r.chance(50) ? 20 : 2000), r.chance(50) ? 1 : 100_000] as const;
  const step = 1 + r.below(400);
  let count = 0;
  let last = 'budget';
  let where = '';
  while (count < job.instructions) {
    count += step;
    // Instruction by instruction, to find the one after which they differ.
    for (let at = a.engine.instructions + 1; job.trace && at < count; at++) {
      where = `, from ${a.engine.cpu.eip.toString(16)} ${bytesAt(a)}`;
      if (a.runTo(at, 1) !== b.runTo(at, 1)) break;
      const problem = a.differs(b);
      if (problem !== undefined) return { seed, ended: last, problem: `${problem}, at count ${at}${where}` };
    }
    where = job.trace ? `, from ${a.engine.cpu.eip.toString(16)} ${bytesAt(a)}` : '';
    let ends = [a.runTo(count, slices[0]), b.runTo(count, slices[1])];
    if (ends[0] === ends[1] && (ends[0] === 'budget' || ends[0]!.startsWith('halted')) && r.chance(20)) {
      const [irq, typed] = [1 + r.below(4), r.chance(30)] as const;
      const pokes = [a.poke(irq, typed), b.poke(irq, typed)];
      if (pokes[0] !== undefined || pokes[1] !== undefined) ends = pokes.map(String);
    }
    last = ends[0]!;
    if (ends.includes('stuck')) return { seed, ended: 'stuck' };
    if (guest.loose) {
      if (last !== 'budget') break;
      continue;
    }
    const problem = ends[0] !== ends[1] ? `ended with "${ends[0]}" / "${ends[1]}"` : a.differs(b);
    if (problem !== undefined)
      return {
        seed,
        ended: last,
        problem: `${problem}, at count ${a.engine.instructions} (step ${step}), eip ${a.engine.cpu.eip.toString(16)}${where}`,
      };
    if (last !== 'budget' && !last.startsWith('halted')) break;
    if (last.startsWith('halted')) count = a.engine.instructions;
    if (last === 'halted until undefined' && r.chance(50)) break;
  }
  return { seed, ended: `${guest.loose ? 'loose ' : ''}${last}` };
}

function bytesAt(m: FuzzMachine): string {
  const physical = m.engine.mmu.translate(m.engine.cpu.eip, false, false);
  if (physical < 0 || !m.engine.memory.contains(physical, 15)) return '?';
  return Buffer.from(m.engine.memory.view(physical, 15)).toString('hex');
}

function work(job: Job): void {
  const post = (report: Report): void => parentPort!.postMessage(report);
  const a = new FuzzMachine(job.engine);
  const b = new FuzzMachine('reference');
  let base = 0;
  for (let n = 0; n < job.runs; n++) {
    const seed = job.first + n;
    post({ seed, ended: '' });
    try {
      post(runOne(seed, a, b, job));
    } catch (error) {
      post({ seed, ended: 'exception', problem: (error as Error).stack ?? String(error) });
    }
    if (n === WARM_RUNS) base = process.memoryUsage.rss();
  }
  post({ done: true, growth: base === 0 ? 0 : (process.memoryUsage.rss() - base) / 2 ** 20 });
}

async function main(): Promise<void> {
  const [first = 1, runs = 2000, instructions = 5000] = process.argv
    .slice(2)
    .filter((a) => !a.startsWith('--'))
    .map(Number);
  const trace = process.argv.includes('--trace');
  const engine = (process.argv.find((a) => a.startsWith('--engine='))?.slice(9) ?? 'interp') as EngineKind;
  const ends = new Map<string, number>();
  let bad = 0;
  let next = first;
  while (next < first + runs) {
    const job: Job = { first: next, runs: first + runs - next, instructions, trace, engine };
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData: job });
    await new Promise<void>((resolve) => {
      let timer = setTimeout(() => undefined, 0);
      const finish = (): void => {
        clearTimeout(timer);
        void worker.terminate().then(() => resolve());
      };
      const fail = (problem: string): void => {
        bad++;
        console.log(`seed ${next}: ${problem}`);
      };
      worker.on('message', (report: Report) => {
        clearTimeout(timer);
        if ('done' in report) {
          next = first + runs;
          console.log(`memory grew by ${report.growth.toFixed(0)} MiB`);
          if (report.growth > GROWTH) bad++;
          finish();
          return;
        }
        if (report.ended !== '') {
          next = report.seed + 1;
          const kind = report.ended
            .replace(/0x[0-9a-f]+|\d+/g, 'N')
            .replace(/^shutdown (\w+).*/s, 'shutdown $1');
          ends.set(kind, (ends.get(kind) ?? 0) + 1);
          if (report.problem !== undefined) {
            bad++;
            console.log(`seed ${report.seed}: ${report.problem}`);
          }
        }
        timer = setTimeout(() => {
          fail('hangs');
          next++;
          finish();
        }, HANG_MILLISECONDS);
      });
      worker.on('error', (error) => {
        fail(`the worker died: ${error.message}`);
        next++;
        finish();
      });
    });
  }
  for (const [kind, n] of [...ends].sort((a, b) => b[1] - a[1]))
    console.log(`${String(n).padStart(6)} ${kind}`);
  process.exitCode = bad > 0 ? 1 : 0;
}

if (isMainThread) await main();
else work(workerData as Job);

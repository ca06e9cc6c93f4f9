/** What the Host serves inside a run of the engine, and when the run has to end for it. */
import * as S from '../frontend-x86/cpu-state.js';
import { LEAVE } from '../frontend-x86/leave.js';
import { SERVED, type Served } from '../runtime/engine.js';
import { LINUX_3_10 } from './abi/linux-3.10.js';
import { RealtimeClock } from './clock.js';
import { DATA, fixture, type Fixture, handlerOf } from './testing/scripted-engine.js';

const D = LINUX_3_10.data;
const FLUSH_ASYNC = 0;
const FLUSH_TLB = 5;
const SHUTDOWN = 2;
const SET_CLOCKEVENT = 9;
const HALT = 10;
const NOTIFY = 17;

/** Runs what is in the script as an engine does that asks the Host first; the answers. */
function askForAll({ engine, host }: Fixture): Served[] {
  const answers: Served[] = [];
  const steps = engine.script.splice(0);
  for (const step of steps) {
    engine.script.push((budget) => {
      const reason = step(budget);
      const answer = engine.serve(reason);
      answers.push(answer);
      return answer === SERVED.no ? reason : LEAVE.budget;
    });
  }
  host.run(1);
  return answers;
}

function ask(f: Fixture): Served {
  expect(f.engine.script.length).toBe(1);
  return askForAll(f)[0]!;
}

function call(f: Fixture, number: number, ...args: number[]): Served {
  f.engine.hypercall(number, ...args);
  return ask(f);
}

test('a hypercall is served, counted, and the run goes on', () => {
  const f = fixture();
  const { eip } = f.engine.cpu;
  const count = f.engine.instructions;
  expect(call(f, FLUSH_TLB, 1)).toBe(SERVED.goOn);
  expect(f.engine.cpu.eip).toBe(eip + 2);
  expect(f.engine.instructions).toBe(count + 1);
  expect(f.host.counters()['hypercall FLUSH_TLB']).toBe(1);
  expect(f.engine.cpu.get(S.DIRECT_TRAPS)).toBe(1);
});

test('a page fault is served; a second one without an instruction in between ends the run', () => {
  const f = fixture();
  f.engine.fault(14, 2, 0x1234);
  expect(ask(f)).toBe(SERVED.goOn);
  expect(f.field(D.cr2)).toBe(0x1234);
  expect(f.engine.cpu.eip).toBe(handlerOf(14));
  f.engine.fault(14, 2, 0x1234).fault(14, 2, 0x5678);
  expect(askForAll(f)).toEqual([SERVED.goOn, SERVED.no]);
  expect(f.field(D.cr2)).toBe(0x5678);
});

test('calls that are refused one after the other, without an instruction in between, end the run', () => {
  const f = fixture();
  const fromUser = () => f.engine.cpu.set(S.CPL, 3);
  f.engine.int(0x1f, fromUser).int(0x1f, fromUser);
  expect(askForAll(f)).toEqual([SERVED.goOn, SERVED.no]);
});

test('the run ends when the loop has something to do', () => {
  expect(call(fixture(), SET_CLOCKEVENT, 1000)).toBe(SERVED.end);
  expect(call(fixture(), HALT)).toBe(SERVED.end);
  expect(call(fixture(), NOTIFY, DATA)).toBe(SERVED.end);
  expect(call(fixture(), SHUTDOWN, DATA, 1)).toBe(SERVED.end);
  const raising: Fixture = fixture({ onNotify: () => (raising.host.raiseIrq(3), true) });
  expect(call(raising, NOTIFY, 1)).toBe(SERVED.end);
  expect(raising.engine.cpu.eip).toBe(handlerOf(35));
});

test('so it does after a NOTIFY in the ring', () => {
  const f = fixture({ onNotify: () => true });
  f.setField(D.hcalls, NOTIFY);
  f.engine.memory.write8(DATA + D.hcallStatus, 0);
  expect(call(f, FLUSH_ASYNC)).toBe(SERVED.end);
  expect(call(f, FLUSH_ASYNC)).toBe(SERVED.goOn);
});

test('nothing is served inside while an interrupt waits, nor in single steps', () => {
  const f = fixture();
  f.setField(D.irqEnabled, 0);
  f.host.raiseIrq(3);
  expect(call(f, FLUSH_ASYNC)).toBe(SERVED.no);
  f.setField(D.irqEnabled, S.F_IF);
  expect(call(f, FLUSH_ASYNC)).toBe(SERVED.no);
  expect(call(f, FLUSH_ASYNC)).toBe(SERVED.goOn);
  f.engine.cpu.set(S.FLAGS_SYSTEM, S.F_IF | S.F_TF);
  expect(call(f, FLUSH_ASYNC)).toBe(SERVED.no);
});

test('other exits are not served inside', () => {
  const f = fixture();
  f.engine.fault(6, 0);
  expect(ask(f)).toBe(SERVED.no);
  f.engine.leave(LEAVE.icebp, 1);
  expect(ask(f)).toBe(SERVED.no);
});

test('a run with very many of them ends', () => {
  const f = fixture();
  const answers: Served[] = [];
  f.engine.hypercall(FLUSH_TLB, 1);
  const step = f.engine.script.pop()!;
  f.engine.script.push((budget) => {
    for (;;) {
      const reason = step(budget);
      const answer = f.engine.serve(reason);
      answers.push(answer);
      if (answer === SERVED.no) return reason;
    }
  });
  f.host.run(1);
  expect(answers.length).toBeLessThan(1000);
  expect(f.host.counters()['hypercall FLUSH_TLB']).toBe(answers.length);
});

test('a timer that ran out in real time does not wait for the end of a run', () => {
  let ms = 0;
  const f = fixture({ clock: new RealtimeClock(0, () => ms) });
  f.engine.hypercall(SET_CLOCKEVENT, 1_000_000);
  expect(ask(f)).toBe(SERVED.end);
  const answers: Served[] = [];
  f.engine.hypercall(FLUSH_TLB, 1);
  const step = f.engine.script.pop()!;
  f.engine.script.push((budget) => {
    do {
      ms = 2;
      answers.push(f.engine.serve(step(budget)));
    } while (answers.at(-1) === SERVED.goOn);
    return LEAVE.budget;
  });
  f.engine.execute(1, () => expect(f.engine.cpu.eip).toBe(handlerOf(32)));
  f.host.run(answers.length + 100);
  expect(answers.at(-1)).toBe(SERVED.end);
  expect(answers.length).toBeLessThan(20);
});

test('none with an engine that is to leave for every trap', () => {
  expect(call(fixture({ directTraps: false }), FLUSH_ASYNC)).toBe(SERVED.no);
});

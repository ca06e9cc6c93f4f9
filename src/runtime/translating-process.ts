/**
 * Translation in a process of its own, for the worker that started it. V8's flags belong to a process: here it leaves
 * JavaScript unoptimised at first, which is worth less than the regions that it delays, while the Host's is optimised as ever.
 * What V8 and Binaryen leave to collect, map and unmap is nothing to the guest's process either.
 */
import { lowerOtherThreads, lowerOwnPriority } from './background-priority.js';
import { hostMilliseconds } from './host-time.js';
import { machineCodeOfOptimized } from './machine-code.js';
import type { ProcessMessage, ProcessReply, WorkerRequest } from './translation-messages.js';
import type * as Translator from './translator.js';
import { errorFacts } from './translator-bug.js';
import {
  compileAsEver,
  heedCompilationHints,
  leaveLoopsAlone,
  leaveScriptsAlone,
  loadLightly,
  underFlagsOfBuild,
} from './v8-flags.js';
import { WARM_UP, WARM_UP_ROUNDS } from './warm-up.js';

/** The ends of a terminal's session that its processes hear of: this one ends with its parent, and not before. */
const SIGNALS = ['SIGINT', 'SIGHUP'] as const;
/** Translations after which what is asked for goes on for so long that optimised JavaScript is worth its price. */
const UNOPTIMIZED_TRANSLATIONS = 60;

type Loaded = Pick<typeof Translator, 'translate' | 'causeOfNothing'>;

function answer({ id, request }: WorkerRequest, { translate, causeOfNothing }: Loaded): ProcessReply {
  const from = hostMilliseconds();
  const spent = (): number => hostMilliseconds() - from;
  try {
    const translation = translate(request);
    if (!translation) return { id, translation, nothing: causeOfNothing(request), spent: spent() };
    const module = new WebAssembly.Module(translation.wasm as BufferSource);
    const machineCode = underFlagsOfBuild(() => machineCodeOfOptimized(module));
    return { id, translation, machineCode, spent: spent() };
  } catch (error) {
    return { id, translation: undefined, spent: spent(), error: errorFacts(error) };
  }
}

/** Sends to the parent. That it has ended meanwhile is no error: this process does too. */
function send(message: ProcessMessage): void {
  process.send!(message, undefined, undefined, () => undefined);
}

/** Translates what the parent asks for until it ends. */
export async function translateForParent(): Promise<void> {
  for (const signal of SIGNALS) process.on(signal, () => undefined);
  // Whatever V8 is compiling: an exit might wait for it.
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  leaveLoopsAlone();
  heedCompilationHints();
  leaveScriptsAlone();
  lowerOtherThreads();
  lowerOwnPriority();
  const loaded = await loadLightly(() => import('./translator.js'));
  let asked = 0;
  process.on('message', (request: WorkerRequest) => {
    if (asked++ === UNOPTIMIZED_TRANSLATIONS) compileAsEver();
    send(answer(request, loaded));
  });
  send('ready');
  const warmUp = (round = 0): void => {
    if (asked > 0 || round === WARM_UP_ROUNDS) return;
    answer({ id: 0, request: { ...WARM_UP, optimized: true } }, loaded);
    setImmediate(warmUp, round + 1);
  };
  warmUp();
}

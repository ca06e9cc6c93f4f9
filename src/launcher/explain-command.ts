/** `lguest explain`: runs a guest as usual and then tells what the translator made of the code at an address. */
import type { Engine } from '../runtime/engine.js';
import { InterpreterEngine } from '../runtime/interpreter-engine.js';
import { parseCount } from './compare-command.js';
import { UserError } from './errors.js';
import { explain, parsePlaces } from './explain.js';
import type { Machine } from './machine.js';
import type { MachineOptions } from './machine-options.js';
import { CACHE_FLAGS, type CommandForm, type LaunchOptions, NO_CACHE_FLAGS } from './options.js';

const EXPLAINING = 'Explanation:';

export const EXPLAIN: CommandForm = {
  name: 'lguest explain',
  leading: '<eip>[,<eip>...]',
  head: `Runs a guest with --engine auto (the default here) or jit, and tells at its end, on standard error, what the
translator made of the code at each eip (hexadecimal, or a symbol like schedule or schedule+0x10): guest code, IR, Wasm,
why it was translated or not, how often the translation was entered and how it was left.`,
  tail: `
Exit status: that of the run.`,
  without: [CACHE_FLAGS, NO_CACHE_FLAGS],
  rows: [
    { flags: '--brief', help: 'without IR and Wasm', group: EXPLAINING },
    {
      flags: '--to <count>',
      help: 'switch the guest off after so many instructions',
      group: EXPLAINING,
      parse: parseCount,
    },
  ],
};

/** A run of the command: what it adds to the machine's options, and what it tells afterwards. */
export class Explanation {
  readonly machineOptions: MachineOptions;
  private engine: Engine | undefined;
  private places: readonly number[] = [];

  constructor(private readonly options: LaunchOptions) {
    const { engine = 'auto', extra, leading } = options;
    if (leading === undefined) throw new UserError(`Explain which eip? Try ${EXPLAIN.name} --help.`);
    if (engine !== 'auto' && engine !== 'jit')
      throw new UserError(`The engine ${engine} translates nothing: explain needs auto or jit.`);
    const { to } = extra as { to?: number };
    this.machineOptions = {
      engine,
      watchRegions: true,
      punctual: options.clock === 'virtual',
      ...(to !== undefined && { stopAt: to }),
      onPowerOn: (powered) => (this.engine = powered),
    };
  }

  /** Before the machine runs. Throws `UserError` for what is no address. */
  prepare(machine: Machine): void {
    this.places = parsePlaces(this.options.leading!, machine.symbols);
  }

  /** The explanation, when the machine has ended. */
  async text(): Promise<string> {
    if (!(this.engine instanceof InterpreterEngine)) throw new Error('there is no engine to look into');
    const brief = this.options.extra['brief'] === true;
    const parts: string[] = [];
    for (const linear of this.places) parts.push(await explain(this.engine, linear, brief));
    return parts.join('\n');
  }
}

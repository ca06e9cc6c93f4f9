/**
 * The user's terminal: raw while the guest runs, restored on every way out. Input from a pipe or file goes to the guest
 * as it is; its end just means that there is no more.
 */
import type { ReadStream } from 'node:tty';
import { hostMilliseconds } from '../runtime/host-time.js';
import { ESCAPE_HELP, EscapeKeys } from './escape-keys.js';

export interface TerminalHandlers {
  /** Bytes for the guest. Returns false if it has had enough for now: call `resume` later. */
  input(bytes: Uint8Array): boolean;
  /** Nothing more will come. */
  inputEnded(): void;
  /** The user wants out. */
  leave(): void;
  /** Shows text to the user. */
  show(text: string): void;
}

export class Terminal {
  private readonly keys = new EscapeKeys();
  private isRaw = false;
  private takesEverything = false;
  private readonly restoreAtExit = (): void => this.restore();

  /** `stdin`: process.stdin or a stream of its kind. */
  constructor(
    private readonly stdin: NodeJS.ReadStream,
    private readonly handlers: TerminalHandlers,
  ) {}

  get isTerminal(): boolean {
    return this.stdin.isTTY === true;
  }

  /** Starts reading; a terminal becomes raw. */
  open(): void {
    if (this.isTerminal) {
      // libuv's raw mode keeps ONLCR, so that early console messages with bare newlines look right.
      process.on('exit', this.restoreAtExit);
      (this.stdin as ReadStream).setRawMode(true);
      this.isRaw = true;
    }
    this.stdin.on('data', this.onData);
    this.stdin.on('end', this.onEnd);
    // A terminal that went away (EIO), or a closed descriptor: no more input.
    this.stdin.on('error', this.onEnd);
    this.stdin.resume();
  }

  /** For a pipe or file: as `open`, and resolves when all of it was read. What `input` returns does not matter. */
  openAndReadAll(): Promise<void> {
    this.takesEverything = true;
    return new Promise((resolve) => {
      this.stdin.once('end', resolve);
      this.stdin.once('error', () => resolve());
      this.open();
    });
  }

  /** The guest can take more. */
  resume(): void {
    if (this.stdin.isPaused()) this.stdin.resume();
  }

  /** Stops reading and restores the terminal. */
  close(): void {
    this.stdin.off('data', this.onData);
    this.stdin.off('end', this.onEnd);
    this.stdin.pause();
    this.restore();
    process.off('exit', this.restoreAtExit);
  }

  /** The terminal as it was before `open`. May be called at any time, more than once. */
  restore(): void {
    if (!this.isRaw) return;
    this.isRaw = false;
    try {
      (this.stdin as ReadStream).setRawMode(false);
    } catch {
      // The terminal is gone (hang-up): there is nothing left to restore.
    }
  }

  private readonly onData = (data: Buffer): void => {
    let bytes: Uint8Array = data;
    if (this.isTerminal) {
      const { forGuest, commands } = this.keys.feed(data, hostMilliseconds());
      bytes = forGuest;
      for (const command of commands) {
        if (command === 'help') this.handlers.show(ESCAPE_HELP);
        else this.handlers.leave();
      }
    }
    if (bytes.length > 0 && !this.handlers.input(bytes) && !this.takesEverything) this.stdin.pause();
  };

  private readonly onEnd = (): void => {
    this.handlers.inputEnded();
  };
}

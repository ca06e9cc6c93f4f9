/** Console output to a file descriptor: written at once; what a slow reader does not take is kept and written later. */
import { writeSync } from 'node:fs';

const RETRY_MILLISECONDS = 2;
/** At the end, how long a reader that takes nothing is waited for. */
const LAST_WAIT_MILLISECONDS = 1000;

/** The reader of our output has gone. */
export class OutputClosed extends Error {}

export class ConsoleOutput {
  private readonly backlog: Uint8Array[] = [];
  private drained: Promise<void> | undefined;
  closed = false;
  /** The last thing written was a whole line. */
  atLineStart = true;

  constructor(
    private readonly fd: number,
    private readonly onClosed: () => void,
    private readonly writeTo: (fd: number, bytes: Uint8Array) => number = writeSync,
  ) {}

  /** Writes all it can. Returns a promise while something is kept: the producer should wait for it. */
  write(bytes: Uint8Array): Promise<void> | undefined {
    if (this.closed) return undefined;
    if (bytes.length > 0) {
      this.backlog.push(bytes);
      this.atLineStart = bytes[bytes.length - 1] === 0x0a;
    }
    if (this.drained) return this.drained;
    this.push();
    if (this.backlog.length > 0) this.drained = this.drain();
    return this.drained;
  }

  private async drain(): Promise<void> {
    while (this.backlog.length > 0) {
      await new Promise((resolve) => setTimeout(resolve, RETRY_MILLISECONDS));
      this.push();
    }
    this.drained = undefined;
  }

  /** Writes until the backlog is empty or the descriptor takes no more. */
  private push(): void {
    while (this.backlog.length > 0) {
      const bytes = this.backlog[0]!;
      let count: number;
      try {
        count = this.writeTo(this.fd, bytes);
      } catch (error) {
        const code = (error as NodeJS.ErrnoException).code;
        if (code === 'EAGAIN') return;
        if (code === 'EINTR') continue;
        // EPIPE, EIO (the terminal went away), ENOSPC: nobody reads what we print.
        this.closed = true;
        this.backlog.length = 0;
        this.onClosed();
        return;
      }
      if (count === bytes.length) this.backlog.shift();
      else this.backlog[0] = bytes.subarray(count);
    }
  }

  /** Writes what is left, waiting a little for a slow reader, and gives the rest up. For the end of the process. */
  finish(): void {
    const cell = new Int32Array(new SharedArrayBuffer(4));
    for (
      let waited = 0;
      this.backlog.length > 0 && waited < LAST_WAIT_MILLISECONDS;
      waited += RETRY_MILLISECONDS
    ) {
      this.push();
      if (this.backlog.length > 0) Atomics.wait(cell, 0, 0, RETRY_MILLISECONDS);
    }
    this.closed = true;
    this.backlog.length = 0;
  }
}

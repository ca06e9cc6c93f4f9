/** What a block device is stored in. */
import { closeSync, constants, fstatSync, fsyncSync, openSync, readSync, statSync, writeSync } from 'node:fs';
import { UserError, describeFileError } from './errors.js';

export const SECTOR_BYTES = 512;

/** A disk of whole sectors; byte offsets and lengths given to it are inside `bytes`. All calls are synchronous. */
export interface Disk {
  /** Usable bytes, a multiple of 512. */
  readonly bytes: number;
  readonly readOnly: boolean;
  /** Identity reported to the guest, at most 20 ASCII characters count. */
  readonly id: string;
  read(offset: number, target: Uint8Array): void;
  write(offset: number, source: Uint8Array): void;
  /** Makes what was written durable. */
  flush(): void;
  close(): void;
}

/** A disk in memory: changes are made to the array given. */
export class MemoryDisk implements Disk {
  readonly bytes: number;

  constructor(
    private readonly data: Uint8Array,
    readonly readOnly = false,
    readonly id = 'memory',
  ) {
    this.bytes = data.length - (data.length % SECTOR_BYTES);
  }

  read(offset: number, target: Uint8Array): void {
    target.set(this.data.subarray(offset, offset + target.length));
  }

  write(offset: number, source: Uint8Array): void {
    this.data.set(source, offset);
  }

  flush(): void {}

  close(): void {}
}

/** A disk in a file of the host. Bytes behind the last whole sector are left alone. */
export class FileDisk implements Disk {
  readonly bytes: number;
  readonly id: string;
  private fd: number | undefined;
  private dirty = false;

  /** Opens the file; nothing is created or changed. Throws `UserError`. */
  constructor(
    readonly path: string,
    readonly readOnly = false,
  ) {
    const refuse = (why: string): never => {
      throw new UserError(`Disk ${path} cannot be used: ${why}.`);
    };
    try {
      // Opening a FIFO would wait for its other end.
      const kind = statSync(path);
      if (kind.isDirectory()) refuse('it is a directory');
      if (!kind.isFile()) refuse('it is not a regular file');
      this.fd = openSync(path, readOnly ? constants.O_RDONLY : constants.O_RDWR);
    } catch (error) {
      if (error instanceof UserError) throw error;
      const code = (error as NodeJS.ErrnoException).code;
      const hint =
        !readOnly && (code === 'EACCES' || code === 'EROFS') ? ` (for reading only: --block=${path},ro)` : '';
      refuse(`${describeFileError(error)}${hint}`);
    }
    const size = fstatSync(this.fd!).size;
    this.bytes = size - (size % SECTOR_BYTES);
    this.id = path.split('/').pop()!;
    if (this.bytes === 0) {
      this.close();
      refuse(`it has ${size} bytes, less than one sector of ${SECTOR_BYTES}`);
    }
  }

  read(offset: number, target: Uint8Array): void {
    for (let done = 0; done < target.length;) {
      const count = readSync(this.fd!, target, done, target.length - done, offset + done);
      // Somebody made the file shorter since it was opened.
      if (count === 0) throw new Error(`${this.path} ends at ${offset + done}`);
      done += count;
    }
  }

  write(offset: number, source: Uint8Array): void {
    this.dirty = true;
    for (let done = 0; done < source.length;)
      done += writeSync(this.fd!, source, done, source.length - done, offset + done);
  }

  flush(): void {
    if (this.fd === undefined || !this.dirty) return;
    fsyncSync(this.fd);
    this.dirty = false;
  }

  close(): void {
    if (this.fd === undefined) return;
    const fd = this.fd;
    this.fd = undefined;
    closeSync(fd);
  }
}

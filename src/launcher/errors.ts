/** The three kinds of error a run can end with, and how each is told. */

/** Exit statuses of the command line and of `MachineExit.status`. */
export const EXIT_STATUS = {
  /** The guest powered off. */
  clean: 0,
  /** The user asked for something impossible. */
  userError: 2,
  /** The guest panicked or died. */
  guestDeath: 3,
  /** A bug of ours (EX_SOFTWARE of sysexits.h). */
  bug: 70,
} as const;

/** Something the user gave cannot be used. The message is one clear sentence; shown without a stack. */
export class UserError extends Error {
  override name = 'UserError';
}

/**
 * The guest's driver broke the rules of a device (bad descriptor chain, ring index, NOTIFY address): the guest dies.
 * `device` is its name as shown to the user, such as "block0".
 */
export class DeviceError extends Error {
  override name = 'DeviceError';
  constructor(
    readonly device: string,
    readonly problem: string,
  ) {
    super(`${device}: ${problem}`);
  }
}

/** A descriptor chain or ring index no device may follow. Its message has no device name yet. */
export class DescriptorError extends Error {
  override name = 'DescriptorError';
}

/** Hexadecimal for messages. */
export function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

/** The user's view of a failed file operation: "no such file", "permission denied", … */
export function describeFileError(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  const known: Record<string, string> = {
    ENOENT: 'there is no such file',
    EACCES: 'permission denied',
    EPERM: 'permission denied',
    EROFS: 'it is on a read-only file system',
    EISDIR: 'it is a directory',
    ENOTDIR: 'a part of its path is not a directory',
    ELOOP: 'its path has a loop of symbolic links',
    EMFILE: 'too many files are open',
    ENAMETOOLONG: 'its name is too long',
    EIO: 'the host could not read it (I/O error)',
    ETXTBSY: 'it is in use',
  };
  if (code && known[code]) return known[code];
  return error instanceof Error ? error.message : String(error);
}

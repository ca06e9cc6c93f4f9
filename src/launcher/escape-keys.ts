/** The keys a terminal keeps for itself: Ctrl-a sequences, and three Ctrl-C within a second. */

const CTRL_A = 0x01;
const CTRL_C = 0x03;
/** lguest's own way out. */
const CTRL_C_COUNT = 3;
const CTRL_C_MILLISECONDS = 1000;

export type TerminalCommand = 'leave' | 'help';

export interface KeyResult {
  /** What the guest gets. */
  forGuest: Uint8Array;
  commands: TerminalCommand[];
}

/** Splits what is typed. Keeps state between calls, since a sequence may arrive in pieces. */
export class EscapeKeys {
  private escape = false;
  /** Times of the latest Ctrl-C presses in a row, at most two. */
  private interrupts: number[] = [];

  /** `now`: milliseconds of a monotonic clock. Nothing after a "leave" is looked at. */
  feed(typed: Uint8Array, now: number): KeyResult {
    const forGuest: number[] = [];
    const commands: TerminalCommand[] = [];
    for (const byte of typed) {
      if (this.escape) {
        this.escape = false;
        if (byte === 0x78 || byte === 0x58) {
          commands.push('leave');
          break;
        }
        if (byte === 0x68 || byte === 0x48 || byte === 0x3f) {
          commands.push('help');
        } else if (byte === CTRL_A) {
          forGuest.push(CTRL_A);
        } else {
          // Not ours: the guest gets both keys.
          forGuest.push(CTRL_A, byte);
        }
        continue;
      }
      if (byte === CTRL_A) {
        this.escape = true;
        continue;
      }
      forGuest.push(byte);
      if (byte !== CTRL_C) {
        this.interrupts = [];
        continue;
      }
      this.interrupts = this.interrupts.filter((time) => now - time <= CTRL_C_MILLISECONDS);
      this.interrupts.push(now);
      if (this.interrupts.length === CTRL_C_COUNT) {
        this.interrupts = [];
        commands.push('leave');
        break;
      }
    }
    return { forGuest: Uint8Array.from(forGuest), commands };
  }
}

export const ESCAPE_HELP =
  '\r\nCtrl-a x  leave (the machine is switched off)\r\n' +
  'Ctrl-a h  this help\r\n' +
  'Ctrl-a Ctrl-a  a Ctrl-a for the guest\r\n' +
  'Ctrl-C three times within a second also leaves.\r\n';

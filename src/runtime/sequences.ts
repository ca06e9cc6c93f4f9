/** Which neighbouring instructions of a block run in one handler of the interpreter. */
import type { InterpreterSequence } from '../backend-wasm/interpreter.js';
import { MAX_BLOCK } from '../frontend-x86/limits.js';

/** A step's key: node × this + form. */
const FORMS = 0x10000;

/** The sequences that have a handler, as a tree whose edges are forms. */
export class SequenceTable {
  private readonly steps = new Map<number, number>();
  /** By node: the handler of the sequence that ends there, or 0. Node 0 is the root. */
  private readonly handlers: number[] = [0];
  /** Per instruction of the block that was covered last: handlers that the rest of the block takes at the least, ... */
  private readonly fewest = new Uint8Array(MAX_BLOCK + 1);
  /** ... and the handler of the sequence that starts there on the way that takes as many, or 0. */
  private readonly chosen = new Uint16Array(MAX_BLOCK);

  constructor(sequences: readonly InterpreterSequence[]) {
    for (const { forms, handler } of sequences) {
      let node = 0;
      for (const form of forms) {
        let next = this.steps.get(node * FORMS + form);
        if (next === undefined) {
          next = this.handlers.length;
          this.handlers.push(0);
          this.steps.set(node * FORMS + form, next);
        }
        node = next;
      }
      this.handlers[node] = handler;
    }
  }

  /**
   * Finds the fewest handlers that run a block of at most MAX_BLOCK instructions, from each of them on: where a
   * sequence is left in its middle, the others go on as well as they can.
   */
  cover(block: readonly { readonly form: number }[]): void {
    const { steps, handlers, fewest, chosen } = this;
    fewest[block.length] = 0;
    for (let i = block.length - 1; i >= 0; i--) {
      let least = 1 + fewest[i + 1]!;
      let best = 0;
      let node: number | undefined = 0;
      for (let k = i; k < block.length; k++) {
        node = steps.get(node * FORMS + block[k]!.form);
        if (node === undefined) break;
        if (handlers[node] === 0 || 1 + fewest[k + 1]! >= least) continue;
        least = 1 + fewest[k + 1]!;
        best = handlers[node]!;
      }
      fewest[i] = least;
      chosen[i] = best;
    }
  }

  /** The handler of the sequence that starts with the instruction number `i` of that block; 0: it runs alone. */
  handlerAt(i: number): number {
    return this.chosen[i]!;
  }
}

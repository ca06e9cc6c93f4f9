/** Instructions with labels, laid out at addresses; the layout can be made again after changes to single instructions. */
import type { Patch } from './case.js';
import type { Written } from './program.js';

/** A place between two items, bound once. */
export interface Label {
  item: number;
}

interface Reference {
  readonly label: Label;
  /** Added to the label's address. */
  readonly offset: number;
  /** `absolute`: the address in the four bytes at `at`; `jump`: relative to the end, behind `bytes`. */
  readonly kind: 'absolute' | 'jump';
  readonly at: number;
  /** The opcode with one byte of displacement, where there is one. */
  readonly short: readonly number[] | undefined;
}

interface Item {
  /** Without the displacement of a jump. Empty: only the short form exists. */
  readonly bytes: readonly number[];
  readonly reference: Reference | undefined;
  /** Data and filling are no instructions. */
  readonly isCode: boolean;
  isShort: boolean;
  /** Code put in front: a jump to the item meets it too. */
  guard: readonly number[];
  isDropped: boolean;
}

export interface Layout {
  readonly code: Uint8Array;
  readonly patches: readonly Patch[];
  readonly written: readonly Written[];
}

/** Displacements up to here fit a byte also when other jumps become longer or shorter. */
const NEAR = 100;

export function little(v: number, bytes = 4): number[] {
  return Array.from({ length: bytes }, (_, n) => (v >>> (8 * n)) & 0xff);
}

export class Assembly {
  private readonly items: Item[] = [];
  private readonly tables: { readonly address: number; readonly labels: readonly Label[] }[] = [];
  /** Address of each item as it was laid out last. */
  private addresses: number[] = [];

  get length(): number {
    return this.items.length;
  }

  label(): Label {
    return { item: -1 };
  }
  bind(label: Label): void {
    label.item = this.items.length;
  }
  /** A label that is bound here. */
  here(): Label {
    return { item: this.items.length };
  }

  private push(bytes: readonly number[], reference?: Reference, isCode = true): void {
    this.items.push({ bytes, reference, isCode, isShort: false, guard: [], isDropped: false });
  }
  emit(...bytes: number[]): void {
    this.push(bytes);
  }
  data(...bytes: number[]): void {
    this.push(bytes, undefined, false);
  }
  /** Code or data with the address of a label + offset in its four bytes at `at`. */
  absolute(bytes: readonly number[], at: number, label: Label, offset = 0, isCode = true): void {
    this.push(bytes, { label, offset, kind: 'absolute', at, short: undefined }, isCode);
  }
  /** `near`: opcode in front of four bytes of displacement (empty if there is none such); `short`: of one byte. */
  jump(near: readonly number[], short: readonly number[] | undefined, label: Label): void {
    this.push(near, { label, offset: 0, kind: 'jump', at: 0, short });
  }
  /** Addresses of labels in memory, a dword each. */
  table(address: number, labels: readonly Label[]): void {
    this.tables.push({ address, labels });
  }

  private size(item: Item): number {
    if (item.isDropped) return 0;
    const { bytes, reference, guard } = item;
    if (reference?.kind !== 'jump') return guard.length + bytes.length;
    return guard.length + (item.isShort ? reference.short!.length + 1 : bytes.length + 4);
  }
  private place(start: number): void {
    this.addresses = [];
    let at = start;
    for (const item of this.items) {
      this.addresses.push(at);
      at += this.size(item);
    }
    this.addresses.push(at);
  }
  private address(label: Label): number {
    return this.addresses[label.item]!;
  }

  /** Undefined if a jump that has only a short form does not reach. */
  layout(start: number): Layout | undefined {
    for (const item of this.items)
      item.isShort = item.reference?.short !== undefined && item.bytes.length === 0;
    this.place(start);
    for (const [n, item] of this.items.entries()) {
      const { reference } = item;
      if (reference?.short === undefined || item.bytes.length === 0) continue;
      item.isShort = Math.abs(this.address(reference.label) - this.addresses[n]!) < NEAR;
    }
    this.place(start);
    const code: number[] = [];
    const written: Written[] = [];
    for (const [n, item] of this.items.entries()) {
      if (item.isDropped) continue;
      const { bytes, reference, guard } = item;
      code.push(...guard);
      const address = this.addresses[n]! + guard.length;
      const end = this.addresses[n + 1]!;
      if (item.isCode) written.push({ address, length: end - address });
      if (reference === undefined) code.push(...bytes);
      else if (reference.kind === 'absolute') {
        const out = [...bytes];
        out.splice(reference.at, 4, ...little(this.address(reference.label) + reference.offset));
        code.push(...out);
      } else {
        const distance = this.address(reference.label) - end;
        if (item.isShort && (distance < -128 || distance > 127)) return undefined;
        code.push(...(item.isShort ? reference.short! : bytes), ...little(distance, item.isShort ? 1 : 4));
      }
    }
    const patches = this.tables.map(({ address, labels }) => ({
      address,
      bytes: Uint8Array.from(labels.flatMap((label) => little(this.address(label)))),
    }));
    return { code: Uint8Array.from(code), patches, written };
  }

  /** The item whose instruction stood at an address, if there is one. */
  private itemAt(address: number): Item | undefined {
    const found = this.items.find(
      (item, n) => !item.isDropped && this.addresses[n]! + item.guard.length === address,
    );
    return found?.isCode ? found : undefined;
  }
  /** Puts code in front of the instruction that stood at an address; false if there is none, or one with a guard. */
  guard(address: number, bytes: readonly number[]): boolean {
    const item = this.itemAt(address);
    if (item === undefined || item.guard.length > 0) return false;
    item.guard = bytes;
    return true;
  }
  /** Leaves out the instruction that stood at an address; false if there is none. */
  drop(address: number): boolean {
    const item = this.itemAt(address);
    if (item === undefined || item.reference?.kind === 'jump') return false;
    item.isDropped = true;
    return true;
  }
}

/** The stores of the code in question, of the Host and of devices, and which of them are not the same in two machines. */
import {
  listenToHost,
  sameStore,
  storesOf,
  type CodeStore,
  type StoreRecord,
} from '../runtime/store-journal.js';
import { DEFAULT_EVERY, nextMultiple, Side, type CompareOptions, type Pair } from './compare.js';
import type { Location } from './compare-locate.js';
import { hex } from './errors.js';

/** Stores of one kind that are shown, and that are recorded. */
const MOST_SHOWN = 32;
const MOST_RECORDED = 10_000;

/** The stores that the code in question should make: those of the reference, evaluated. */
export function storesInQuestion(options: CompareOptions, { start, count }: Location): CodeStore[] {
  const { every = DEFAULT_EVERY } = options;
  const side = new Side(options, options.reference ?? 'interp');
  try {
    while (!side.ended && side.count < start) side.runTo(Math.min(start, nextMultiple(side.count, every)));
    if (side.ended) return [];
    const base = side.count - side.engine.instructions;
    return storesOf(side.engine, count - start).map((store) => ({ ...store, count: base + store.count }));
  } finally {
    side.machine.close();
  }
}

/** Bytes as a number is written, the most significant first; long ones shortened. */
function valueOf(bytes: Uint8Array): string {
  const MOST = 8;
  if (bytes.length > MOST)
    return `${Buffer.from(bytes.subarray(0, MOST)).toString('hex')}… (${bytes.length} bytes)`;
  return `0x${Buffer.from(bytes).reverse().toString('hex')}`;
}

/** A line for each store, with what memory holds in both machines; `*` where that is not the same. */
export function codeStoreLines(stores: readonly CodeStore[], { reference, subject }: Pair): string[] {
  return stores.slice(0, MOST_SHOWN).map(({ count, eip, linear, physical, bytes }) => {
    const [a, b] = [reference, subject].map(({ engine }) =>
      valueOf(engine.memory.view(physical, bytes.length)),
    );
    const words = [String(count).padStart(12), hex(eip).padStart(10), `[${hex(linear)}]`.padStart(12)];
    return `${a === b ? ' ' : '*'} ${words.join('  ')} = ${valueOf(bytes)}; then ${a}, ${b}`;
  });
}

/** Whether any of the stores is to one of the four bytes at a guest-physical address. */
export function isStoredTo(stores: readonly StoreRecord[], address: number): boolean {
  return stores.some(({ physical, bytes }) => physical < address + 4 && address < physical + bytes.length);
}

/** Listens to the Hosts of both machines of a pair. */
export class HostJournals {
  private readonly journals: readonly [StoreRecord[], StoreRecord[]];

  constructor(
    pair: Pair,
    private readonly names: readonly [string, string],
  ) {
    this.journals = [
      listenToHost(pair.reference.engine, MOST_RECORDED),
      listenToHost(pair.subject.engine, MOST_RECORDED),
    ];
  }

  /** What differs, a line each; and how many are the same. */
  lines(): string[] {
    const [a, b] = this.journals;
    const both = Math.min(a.length, b.length);
    let same = 0;
    while (same < both && sameStore(a[same]!, b[same]!)) same++;
    const line = (name: string, { count, physical, bytes }: StoreRecord): string =>
      `* ${String(count).padStart(12)}  ${name}: physical ${hex(physical)} = ${valueOf(bytes)}`;
    const different = this.journals.flatMap((journal, i) =>
      journal.slice(same, same + MOST_SHOWN / 2).map((store) => line(this.names[i]!, store)),
    );
    return same + different.length === 0 ? [] : [`  the same in both: ${same}`, ...different];
  }
}

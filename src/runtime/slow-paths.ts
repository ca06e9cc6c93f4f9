/**
 * What takes over when an inline TLB check misses, as IR functions inside the interpreter's module: accesses that fill
 * the TLB, page-crossing accesses, stores to pages with code. No JavaScript unless code was hit.
 */
import { type Builder, defineFunction } from '../ir/builder.js';
import type { IrFunction, Value } from '../ir/ir.js';
import type { Type } from '../ir/ops.js';
import { FOR_LOADS } from '../backend-wasm/data-tlb.js';
import { PAGE } from '../frontend-x86/limits.js';
import * as L from '../backend-wasm/memory-layout.js';
import { Code } from './ir-code.js';
import { CODE_WRITTEN, dataEntryOf, isInReach, TLB_FILL, TLB_FUNCTIONS } from './tlb-fill.js';

/** (physical address in control memory, bytes): tells the code cache if the bytes' lines hold code. */
export const NOTE_CODE_STORE = defineFunction(
  'note_code_store',
  ['i32', 'i32'],
  'void',
  false,
  (b, host, bytes) => {
    const c = new Code(b);
    const pa = c.add(host, -L.RAM);
    const pfn = c.shr(pa, 12);
    b.if(c.and(b.peek8(pfn, L.PAGE_FLAGS), L.PAGE_HAS_CODE), () => {
      b.put32(L.CODE_PAGE_STORES, c.add(b.get32(L.CODE_PAGE_STORES), 1));
      const lines = b.peek64(c.shl(pfn, 3), L.PAGE_LINES);
      const line = (at: Value): Value => {
        const number = b.pure('i64.extend_i32_u', c.and(c.shr(at, 6), 63));
        return b.pure('i64.and', b.pure('i64.shr_u', lines, number), b.const64(1n));
      };
      const last = b.pure('i32.add', pa, c.add(bytes, -1));
      b.if(b.pure('i64.ne', b.pure('i64.or', line(pa), line(last)), b.const64(0n)), () => {
        b.call(CODE_WRITTEN, pa, bytes);
      });
    });
  },
);

/** Nonzero if an access of `bytes` at the address crosses into the next page. */
function crosses(b: Builder, address: Value, bytes: number): Value {
  const c = new Code(b);
  return b.pure('i32.lt_u', c.k(4096 - bytes), c.and(address, 4095));
}

type Bits = 8 | 16 | 32 | 64;

function peekBits(b: Builder, bits: Bits, at: Value): Value {
  return bits === 8 ? b.peek8(at) : bits === 16 ? b.peek16(at) : bits === 32 ? b.peek32(at) : b.peek64(at);
}
function pokeBits(b: Builder, bits: Bits, at: Value, v: Value): void {
  if (bits === 8) b.poke8(at, v);
  else if (bits === 16) b.poke16(at, v);
  else if (bits === 32) b.poke32(at, v);
  else b.poke64(at, v);
}

function slowLoad(bits: Bits, byteLoad?: IrFunction): IrFunction {
  const type: Type = bits === 64 ? 'i64' : 'i32';
  return defineFunction(L.SLOW_PATH.load[bits], ['i32', 'i32'], type, true, (b, address, write) => {
    const c = new Code(b);
    if (byteLoad) {
      b.if(crosses(b, address, bits >> 3), () => {
        let sum: Value | undefined;
        for (let i = 0; i < bits >> 3; i++) {
          const byte = b.call(byteLoad, c.add(address, i), write);
          const wide = type === 'i64' ? b.pure('i64.extend_i32_u', byte) : byte;
          const shift = type === 'i64' ? b.const64(BigInt(8 * i)) : c.k(8 * i);
          const part = b.pure(`${type}.shl`, wide, shift);
          sum = sum === undefined ? part : b.pure(`${type}.or`, sum, part);
        }
        b.return(sum!);
      });
    }
    b.return(peekBits(b, bits, b.call(TLB_FILL, address, write)));
  });
}

function slowStore(bits: Bits): IrFunction {
  const type: Type = bits === 64 ? 'i64' : 'i32';
  return defineFunction(L.SLOW_PATH.store[bits], ['i32', type], 'void', true, (b, address, value) => {
    const c = new Code(b);
    const bytes = bits >> 3;
    const host = b.call(TLB_FILL, address, c.k(1));
    if (bytes > 1) {
      b.if(crosses(b, address, bytes), () => {
        // Both pages as they are before the first byte: the store may change how the second is mapped.
        const second = b.call(TLB_FILL, c.and(c.add(address, bytes - 1), -PAGE), c.k(1));
        const inFirst = b.pure('i32.sub', c.k(PAGE), c.and(address, PAGE - 1));
        const behind = b.pure('i32.sub', second, inFirst);
        for (let i = 0; i < bytes; i++) {
          const shift = type === 'i64' ? b.const64(BigInt(8 * i)) : c.k(8 * i);
          const part = b.pure(`${type}.shr_u`, value, shift);
          const isFirst = b.pure('i32.lt_u', c.k(i), inFirst);
          const at = c.add(b.pure('i32.select', isFirst, host, behind), i);
          b.poke8(at, type === 'i64' ? b.pure('i32.wrap_i64', part) : part);
          b.call(NOTE_CODE_STORE, at, c.k(1));
        }
        b.return();
      });
    }
    pokeBits(b, bits, host, value);
    b.call(NOTE_CODE_STORE, host, c.k(bytes));
    b.return();
  });
}

const slowProbe = defineFunction(L.SLOW_PATH.probe, ['i32', 'i32'], 'void', true, (b, address, bytes) => {
  const c = new Code(b);
  b.call(TLB_FILL, address, c.k(1));
  const last = c.and(c.add(b.pure('i32.add', address, bytes), -1), -4096);
  b.if(b.pure('i32.ne', last, c.and(address, -4096)), () => {
    b.call(TLB_FILL, last, c.k(1));
  });
  b.return();
});

const slowSpan = defineFunction(L.SLOW_PATH.span, ['i32', 'i32'], 'i32', false, (b, address, write) => {
  const c = new Code(b);
  const distance = b.peek32(c.sum(dataEntryOf(b, address), c.shl(write, 2)), FOR_LOADS);
  const hit = isInReach(b, c.sum(address, distance));
  const bytes = b.pure('i32.sub', c.k(4096), c.and(address, 4095));
  b.return(b.pure('i32.select', hit, bytes, c.k(0)));
});

const load8 = slowLoad(8);

/** All of them; those that inline code calls have the names of `SLOW_PATH`. */
export const SLOW_PATHS: readonly IrFunction[] = [
  ...TLB_FUNCTIONS,
  NOTE_CODE_STORE,
  load8,
  slowLoad(16, load8),
  slowLoad(32, load8),
  slowLoad(64, load8),
  slowStore(8),
  slowStore(16),
  slowStore(32),
  slowStore(64),
  slowProbe,
  slowSpan,
];

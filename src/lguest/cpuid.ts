/**
 * The processor that `cpuid` describes (Intel SDM vol. 2A, CPUID): a feature is told only when it works. SEP stays
 * hidden for good: SYSENTER goes to privilege level 0, where no lguest guest may be.
 */

/** Bits of leaf 1 edx. */
export const CPUID_EDX = {
  fpu: 0,
  tsc: 4,
  pae: 6,
  cx8: 8,
  cmov: 15,
  mmx: 23,
  fxsr: 24,
  sse: 25,
  sse2: 26,
} as const;

export type CpuFeature = keyof typeof CPUID_EDX;

/** What is told unless an option says otherwise. */
export const DEFAULT_FEATURES: readonly CpuFeature[] = ['fpu', 'tsc', 'pae', 'cx8', 'cmov', 'fxsr'];

export type CpuidResult = readonly [eax: number, ebx: number, ecx: number, edx: number];

/** Family 5: its setup code in Linux touches no model-specific registers. */
const SIGNATURE = 0x543;
const MAX_BASIC_LEAF = 5;
const MAX_EXTENDED_LEAF = 0x80000004;
const BRAND = 'lguest-jit virtual CPU';

function word(text: string, at: number): number {
  let value = 0;
  for (let i = 3; i >= 0; i--) value = (value << 8) | (text.charCodeAt(at + i) || 0);
  return value >>> 0;
}

const NOTHING: CpuidResult = [0, 0, 0, 0];

/** The function from (leaf, subleaf) to registers. Leaves beyond the highest give zeros. */
export function cpuidPolicy(
  features: readonly CpuFeature[] = DEFAULT_FEATURES,
): (leaf: number) => CpuidResult {
  const vendor = 'GenuineIntel';
  let edx = 0;
  for (const feature of features) edx |= 1 << CPUID_EDX[feature];
  const leaves = new Map<number, CpuidResult>([
    [0, [MAX_BASIC_LEAF, word(vendor, 0), word(vendor, 8), word(vendor, 4)]],
    [1, [SIGNATURE, 0, 0, edx >>> 0]],
    [2, [1, 0, 0, 0]], // one query is enough; no cache descriptors
    [0x80000000, [MAX_EXTENDED_LEAF, 0, 0, 0]],
  ]);
  for (let i = 0; i < 3; i++) {
    const at = 16 * i;
    leaves.set(0x80000002 + i, [
      word(BRAND, at),
      word(BRAND, at + 4),
      word(BRAND, at + 8),
      word(BRAND, at + 12),
    ]);
  }
  return (leaf) => leaves.get(leaf >>> 0) ?? NOTHING;
}

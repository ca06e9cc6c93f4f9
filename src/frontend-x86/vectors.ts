/** Exception vectors of the processor (Intel SDM vol. 3, table 6-1). */
export const VECTOR = {
  DE: 0,
  DB: 1,
  BR: 5,
  UD: 6,
  NM: 7,
  NP: 11,
  SS: 12,
  GP: 13,
  PF: 14,
  MF: 16,
  XM: 19,
} as const;

/* Hypercalls as inline functions. */
#ifndef HYPERCALLS_H
#define HYPERCALLS_H
#include "lguest.h"

static inline u32 hcall4(u32 number, u32 a, u32 b, u32 c, u32 d) {
  asm volatile("int $0x1f" : "+a"(number) : "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
  return number;
}
static inline u32 hcall3(u32 number, u32 a, u32 b, u32 c) {
  asm volatile("int $0x1f" : "+a"(number) : "b"(a), "c"(b), "d"(c) : "memory");
  return number;
}
static inline u32 hcall2(u32 number, u32 a, u32 b) { return hcall3(number, a, b, 0); }
static inline u32 hcall1(u32 number, u32 a) { return hcall3(number, a, 0, 0); }
static inline u32 hcall0(u32 number) { return hcall3(number, 0, 0, 0); }
#endif

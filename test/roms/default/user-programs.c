#include "user-programs.h"

enum { SYS_EXIT = 1, SYS_GETPID = 20 };

static u32 system_call(u32 number, u32 a) {
  asm volatile("int $0x80" : "+a"(number) : "b"(a) : "memory");
  return number;
}

void user_getpid(u32 argument) {
  u32 sum = 0;
  for (u32 i = 0; i < argument; i++) sum += system_call(SYS_GETPID, 0);
  system_call(SYS_EXIT, sum != argument);
}

void user_touch(u32 argument) {
  volatile u32 *page = (u32 *)0x10000000;
  u32 wrong = 0;
  for (u32 i = 0; i < argument; i++) {
    wrong |= page[i * 1024 + 7]; /* the first touch reads a zero, */
    page[i * 1024 + 7] = i;      /* the second one makes it dirty */
  }
  for (u32 i = 0; i < argument; i++) wrong |= page[i * 1024 + 7] ^ i;
  system_call(SYS_EXIT, wrong);
}

void user_modify(u32 argument) {
  /* mov $imm32, %eax; ret */
  static u8 code[16] = {0xb8, 0, 0, 0, 0, 0xc3};
  u32 wrong = 0;
  for (u32 i = 0; i < argument; i++) {
    *(volatile u32 *)(code + 1) = i;
    asm volatile("" ::: "memory");
    u32 result;
    asm volatile("call *%1" : "=a"(result) : "r"(code) : "memory");
    wrong |= result ^ i;
  }
  system_call(SYS_EXIT, wrong);
}

void user_spin(u32 argument) {
  u32 x = 1;
  for (u32 i = 0; i < argument; i++) {
    x = x * 1664525 + 1013904223;
    asm volatile("" : "+r"(x));
  }
  /* The same sequence by jumping ahead: x → a·x + c, squared bit by bit. */
  u32 a = 1664525, c = 1013904223, y = 1;
  for (u32 n = argument; n; n >>= 1) {
    if (n & 1) y = a * y + c;
    c = c * (a + 1);
    a = a * a;
  }
  system_call(SYS_EXIT, x != y);
}

void user_hypercall(u32 argument) {
  asm volatile("int $0x1f" : "+a"(argument) : "b"(0), "c"(1));
  system_call(SYS_EXIT, 1);
}

void user_trespass(u32 argument) {
  *(volatile u32 *)0xc0100000 = argument;
  system_call(SYS_EXIT, 1);
}

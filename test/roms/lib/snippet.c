#include "snippet.h"

void expect_trap(void (*snippet)(void *), const char *title, u32 argument, u32 vector, u32 error, const void *where) {
  struct catch c;
  if (!catch_trap(&c, snippet, (void *)argument)) {
    check(title, 0);
    printf("  no trap\n");
    return;
  }
  int good = c.regs.vector == vector && c.regs.error == error && c.regs.eip == (u32)where;
  check(title, good);
  if (!good) printf("  trap %u error %x eip %08x, should be %08x\n", c.regs.vector, c.regs.error, c.regs.eip, (u32)where);
}

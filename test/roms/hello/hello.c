/* The smallest rom: memory, gates, a trap, early console, power off. */
#include "../lib/kernel.h"

static void on_breakpoint(struct regs *regs) { printf("hello: trap %u at ring %u\n", regs->vector, regs->cs & 3); }

void rom_main(void) {
  printf("hello: paging is on\n");
  set_trap_handler(3, on_breakpoint);
  asm volatile("int3");
  printf("Hello from an lguest guest with %u MiB\n", ram_bytes >> 20);
}

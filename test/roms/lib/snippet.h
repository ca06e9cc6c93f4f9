/* Checks of single instructions in ring 1. */
#ifndef SNIPPET_H
#define SNIPPET_H
#include "kernel.h"

/* A function in assembly with its argument in ecx; <name>_at is where `code` starts, <name>_end where it ends. */
#define SNIPPET(name, code)                                                                             \
  extern char name##_at[], name##_end[];                                                                \
  void name(void *argument);                                                                            \
  asm(".text\n.globl " #name "\n" #name ":\n mov 4(%esp), %ecx\n" #name "_at: " code "\n" #name "_end: ret\n")

/* Runs the snippet, expects a trap with this vector and error code, reported at eip `where`. */
#define EXPECT_TRAP(name, title, argument, expected_vector, expected_error, where)                     \
  do {                                                                                                  \
    struct catch c_;                                                                                    \
    int trapped_ = catch_trap(&c_, name, (void *)(argument));                                           \
    if (trapped_ && c_.regs.vector == (expected_vector) && c_.regs.error == (u32)(expected_error) &&    \
        c_.regs.eip == (u32)(where))                                                                    \
      check(title, 1);                                                                                  \
    else if (trapped_)                                                                                  \
      check(title, 0), printf("  trap %u error %x at %s%x\n", c_.regs.vector, c_.regs.error,            \
                              c_.regs.eip < (u32)(where) ? "-" : "+",                                   \
                              c_.regs.eip < (u32)(where) ? (u32)(where)-c_.regs.eip : c_.regs.eip - (u32)(where)); \
    else                                                                                                \
      check(title, 0), printf("  no trap\n");                                                           \
  } while (0)
#define EXPECT_FAULT(name, title, argument, vector, error) EXPECT_TRAP(name, title, argument, vector, error, name##_at)
#endif

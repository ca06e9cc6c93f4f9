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
void expect_trap(void (*snippet)(void *), const char *title, u32 argument, u32 vector, u32 error, const void *where);
#define EXPECT_TRAP(name, title, argument, vector, error, where) \
  expect_trap(name, title, (u32)(argument), vector, error, (const void *)(where))
#define EXPECT_FAULT(name, title, argument, vector, error) EXPECT_TRAP(name, title, argument, vector, error, name##_at)
#endif

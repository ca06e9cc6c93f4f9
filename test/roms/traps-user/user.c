#include "../lib/lguest.h"
#define NAMES(name, code)                                                                                     \
  asm(".text\n.globl " #name ", " #name "_at, " #name "_end\n" #name ": mov 4(%esp), %ecx\n" #name "_at: " code "\n" #name \
      "_end: int $0x80\n");
#include "snippets.h"
u32 user_data[4] __attribute__((used)) = {1, 2, 3, 4};

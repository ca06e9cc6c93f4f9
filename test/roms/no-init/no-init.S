/* A guest whose first hypercall is not LGUEST_INIT. */
  .section .text.entry, "ax"
  .globl entry
entry:
  mov $10, %eax
  int $0x1f
0:
  jmp 0b

/*
 * Entry, trap entries and the way into ring 3.
 *
 * The Launcher starts us at `entry`, at its physical address, in linear mode (virtual = physical): until the first
 * NEW_PGTABLE, symbols must be used minus PAGE_OFFSET.
 */
#define __ASSEMBLER__ 1
#include "lguest.h"
#define PHYS(symbol) ((symbol) - PAGE_OFFSET)

  .section .text.entry, "ax"
  .globl entry
entry:
  mov $HC_INIT, %eax
  mov $PHYS(lguest_data), %ebx
  int $0x1f

  /* One table maps the first 4 MiB, entered at 0 (where we run) and at PAGE_OFFSET (where we go). */
  mov $PHYS(boot_table), %edi
  mov $0x63, %eax
  mov $1024, %ecx
1:
  mov %eax, (%edi)
  add $4, %edi
  add $PAGE_SIZE, %eax
  dec %ecx
  jnz 1b
  movl $PHYS(boot_table) + 0x63, PHYS(kernel_directory)
  movl $PHYS(boot_table) + 0x63, PHYS(kernel_directory) + (PAGE_OFFSET >> 20)
  mov $HC_NEW_PGTABLE, %eax
  mov $PHYS(kernel_directory), %ebx
  int $0x1f
  mov $kernel_stack_top, %esp
  xor %ebp, %ebp
  mov $kernel_main, %eax
  call *%eax
0:
  mov $HC_HALT, %eax
  int $0x1f
  jmp 0b

/*
 * Entries of 16 bytes for vectors 0..63, and one for the system call vector. The CPU pushed an error code for vectors
 * 8, 10..14 and 17; the others push a zero.
 */
  .text
  .balign 16
  .globl trap_entries
trap_entries:
vector = 0
  .rept 65
  .balign 16
  .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)
  pushl $0
  .endif
  .if vector == 64
  pushl $SYSCALL_VECTOR
  .else
  pushl $vector
  .endif
  jmp trap_common
  vector = vector + 1
  .endr

/* Here esp points at vector, error, eip, cs, eflags [, esp, ss]: the upper part of struct regs (kernel.h). */
trap_common:
  pusha
  push %ds
  push %es
  push %fs
  push %gs
  cld
  mov $KERNEL_DS, %eax
  mov %eax, %ds
  mov %eax, %es
  testb $2, 60(%esp)
  jnz from_user
  push %esp
  call kernel_trap
  add $4, %esp
return_from_trap:
  pop %gs
  pop %fs
  pop %es
  pop %ds
  popa
  add $8, %esp
/* iret does not restore the virtual interrupt flag: copy it, without an interrupt in between. */
  push %eax
  mov 12(%esp), %eax
  .globl noirq_begin, noirq_limit
noirq_begin:
  mov %eax, %ss:lguest_data
  pop %eax
  iret
noirq_limit:

/* A trap from ring 3 pushed everything into the struct user: user_run() returns. */
from_user:
  mov kernel_esp, %esp
  pop %ebp
  pop %edi
  pop %esi
  pop %ebx
  ret

/* void user_enter(struct regs *regs): runs ring 3 until it traps. */
  .globl user_enter
user_enter:
  mov 4(%esp), %eax
  push %ebx
  push %esi
  push %edi
  push %ebp
  movl $0, lguest_data
  mov %esp, kernel_esp
  mov %eax, %esp
  jmp return_from_trap

/*
 * int catch_enter(struct catch *c, void (*f)(void *), void *argument): calls f; returns 0, or 1 if a trap ended it.
 */
  .globl catch_enter, catch_leave
catch_enter:
  mov 4(%esp), %eax
  mov 8(%esp), %ecx
  mov 12(%esp), %edx
  push %ebx
  push %esi
  push %edi
  push %ebp
  mov %esp, (%eax)
  push %edx
  call *%ecx
  add $4, %esp
  xor %eax, %eax
  jmp 2f
/* void catch_leave(struct catch *c): the trap handler's way out. */
catch_leave:
  mov 4(%esp), %eax
  mov (%eax), %esp
  mov $1, %eax
2:
  pop %ebp
  pop %edi
  pop %esi
  pop %ebx
  ret

/* Every user image starts with a system call stub: eax = number, ebx, ecx, edx = arguments, as gcc's inline asm likes. */
  .section .user.entry, "ax"
  .globl user_syscall
user_syscall:
  int $SYSCALL_VECTOR
  ret

  .bss
  .balign 4
kernel_esp:
  .long 0
  .section .bss.page_aligned, "aw", @nobits
  .balign 4096
  .globl kernel_directory, boot_table, kernel_stack_top
kernel_directory:
  .skip 4096
boot_table:
  .skip 4096
  .skip 16384
kernel_stack_top:


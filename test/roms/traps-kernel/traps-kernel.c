/* Every exception that ring 1 can raise, with its error code and the eip it reports. */
#include "../lib/snippet.h"

SNIPPET(divide_zero, "xor %eax, %eax; xor %edx, %edx; divide_zero_op: divl %eax");
SNIPPET(divide_overflow, "mov $0x80000000, %eax; cdq; mov $-1, %ecx; divide_overflow_op: idivl %ecx");
extern char divide_zero_op[], divide_overflow_op[], step_first[], step_second[], bound_op[], overflow_op[];
SNIPPET(breakpoint, "int3");
SNIPPET(breakpoint_long, ".byte 0xcd, 3");
SNIPPET(overflow, "mov $0x7fffffff, %eax; inc %eax; overflow_op: into");
SNIPPET(no_overflow, "xor %eax, %eax; into");
SNIPPET(bound, "mov $7, %eax; bound_op: bound %eax, (%ecx)");
SNIPPET(undefined, "ud2");
SNIPPET(undefined_lock, ".byte 0xf0, 0x89, 0xc0"); /* lock mov */
SNIPPET(x87, "fnop");
SNIPPET(wait, "fwait");
SNIPPET(halt_instruction, "hlt");
SNIPPET(load_idt, "lidt (%ecx)");
SNIPPET(read_cr0, "mov %cr0, %eax");
SNIPPET(write_cr3, "mov %eax, %cr3");
SNIPPET(read_msr, "rdmsr");
SNIPPET(set_interrupts, "sti");
SNIPPET(invalidate, "invlpg (%ecx)");
SNIPPET(bad_selector, "mov %cx, %es");
SNIPPET(bad_stack_selector, "mov %cx, %ss");
SNIPPET(code_in_fs, "mov %cx, %fs; movb $1, %fs:0");
SNIPPET(read_byte, "movb (%ecx), %al");
SNIPPET(write_byte, "movb %al, (%ecx)");
SNIPPET(modify_byte, "incb (%ecx)");
SNIPPET(compare_exchange, "mov $1, %eax; cmpxchg %edx, (%ecx)");
SNIPPET(jump_there, "jmp *%ecx");
SNIPPET(interrupt_privileged, "int $0x0d");
SNIPPET(interrupt_irq, "int $0x21");
SNIPPET(interrupt_nothing, "int $0x90");
SNIPPET(single_step, "pushf; orl $0x100, (%esp); popf; step_first: nop; step_second: nop");
SNIPPET(step_string, "push %edi; mov %ecx, %edi; mov $3, %ecx; pushf; orl $0x100, (%esp); popf; "
                     "step_string_op: rep stosb; nop; pop %edi");
extern char step_string_op[];
SNIPPET(ice_breakpoint, ".byte 0xf1");
SNIPPET(port_in, "mov $0x12345678, %eax; in $0x80, %al; mov %eax, (%ecx)");
SNIPPET(port_in_dx, "mov $0x64, %edx; in %dx, %eax; mov %eax, (%ecx)");
SNIPPET(port_out, "out %al, $0x80; movl $1, (%ecx)");
SNIPPET(clear_interrupts, "cli; movl $1, (%ecx)");
SNIPPET(flags_read, "pushf; pop %eax; mov %eax, (%ecx)");
SNIPPET(flags_write, "push $0x3002; popf; pushf; pop %eax; mov %eax, (%ecx)");
SNIPPET(string_bytes, "push %esi; push %edi; push %ecx; mov (%ecx), %esi; mov 4(%ecx), %edi; mov 8(%ecx), %ecx; "
                      "string_op: rep movsb; pop %ecx; pop %edi; pop %esi");
SNIPPET(write_dword, "mov %eax, (%ecx)");
SNIPPET(add_dword, "addl $1, (%ecx)");
SNIPPET(return_to_ring_0, "push $0x200; push $0x60; push $0; return_op: iret");
extern char string_op[], return_op[];

static volatile u32 seen_irq_enabled, seen_eflags, hits;
static void on_breakpoint(struct regs *regs) {
  hits++;
  seen_irq_enabled = lguest_data.irq_enabled;
  seen_eflags = regs->eflags;
}
static u32 stepped[4], stepped_ecx[4], steps_wanted = 2;
static void on_debug(struct regs *regs) {
  if (hits < 4) stepped[hits] = regs->eip, stepped_ecx[hits] = regs->ecx;
  hits++;
  if (hits == steps_wanted) regs->eflags &= ~FLAG_TF;
}

static void exceptions(void) {
  static const int limits[2] = {-2, 5};
  EXPECT_TRAP(divide_zero, "divide by zero", 0, 0, 0, divide_zero_op);
  EXPECT_TRAP(divide_overflow, "division overflow", 0, 0, 0, divide_overflow_op);
  EXPECT_TRAP(breakpoint, "int3", 0, 3, 0, breakpoint_at + 1);
  EXPECT_TRAP(breakpoint_long, "int 3", 0, 3, 0, breakpoint_long_at + 2);
  EXPECT_TRAP(overflow, "into with overflow", 0, 4, 0, overflow_op + 1);
  struct catch c;
  check("into without overflow", !catch_trap(&c, no_overflow, 0));
  EXPECT_TRAP(bound, "bound", limits, 5, 0, bound_op);
  EXPECT_FAULT(undefined, "ud2", 0, 6, 0);
  EXPECT_FAULT(undefined_lock, "lock on mov", 0, 6, 0);
  hcall1(HC_TS, 8);
  EXPECT_FAULT(x87, "x87 with TS", 0, 7, 0);
  EXPECT_FAULT(wait, "fwait with TS", 0, 7, 0);
  hcall1(HC_TS, 0);
  check("x87 without TS", !catch_trap(&c, x87, 0));
}

static void protection(void) {
  static u32 memory[4];
  EXPECT_FAULT(halt_instruction, "hlt", 0, 13, 0);
  EXPECT_FAULT(load_idt, "lidt", memory, 13, 0);
  EXPECT_FAULT(read_cr0, "mov from cr0", 0, 13, 0);
  EXPECT_FAULT(write_cr3, "mov to cr3", 0, 13, 0);
  EXPECT_FAULT(read_msr, "rdmsr", 0, 13, 0);
  EXPECT_FAULT(set_interrupts, "sti", 0, 13, 0);
  EXPECT_FAULT(invalidate, "invlpg", memory, 13, 0);
  EXPECT_FAULT(bad_selector, "selector beyond the table", 0x1001, 13, 0x1000);
  EXPECT_FAULT(bad_selector, "selector of the local table", 0x0c, 13, 0x0c);
  EXPECT_FAULT(bad_stack_selector, "null stack selector", 0, 13, 0);
  EXPECT_FAULT(bad_stack_selector, "stack selector of ring 3", 0x7b, 13, 0x78);
  set_gdt_entry(20, 0x0000ffff, 0x00cf1300); /* data, not present */
  EXPECT_FAULT(bad_selector, "segment not present", 20 * 8 + 1, 11, 20 * 8);
  EXPECT_FAULT(bad_stack_selector, "stack segment not present", 20 * 8 + 1, 12, 20 * 8);
  EXPECT_TRAP(code_in_fs, "store through a code segment", 0x61, 13, 0, code_in_fs_at + 2);
  EXPECT_TRAP(return_to_ring_0, "iret to ring 0", 0, 13, 0x60, return_op);
  /* int n looks at the gate: what is not the guest's, or not a trap, is closed to every ring. */
  EXPECT_FAULT(interrupt_privileged, "int 13", 0, 13, 13 * 8 + 2);
  EXPECT_FAULT(interrupt_irq, "int 0x21", 0, 13, 0x21 * 8 + 2);
  EXPECT_FAULT(interrupt_nothing, "int without a gate", 0, 13, 0x90 * 8 + 2);
}

static void page_faults(void) {
  u32 nowhere = 0xe0000010;
  struct catch c;
  EXPECT_FAULT(read_byte, "read of nothing", nowhere, 14, 0);
  check_equal("its address", lguest_data.cr2, nowhere);
  EXPECT_FAULT(write_byte, "write to nothing", nowhere + 1, 14, 2);
  EXPECT_FAULT(modify_byte, "modify nothing", nowhere + 2, 14, 2);
  EXPECT_TRAP(jump_there, "jump to nowhere", nowhere, 14, 0, nowhere);
  u8 *page = page_alloc();
  u32 address = 0xe1000000;
  map(kernel_directory, address, phys_of(page) | PTE_P);
  page[0] = 41;
  check("read of a read-only page", !catch_trap(&c, read_byte, (void *)address) && page[0] == 41);
  EXPECT_FAULT(write_byte, "write to a read-only page", address, 14, 3);
  EXPECT_FAULT(modify_byte, "modify a read-only page", address, 14, 3);
  EXPECT_TRAP(compare_exchange, "compare and exchange on a read-only page", address, 14, 3, compare_exchange_at + 5);
  check_equal("the page is as it was", page[0], 41);
  /* The second page of the pair is missing: nothing of the access may happen. */
  map(kernel_directory, address, phys_of(page) | PTE_P | PTE_W);
  page[4094] = page[4095] = 7;
  EXPECT_FAULT(write_dword, "write across the end", address + PAGE_SIZE - 2, 14, 2);
  EXPECT_FAULT(add_dword, "modify across the end", address + PAGE_SIZE - 2, 14, 2);
  check("it wrote nothing", page[4094] == 7 && page[4095] == 7);
  check_equal("the address is the second page", lguest_data.cr2, address + PAGE_SIZE);
  u32 copy[3] = {(u32)command_line & ~4095u, address + PAGE_SIZE - 10, 100};
  int trapped = catch_trap(&c, string_bytes, copy);
  check("rep movs stops at the missing page", trapped && c.regs.vector == 14 && c.regs.eip == (u32)string_op);
  check("with its registers after 10 bytes", c.regs.ecx == 90 && c.regs.edi == address + PAGE_SIZE &&
                                                c.regs.esi == copy[0] + 10 && c.cr2 == address + PAGE_SIZE);
}

static void emulated(void) {
  static u32 result;
  struct catch c;
  check("in al", !catch_trap(&c, port_in, &result) && result == 0x123456ff);
  check("in eax, dx", !catch_trap(&c, port_in_dx, &result) && result == 0xffffffff);
  result = 0;
  check("out", !catch_trap(&c, port_out, &result) && result == 1);
  result = 0;
  check("cli is skipped", !catch_trap(&c, clear_interrupts, &result) && result == 1);
  check("and leaves the virtual flag alone", (lguest_data.irq_enabled & FLAG_IF) != 0);
  flags_read(&result);
  check("pushf shows IF", (result & 0x3200) == FLAG_IF);
  flags_write(&result);
  check("popf keeps IF and IOPL", (result & 0x3200) == FLAG_IF);
}

static void gates(void) {
  set_trap_handler(3, on_breakpoint);
  asm volatile("int3");
  check("an interrupt gate clears the virtual flag", hits == 1 && !(seen_irq_enabled & FLAG_IF));
  check("the saved flags show it", (seen_eflags & FLAG_IF) != 0);
  check("iret brings it back", (lguest_data.irq_enabled & FLAG_IF) != 0);
  set_gate(3, GATE_TRAP, 3, 1);
  asm volatile("int3");
  check("a trap gate leaves it", hits == 2 && (seen_irq_enabled & FLAG_IF));
  u32 was = irq_save();
  asm volatile("int3");
  check("saved flags without it", hits == 3 && !(seen_eflags & FLAG_IF));
  irq_restore(was);
  set_gate(3, GATE_INTERRUPT, 3, 1);

  hits = 0;
  set_trap_handler(1, on_debug);
  single_step(0);
  check_equal("single steps", hits, 2);
  check_equal("the first after the next instruction", stepped[0], (u32)step_second);
  check_equal("the second likewise", stepped[1], (u32)step_second + 1);
  static u8 bytes[4];
  hits = 0, steps_wanted = 4;
  step_string(bytes);
  check("a step for each turn of a rep", hits == 4 && stepped_ecx[0] == 2 && stepped_ecx[1] == 1 && stepped_ecx[2] == 0);
  check("at the rep until it is done", stepped[0] == (u32)step_string_op && stepped[1] == (u32)step_string_op &&
                                           stepped[2] == (u32)step_string_op + 2);
  hits = 0;
  ice_breakpoint(0);
  check("icebp", hits == 1 && stepped[0] == (u32)ice_breakpoint_end);
}

void rom_main(void) {
  exceptions();
  protection();
  page_faults();
  emulated();
  gates();
}

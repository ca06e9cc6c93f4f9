/* What ring 3 may and may not do, and what the kernel gets to see of it. */
#include "../lib/process.h"
#define NAMES(name, code)                 \
  extern char name##_at[], name##_end[];  \
  void name(u32 argument);
#include "snippets.h"
#undef NAMES

static struct process p;

/* Runs a snippet up to its first trap that is no interrupt. */
static struct regs *run(void (*entry)(u32), u32 argument) {
  if (p.user) process_free(&p);
  process_start(&p, entry, argument);
  while (user_run(p.user) >= 32 && p.user->regs.vector < 64) continue;
  return &p.user->regs;
}

static void expect(const char *title, void (*entry)(u32), u32 argument, u32 vector, u32 error, u32 eip) {
  struct regs *r = run(entry, argument);
  int good = r->vector == vector && r->error == error && r->eip == eip && r->cs == USER_CS && r->ss == USER_DS;
  check(title, good);
  if (!good) printf("  trap %u error %x eip %x (expected %x) cs %x\n", r->vector, r->error, r->eip, eip, r->cs);
}
#define FAULT(title, name, argument, vector, error) expect(title, name, argument, vector, error, (u32)name##_at)

static void exceptions(void) {
  expect("divide by zero", u_divide, 0, 0, 0, (u32)u_divide_end - 2);
  expect("int3", u_breakpoint, 0, 3, 0, (u32)u_breakpoint_end);
  expect("int 4", u_int_overflow, 0, 4, 0, (u32)u_int_overflow_end);
  expect("icebp", u_icebp, 0, 1, 0, (u32)u_icebp_end);
  FAULT("ud2", u_undefined, 0, 6, 0);
  FAULT("vmcall", u_vmcall, 0, 6, 0);
  expect("hypercall", u_hypercall, 0, 13, 0xfa, (u32)u_hypercall_end - 2);
  FAULT("int 14", u_int_page_fault, 0, 13, 14 * 8 + 2);
  FAULT("int 0x20", u_int_irq, 0, 13, 0x20 * 8 + 2);
  FAULT("int 0", u_int_divide, 0, 13, 2);
  FAULT("int 0x90", u_int_nothing, 0, 13, 0x90 * 8 + 2);
  FAULT("hlt", u_halt, 0, 13, 0);
  FAULT("cli", u_cli, 0, 13, 0);
  FAULT("in", u_in, 0, 13, 0);
  FAULT("out", u_out, 0, 13, 0);
  expect("kernel data selector", u_kernel_data, 0, 13, 0x68, (u32)u_kernel_data_end - 2);
  hcall1(HC_TS, 8);
  FAULT("x87 with TS", u_x87, 0, 7, 0);
  hcall1(HC_TS, 0);
  expect("x87 without TS", u_x87, 0, 0x80, 0, (u32)u_x87_end + 2);
}

static void memory(void) {
  FAULT("read of nothing", u_read, 0x30000000, 14, 4);
  check_equal("its address", p.user->cr2, 0x30000000);
  FAULT("write to nothing", u_write, 0x30000004, 14, 6);
  FAULT("modify nothing", u_modify, 0x30000008, 14, 6);
  expect("jump to nowhere", u_jump, 0x3000000c, 14, 4, 0x3000000c);
  FAULT("read of the kernel", u_read, PAGE_OFFSET + 0x100000, 14, 5);
  FAULT("write to the kernel", u_write, PAGE_OFFSET + 0x100000, 14, 7);
  expect("jump to the kernel", u_jump, PAGE_OFFSET + 0x100000, 14, 5, PAGE_OFFSET + 0x100000);
  FAULT("the null page", u_read, 0, 14, 4);
  /* Half of what is pushed would fit: nothing may change. */
  u32 bottom = USER_STACK_TOP - 4 * PAGE_SIZE;
  struct regs *r;
  expect("push across the stack's end", u_push, bottom + 2, 14, 6, (u32)u_push_end - 1);
  check("esp and memory are as they were", p.user->regs.esp == bottom + 2 && !(process_peek(&p, bottom) & 0xffff));
  expect("call across the stack's end", u_call, bottom + 2, 14, 6, (u32)u_call_end - 5);
  check_equal("its esp", p.user->regs.esp, bottom + 2);
  expect("pusha across the stack's end", u_push_all, bottom + 12, 14, 6, (u32)u_push_all_end - 1);
  check_equal("its esp", p.user->regs.esp, bottom + 12);
  expect("pop to nothing", u_pop_memory, 0x30000000, 14, 6, (u32)u_pop_memory_end - 2);
  r = &p.user->regs;
  check_equal("its esp", r->esp, USER_STACK_TOP - 12);
}

static void state(void) {
  struct regs *r = run(u_registers, 0);
  check("registers", r->vector == 0x80 && r->eax == 1 && r->ecx == 2 && r->edx == 3 && r->ebx == 4 && r->ebp == 5 &&
                         r->esi == 6 && r->edi == 7);
  check_equal("the stack pointer", r->esp, USER_STACK_TOP - 8);
  check("the flags show IF", (r->eflags & 0x3200) == FLAG_IF);
  check("the data segments", r->ds == USER_DS && r->es == USER_DS);
  r = run(u_flags, 0);
  check("popf keeps IF and IOPL", (r->eax & 0x3200) == FLAG_IF);
  r = run(u_step, 0);
  check("single step", r->vector == 1 && r->eip == (u32)u_step_end - 1 && (r->eflags & FLAG_TF));
  user_run(p.user);
  check("and the next", r->vector == 1 && r->eip == (u32)u_step_end);
  r->eflags &= ~FLAG_TF;
  user_run(p.user);
  check("and on", r->vector == 0x80);

  /* iret to ring 3 takes away what ring 3 may not have. */
  process_free(&p);
  process_start(&p, u_registers, 0);
  p.user->regs.fs = KERNEL_DS;
  p.user->regs.gs = USER_DS;
  user_run(p.user);
  check("iret clears a kernel selector", p.user->regs.vector == 0x80 && p.user->regs.fs == 0);
  check("and leaves a user selector", p.user->regs.gs == USER_DS);
}

void rom_main(void) {
  exceptions();
  memory();
  state();
}

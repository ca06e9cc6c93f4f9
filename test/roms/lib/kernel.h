/* The small kernel under every rom: memory, traps, interrupts, ring 3. */
#ifndef KERNEL_H
#define KERNEL_H
#include "hypercalls.h"
#include "print.h"

extern struct lguest_data lguest_data;
extern u32 kernel_directory[1024];
/* Bytes of RAM (the first e820 entry) and the kernel command line. */
extern u32 ram_bytes;
extern const char *command_line;

/* What each rom provides. When it returns the machine is powered off. */
void rom_main(void);

/* ---- Memory. Every physical page of RAM is mapped at PAGE_OFFSET. */
static inline u32 phys_of(const volatile void *p) { return (u32)p - PAGE_OFFSET; }
static inline void *virt_of(u32 physical) { return (void *)(physical + PAGE_OFFSET); }
/* A zeroed page; dies when RAM is used up. */
void *page_alloc(void);
void page_free(void *page);
/* Enters physical | flags for `address` into `directory` (tables are made as needed) and tells the Host. */
void map(u32 *directory, u32 address, u32 entry);
/* The entry for `address`, or 0 if there is no table. */
volatile u32 *pte_of(u32 *directory, u32 address);
void flush_page(u32 *directory, u32 address);
/* A new address space that shares the kernel's part. */
u32 *directory_new(void);
void directory_free(u32 *directory);
void directory_switch(u32 *directory);
extern u32 *current_directory;

/* ---- Traps. The order in which start.S pushes. esp and ss only after a trap from ring 3. */
struct regs {
  u32 gs, fs, es, ds;
  u32 edi, esi, ebp, unused_esp, ebx, edx, ecx, eax;
  u32 vector, error;
  u32 eip, cs, eflags, esp, ss;
};
typedef void (*trap_handler)(struct regs *regs);
/* Called with virtual interrupts off. A handler may change the registers it returns to. */
void set_trap_handler(u32 vector, trap_handler handler);
/* Loads (or, with present 0, removes) an IDT gate that leads to the common handler. */
enum { GATE_INTERRUPT = 0xe, GATE_TRAP = 0xf };
void set_gate(u32 vector, u32 type, u32 dpl, u32 present);
void set_gdt_entry(u32 index, u32 low, u32 high);

/* ---- Catching: run f and learn about the trap, if any, that ended it. */
struct catch {
  u32 esp;
  struct regs regs;
  u32 cr2;
};
int catch_trap(struct catch *c, void (*f)(void *), void *argument);

/* ---- Interrupts. */
typedef void (*irq_handler)(void);
void set_irq_handler(u32 irq, irq_handler handler); /* and unblocks it */
void irq_block(u32 irq);
extern volatile u32 irq_counts[32];
static inline u32 irq_save(void) {
  u32 was = lguest_data.irq_enabled;
  lguest_data.irq_enabled = 0;
  asm volatile("" ::: "memory");
  return was;
}
static inline void irq_restore(u32 was) {
  asm volatile("" ::: "memory");
  lguest_data.irq_enabled = was;
  if ((was & FLAG_IF) && lguest_data.irq_pending) hcall0(HC_SEND_INTERRUPTS);
}
static inline void irq_enable(void) { irq_restore(FLAG_IF); }
/* Sleeps until an interrupt was delivered; they are on afterwards. */
static inline void halt(void) { hcall0(HC_HALT); }

/* ---- Time. */
static inline u64 rdtsc(void) {
  u64 t;
  asm volatile("rdtsc" : "=A"(t));
  return t;
}
/* Nanoseconds, from the TSC if the Host gave its frequency, else from the wall clock. */
u64 now_ns(void);
u32 now_us(void);

/* ---- Ring 3. The registers fill the end of a page whose rest is the stack for traps out of ring 3. */
struct user {
  u32 *directory;
  u32 cr2;
  char stack[PAGE_SIZE - 8 - sizeof(struct regs)];
  struct regs regs;
};
/* A process with the rom's user image mapped at 4 MiB and a stack below 0xb0000000, about to call `entry`(argument). */
struct user *user_new(void (*entry)(u32), u32 argument);
void user_free(struct user *user);
/* Runs it until it traps; the vector is in user->regs.vector. Interrupts have been served when it returns. */
u32 user_run(struct user *user);
#define USER_STACK_TOP 0xb0000000

/* ---- The end. */
void power_off(void) __attribute__((noreturn));
void restart(void) __attribute__((noreturn));
void panic(const char *why) __attribute__((noreturn));

/* ---- Checks: one `ok <name>` or `FAIL <name>` line each. */
void check(const char *name, int good);
/* As check, and shows both numbers when they differ. */
void check_equal(const char *name, u32 is, u32 should);
extern u32 checks_failed;
#endif

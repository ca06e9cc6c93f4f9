#include "kernel.h"

extern char trap_entries[], noirq_begin[], noirq_limit[], image_end[];
extern char user_load[], user_file_bytes[], user_end[], USER_BASE[];
int catch_enter(struct catch *c, void (*f)(void *), void *argument);
void catch_leave(struct catch *c) __attribute__((noreturn));
void user_enter(struct regs *regs);

struct lguest_data lguest_data = {
    .blocked_interrupts = 1,
    .hcall_status = {[0 ... RING_SLOTS - 1] = SLOT_FREE},
    .noirq_start = (u32)noirq_begin,
    .noirq_end = (u32)noirq_limit,
    .kernel_address = PAGE_OFFSET,
    .syscall_vec = SYSCALL_VECTOR,
};
u32 ram_bytes;
const char *command_line;
u32 *current_directory = kernel_directory;

/* ---- Memory ---- */

static u32 next_page; /* physical; pages from here to the end of RAM were never used */
static void *free_pages;

void *page_alloc(void) {
  void *page = free_pages;
  if (page) {
    free_pages = *(void **)page;
  } else {
    if (next_page + PAGE_SIZE > ram_bytes) panic("out of memory");
    page = virt_of(next_page);
    next_page += PAGE_SIZE;
  }
  return memset(page, 0, PAGE_SIZE);
}

void page_free(void *page) {
  *(void **)page = free_pages;
  free_pages = page;
}

volatile u32 *pte_of(u32 *directory, u32 address) {
  u32 entry = directory[address >> 22];
  if (!(entry & PTE_P)) return 0;
  return (u32 *)virt_of(entry & ~4095u) + (address >> 12 & 1023);
}

void flush_page(u32 *directory, u32 address) {
  volatile u32 *pte = pte_of(directory, address);
  hcall3(HC_SET_PTE, phys_of(directory), address, pte ? *pte : 0);
}

void map(u32 *directory, u32 address, u32 entry) {
  if (!(directory[address >> 22] & PTE_P)) {
    directory[address >> 22] = phys_of(page_alloc()) | PTE_P | PTE_W | PTE_U | PTE_A;
    hcall2(HC_SET_PGD, phys_of(directory), address >> 22);
  }
  *pte_of(directory, address) = entry;
  hcall3(HC_SET_PTE, phys_of(directory), address, entry);
}

u32 *directory_new(void) {
  u32 *directory = page_alloc();
  memcpy(directory + (PAGE_OFFSET >> 22), kernel_directory + (PAGE_OFFSET >> 22), 1024);
  return directory;
}

/* Frees the tables and every page they map below PAGE_OFFSET. */
void directory_free(u32 *directory) {
  if (current_directory == directory) directory_switch(kernel_directory);
  for (u32 i = 0; i < PAGE_OFFSET >> 22; i++) {
    if (!(directory[i] & PTE_P)) continue;
    u32 *table = virt_of(directory[i] & ~4095u);
    for (u32 j = 0; j < 1024; j++)
      if (table[j] & PTE_P) page_free(virt_of(table[j] & ~4095u));
    page_free(table);
    directory[i] = 0;
    hcall2(HC_SET_PGD, phys_of(directory), i);
  }
  page_free(directory);
}

void directory_switch(u32 *directory) {
  if (directory == current_directory) return;
  current_directory = directory;
  hcall1(HC_NEW_PGTABLE, phys_of(directory));
}

/* ---- Traps ---- */

static trap_handler trap_handlers[256];
static irq_handler irq_handlers[32];
volatile u32 irq_counts[32];
static struct catch *catching;

void set_trap_handler(u32 vector, trap_handler handler) { trap_handlers[vector] = handler; }

void set_gate(u32 vector, u32 type, u32 dpl, u32 present) {
  u32 handler = (u32)trap_entries + 16 * (vector == SYSCALL_VECTOR ? 64 : vector);
  u32 high = (handler & 0xffff0000) | present << 15 | dpl << 13 | type << 8;
  hcall3(HC_LOAD_IDT_ENTRY, vector, KERNEL_CS << 16 | (handler & 0xffff), high);
}

void set_gdt_entry(u32 index, u32 low, u32 high) { hcall3(HC_LOAD_GDT_ENTRY, index, low, high); }

void set_irq_handler(u32 irq, irq_handler handler) {
  irq_handlers[irq] = handler;
  lguest_data.blocked_interrupts &= ~(1u << irq);
}

void irq_block(u32 irq) { lguest_data.blocked_interrupts |= 1u << irq; }

static void serve_irq(u32 irq) {
  irq_counts[irq]++;
  if (irq_handlers[irq]) irq_handlers[irq]();
}

static void print_regs(const struct regs *r) {
  printf("trap %u error %x eip %08x cs %x eflags %08x cr2 %08x\n", r->vector, r->error, r->eip, r->cs, r->eflags,
         lguest_data.cr2);
  printf("eax %08x ebx %08x ecx %08x edx %08x esi %08x edi %08x ebp %08x\n", r->eax, r->ebx, r->ecx, r->edx, r->esi,
         r->edi, r->ebp);
}

void kernel_trap(struct regs *regs) {
  if (regs->vector >= 32 && regs->vector < 64) {
    serve_irq(regs->vector - 32);
  } else if (trap_handlers[regs->vector]) {
    trap_handlers[regs->vector](regs);
  } else if (catching) {
    struct catch *c = catching;
    catching = 0;
    c->regs = *regs;
    c->cr2 = lguest_data.cr2;
    catch_leave(c);
  } else {
    print_regs(regs);
    panic("unexpected trap in the kernel");
  }
}

int catch_trap(struct catch *c, void (*f)(void *), void *argument) {
  u32 enabled = lguest_data.irq_enabled;
  catching = c;
  int trapped = catch_enter(c, f, argument);
  catching = 0;
  lguest_data.irq_enabled = enabled;
  return trapped;
}

/* ---- Time ---- */

static u64 ns_of_tsc(u64 tsc) {
  u32 khz = lguest_data.tsc_khz, rest;
  u64 ms = divide(tsc, khz, &rest);
  return ms * 1000000 + divide((u64)rest * 1000000, khz, 0);
}

u64 now_ns(void) {
  if (lguest_data.tsc_khz) return ns_of_tsc(rdtsc());
  u32 seconds, ns;
  do {
    seconds = lguest_data.time_sec;
    ns = lguest_data.time_nsec;
  } while (seconds != lguest_data.time_sec);
  return (u64)seconds * 1000000000 + ns;
}

u32 now_us(void) { return (u32)divide(now_ns(), 1000, 0); }

/* ---- Ring 3 ---- */

struct user *user_new(void (*entry)(u32), u32 argument) {
  struct user *user = page_alloc();
  u32 *directory = user->directory = directory_new();
  u32 base = (u32)USER_BASE, file_bytes = (u32)user_file_bytes;
  for (u32 offset = 0; base + offset < (u32)user_end; offset += PAGE_SIZE) {
    void *page = page_alloc();
    if (offset < file_bytes) {
      u32 n = file_bytes - offset;
      memcpy(page, user_load + offset, n < PAGE_SIZE ? n : PAGE_SIZE);
    }
    map(directory, base + offset, phys_of(page) | PTE_P | PTE_W | PTE_U);
  }
  u32 *stack_end = 0;
  for (u32 i = 1; i <= 4; i++) {
    void *page = page_alloc();
    map(directory, USER_STACK_TOP - i * PAGE_SIZE, phys_of(page) | PTE_P | PTE_W | PTE_U);
    if (i == 1) stack_end = (u32 *)page + 1024;
  }
  stack_end[-1] = argument; /* the return address stays 0: returning faults */
  user->regs = (struct regs){.ds = USER_DS,
                             .es = USER_DS,
                             .eip = (u32)entry,
                             .cs = USER_CS,
                             .eflags = FLAG_IF | 2,
                             .esp = USER_STACK_TOP - 8,
                             .ss = USER_DS};
  return user;
}

void user_free(struct user *user) {
  directory_free(user->directory);
  page_free(user);
}

u32 user_run(struct user *user) {
  static struct user *last;
  u32 enabled = irq_save();
  directory_switch(user->directory);
  if (last != user) hcall3(HC_SET_STACK, KERNEL_DS, (u32)(&user->regs + 1), 1);
  last = user;
  user_enter(&user->regs);
  lguest_data.irq_enabled = 0;
  u32 vector = user->regs.vector;
  if (vector == 14) user->cr2 = lguest_data.cr2;
  if (vector >= 32 && vector < 64) serve_irq(vector - 32);
  irq_restore(enabled);
  return vector;
}

/* ---- The end ---- */

static void shutdown(const char *message, u32 kind) {
  hcall2(HC_SHUTDOWN, phys_of(message), kind);
  for (;;) hcall0(HC_HALT);
}

void power_off(void) {
  static const char message[128] = "Power down";
  shutdown(message, SHUTDOWN_POWEROFF);
  __builtin_unreachable();
}

void restart(void) {
  static const char message[128] = "Restarting system";
  shutdown(message, SHUTDOWN_RESTART);
  __builtin_unreachable();
}

void panic(const char *why) {
  static char message[128];
  format(message, sizeof message, "%s", why);
  shutdown(message, SHUTDOWN_POWEROFF);
  __builtin_unreachable();
}

/* ---- Checks ---- */

u32 checks_failed;

void check(const char *name, int good) {
  if (!good) checks_failed++;
  printf("%s %s\n", good ? "ok" : "FAIL", name);
}

void check_equal(const char *name, u32 is, u32 should) {
  if (is == should) {
    check(name, 1);
  } else {
    checks_failed++;
    printf("FAIL %s: is 0x%x, should be 0x%x\n", name, is, should);
  }
}

/* ---- Start ---- */

void kernel_main(void) {
  ram_bytes = *(u32 *)virt_of(BOOT_E820_SIZE);
  u32 line = *(u32 *)virt_of(BOOT_CMD_LINE_PTR);
  command_line = line ? virt_of(line) : "";
  next_page = phys_of(image_end);

  /* The first 4 MiB are mapped; the tables for the rest come out of them. */
  u32 ram = ram_bytes, mapped = 4 << 20;
  ram_bytes = ram < mapped ? ram : mapped;
  for (u32 address = mapped; address < ram; address += PAGE_SIZE) {
    u32 *entry = &kernel_directory[(address + PAGE_OFFSET) >> 22];
    if (!*entry) *entry = phys_of(page_alloc()) | PTE_P | PTE_W | PTE_U | PTE_A | PTE_D;
    *pte_of(kernel_directory, address + PAGE_OFFSET) = address | PTE_P | PTE_W | PTE_A | PTE_D;
  }
  kernel_directory[0] = 0;
  hcall1(HC_FLUSH_TLB, 1);
  ram_bytes = ram;

  set_gdt_entry(12, 0x0000ffff, 0x00cf9b00);
  set_gdt_entry(13, 0x0000ffff, 0x00cf9300);
  set_gdt_entry(14, 0x0000ffff, 0x00cffb00);
  set_gdt_entry(15, 0x0000ffff, 0x00cff300);
  for (u32 vector = 0; vector < 64; vector++) set_gate(vector, GATE_INTERRUPT, vector == 3 || vector == 4 ? 3 : 0, 1);
  set_gate(SYSCALL_VECTOR, GATE_TRAP, 3, 1);
  irq_enable();

  rom_main();
  power_off();
}
